//! Gauges of each peer group, written from the last decision when a scraper asks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::util::text::plain;

/// One group in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetrics {
    pub namespace: String,
    pub config_map: String,
    /// Addresses in its list.
    pub peers: usize,
    /// Validators that name its ConfigMap and are to run, members or not.
    pub validators: usize,
    /// Members that read its ConfigMap.
    pub members: usize,
    /// Voting members that read its ConfigMap.
    pub voting: usize,
    /// Members of the whole group, including those that read its other ConfigMaps.
    pub group_members: usize,
    /// Voting members of the whole group.
    pub group_voting: usize,
    /// Validators that name its ConfigMap and whose pod reports the public key of another pod, see `shared_keys`.
    pub shared_seeds: usize,
    /// Whether another owner has its ConfigMap.
    pub not_ours: bool,
    /// Whether all members reach each other by the addresses they loaded.
    pub connected: bool,
    /// Whether a restart missed its deadline, or the Lease of the slots cannot be read.
    pub stalled: bool,
    /// Validators that need a restart, by their first cause.
    pub pending: BTreeMap<&'static str, usize>,
    /// Validators that name its ConfigMap and whose pod cannot run, by reason.
    pub blocked: BTreeMap<&'static str, usize>,
    pub causes: Vec<&'static str>,
}

/// A gauge that each group has: its name, its help text and how it is read.
type GroupGauge = (&'static str, &'static str, fn(&GroupMetrics) -> usize);

#[rustfmt::skip]
const GAUGES: [GroupGauge; 10] = [
    ("peers", "Addresses in a group's list.", |group| group.peers),
    ("validators", "Validators that name a group's list and are to run, those included that have not joined it.", |group| group.validators),
    ("members", "Validators that read a group's list and have joined it.", |group| group.members),
    ("voting_members", "Members whose pod is Ready, which says that they vote.", |group| group.voting),
    ("group_members", "Members of a whole group, those included that read its ConfigMaps in other namespaces.", |group| group.group_members),
    ("group_voting_members", "Those of them that vote.", |group| group.group_voting),
    ("shared_seeds", "Validators that name a group's list and whose running pod reports the public key of another running pod.", |group| group.shared_seeds),
    ("list_not_ours", "1 while a ConfigMap of the list's name belongs to another owner and is never written, else 0.", |group| usize::from(group.not_ours)),
    ("group_connected", "1 if the members of a group can all reach each other by the addresses that they loaded, else 0.", |group| usize::from(group.connected)),
    ("rollout_stalled", "1 while a restart of a group is not done within its deadline, or the Lease of its slots cannot be read, else 0.", |group| usize::from(group.stalled)),
];

/// Labels of a group.
type Labels = [(&'static str, String); 2];
/// Labels of a group and a cause or a reason.
type LabelsWith = (Labels, [(&'static str, &'static str); 1]);

fn labels(namespace: &str, config_map: &str) -> Labels {
    [("namespace", plain(namespace)), ("configmap", plain(config_map))]
}

impl GroupMetrics {
    fn labels(&self) -> Labels {
        labels(&self.namespace, &self.config_map)
    }

    fn labels_with(&self, name: &'static str, value: &'static str) -> LabelsWith {
        (self.labels(), [(name, value)])
    }
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    /// The last decision; `None` while this replica does not lead. A cycle can end after the lead is lost.
    last: Mutex<Option<Decision>>,
    /// Series outlive their group: they are counters.
    restarts: Family<LabelsWith, Counter>,
}

#[derive(Debug, Default)]
struct Decision {
    groups: Vec<GroupMetrics>,
    slots: usize,
}

impl Groups {
    pub(super) fn registered(registry: &mut Registry) -> Arc<Self> {
        let groups = Arc::new(Self::default());
        registry.register(
            "restarts",
            "Validators of a group restarted by this replica, by cause",
            groups.restarts.clone(),
        );
        registry.register_collector(Box::new(Arc::clone(&groups)));
        groups
    }

    /// Starts or stops the export of the gauges.
    pub(super) fn lead(&self, leads: bool) {
        *self.last() = leads.then(Decision::default);
    }

    /// Exports this decision instead of the last one, if this replica leads.
    pub(super) fn decided(&self, groups: Vec<GroupMetrics>, slots: usize) {
        if let Some(last) = &mut *self.last() {
            // Prometheus sees the first restart as an increase only if the series was there before, at 0.
            for group in &groups {
                for cause in &group.causes {
                    let _ = self.restarts.get_or_create(&group.labels_with("cause", cause));
                }
            }
            *last = Decision { groups, slots };
        }
    }

    /// Counts a restart of a validator of this group.
    pub(super) fn restarted(&self, namespace: &str, config_map: &str, cause: &'static str) {
        let labels = (labels(namespace, config_map), [("cause", cause)]);
        self.restarts.get_or_create(&labels).inc();
    }

    fn last(&self) -> MutexGuard<'_, Option<Decision>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Groups {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let last = self.last();
        let none = Decision::default();
        let Decision { groups, slots } = last.as_ref().unwrap_or(&none);
        for (name, help, value) in GAUGES {
            let series = groups.iter().map(|group| (group.labels(), value(group)));
            encode_gauge(&mut encoder, name, help, series)?;
        }
        let pending = groups.iter().flat_map(|group| {
            let causes = group.pending.iter();
            causes.map(|(cause, count)| (group.labels_with("cause", cause), *count))
        });
        let help = "Validators of a group that have a reason to be restarted, by the first of their reasons.";
        encode_gauge(&mut encoder, "pending_restarts", help, pending)?;
        let blocked = groups.iter().flat_map(|group| {
            let reasons = group.blocked.iter();
            reasons.map(|(reason, count)| (group.labels_with("reason", reason), *count))
        });
        let help = "Validators that name a group's list and whose pod cannot run, by the reason of their condition PodBlocked.";
        encode_gauge(&mut encoder, "pods_blocked", help, blocked)?;
        let help = "Slots held now: validators that the operator may have down.";
        let mut gauge = encoder.encode_descriptor("turns", help, None, MetricType::Gauge)?;
        gauge.encode_gauge(slots)
    }
}

/// Writes a gauge with its series; nothing for a gauge without series.
fn encode_gauge<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl Iterator<Item = (L, usize)>,
) -> fmt::Result {
    let mut series = series.peekable();
    if series.peek().is_none() {
        return Ok(());
    }
    let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    series.try_for_each(|(labels, value)| gauge.encode_family(&labels)?.encode_gauge(&value))
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn group(config_map: &str, pending: &[(&'static str, usize)]) -> GroupMetrics {
        GroupMetrics {
            namespace: "stellar".to_owned(),
            config_map: config_map.to_owned(),
            peers: 4,
            validators: 5,
            members: 4,
            voting: 3,
            group_members: 8,
            group_voting: 6,
            shared_seeds: 2,
            not_ours: false,
            connected: true,
            stalled: false,
            pending: pending.iter().copied().collect(),
            blocked: BTreeMap::from([("ImagePullBackOff", 1)]),
            causes: vec!["NotLinked", "PeersChanged", "SpecChanged"],
        }
    }

    #[test]
    fn a_label_holds_nothing_that_a_terminal_obeys() {
        let [(_, namespace), (_, config_map)] = labels("a\u{1b}[2J\nb", "c\u{1b}[2J\nd");
        assert_eq!((&*namespace, &*config_map), (r"a\u{1b}[2J\nb", r"c\u{1b}[2J\nd"));
    }

    #[test]
    fn what_is_gone_has_no_series() {
        let mut registry = Registry::default();
        let groups = Groups::registered(&mut registry);
        let text = || {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        groups.lead(true);
        groups.decided(vec![group("a", &[("PeersChanged", 2)]), group("b", &[])], 1);
        groups.restarted("stellar", "b", "NotLinked");
        let first = text();
        for line in [
            r#"peers{namespace="stellar",configmap="a"} 4"#,
            r#"validators{namespace="stellar",configmap="b"} 5"#,
            r#"voting_members{namespace="stellar",configmap="b"} 3"#,
            r#"pending_restarts{namespace="stellar",configmap="a",cause="PeersChanged"} 2"#,
            r#"pods_blocked{namespace="stellar",configmap="a",reason="ImagePullBackOff"} 1"#,
            r#"group_connected{namespace="stellar",configmap="a"} 1"#,
            r#"shared_seeds{namespace="stellar",configmap="a"} 2"#,
            r#"group_voting_members{namespace="stellar",configmap="b"} 6"#,
            r#"restarts_total{namespace="stellar",configmap="b",cause="NotLinked"} 1"#,
            r#"restarts_total{namespace="stellar",configmap="a",cause="SpecChanged"} 0"#,
            "turns 1",
        ] {
            assert!(first.contains(line), "{line} is not in\n{first}");
        }
        groups.decided(vec![group("b", &[])], 0);
        let then = text();
        let series = |text: &str, group: &str| {
            text.lines()
                .filter(|line| line.contains(group) && !line.contains("restarts_"))
                .count()
        };
        assert_eq!(series(&then, r#"configmap="a""#), 0, "{then}");
        assert!(series(&then, r#"configmap="b""#) > 5, "{then}");
        assert!(then.contains("turns 0"), "{then}");
        groups.lead(false);
        // From a decision that was on its way when the lead was lost.
        groups.decided(vec![group("b", &[])], 1);
        let last = text();
        assert_eq!(series(&last, r#"configmap="b""#), 0, "{last}");
        assert!(last.contains("turns 0"), "{last}");
    }
}
