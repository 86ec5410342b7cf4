//! Gauges of each peer group. The series of a group that is gone go with it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::util::text::plain;

/// One group in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetrics {
    /// Namespace of its ConfigMap.
    pub namespace: String,
    /// Name of its ConfigMap.
    pub config_map: String,
    /// Addresses in its list.
    pub peers: usize,
    /// Validators that name its ConfigMap and are to run, members or not.
    pub validators: usize,
    /// Members that read its ConfigMap.
    pub members: usize,
    /// Those of them that vote.
    pub voting: usize,
    /// Members of the whole group, those included that read its other ConfigMaps.
    pub group_members: usize,
    /// Those of them that vote.
    pub group_voting: usize,
    /// Validators that name its ConfigMap and whose pod reports the public key of another pod, see `shared_keys`.
    pub shared_seeds: usize,
    /// Whether its ConfigMap is somebody else's.
    pub not_ours: bool,
    /// Whether its members can all reach each other by what they loaded.
    pub connected: bool,
    /// Whether a restart is not done within its deadline, or who may restart cannot be read.
    pub stalled: bool,
    /// Validators with a reason to be restarted, by the first of their reasons.
    pub pending: BTreeMap<&'static str, usize>,
    /// Every cause for which one can be restarted.
    pub causes: Vec<&'static str>,
}

/// A peer group, by its ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Group {
    namespace: String,
    configmap: String,
}

impl Group {
    fn new(namespace: &str, config_map: &str) -> Self {
        Self {
            namespace: plain(namespace),
            configmap: plain(config_map),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Restart {
    namespace: String,
    configmap: String,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pending {
    namespace: String,
    configmap: String,
    cause: &'static str,
}

/// What is known of the groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    peers: Family<Group, Gauge>,
    validators: Family<Group, Gauge>,
    members: Family<Group, Gauge>,
    voting: Family<Group, Gauge>,
    group_members: Family<Group, Gauge>,
    group_voting: Family<Group, Gauge>,
    shared_seeds: Family<Group, Gauge>,
    not_ours: Family<Group, Gauge>,
    connected: Family<Group, Gauge>,
    stalled: Family<Group, Gauge>,
    pending: Family<Pending, Gauge>,
    slots: Gauge,
    restarts: Family<Restart, Counter>,
    shown: Mutex<Shown>,
}

/// What is shown now.
#[derive(Debug, Default)]
struct Shown {
    /// Whether this replica leads: figures that come later, from work that is being ended, are not shown.
    leads: bool,
    /// The groups that have series, each with the causes that it has pending.
    groups: BTreeMap<Group, Vec<&'static str>>,
}

impl Groups {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let groups = Self::default();
        for (name, help, family) in [
            ("peers", "Addresses in a group's list", &groups.peers),
            (
                "validators",
                "Validators that name a group's list and are to run, those included that have not joined it",
                &groups.validators,
            ),
            (
                "members",
                "Validators that read a group's list and have joined it",
                &groups.members,
            ),
            (
                "voting_members",
                "Members whose pod is Ready, which says that they vote",
                &groups.voting,
            ),
            (
                "group_members",
                "Members of a whole group, those included that read its ConfigMaps in other namespaces",
                &groups.group_members,
            ),
            ("group_voting_members", "Those of them that vote", &groups.group_voting),
            (
                "shared_seeds",
                "Validators that name a group's list and whose running pod reports the public key of another running pod",
                &groups.shared_seeds,
            ),
            (
                "list_not_ours",
                "1 while a ConfigMap of the list's name is somebody else's, which is never written, else 0",
                &groups.not_ours,
            ),
            (
                "group_connected",
                "1 if the members of a group can all reach each other by the addresses that they loaded, else 0",
                &groups.connected,
            ),
            (
                "rollout_stalled",
                "1 while a restart of a group is not done within its deadline, or the Lease of its slots cannot be read, else 0",
                &groups.stalled,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
        registry.register(
            "pending_restarts",
            "Validators of a group that have a reason to be restarted, by the first of their reasons",
            groups.pending.clone(),
        );
        registry.register(
            "restarts",
            "Validators of a group restarted by this replica, by cause",
            groups.restarts.clone(),
        );
        registry.register(
            "turns",
            "Slots held now: validators that the operator may have down",
            groups.slots.clone(),
        );
        groups
    }

    /// From now on figures are shown, or none any more.
    pub(super) fn lead(&self, leads: bool) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.leads = leads;
        if !leads {
            self.replace(&mut shown, &[], 0);
        }
    }

    /// Shows these figures and no others, if this replica leads.
    pub(super) fn show(&self, figures: &[GroupMetrics], slots: usize) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.leads {
            self.replace(&mut shown, figures, slots);
        }
    }

    /// Counts a restart of a validator of this group.
    pub(super) fn restarted(&self, namespace: &str, config_map: &str, cause: &'static str) {
        let group = Group::new(namespace, config_map);
        self.restarts.get_or_create(&restart(&group, cause)).inc();
    }

    fn replace(&self, shown: &mut Shown, figures: &[GroupMetrics], slots: usize) {
        let mut before = std::mem::take(&mut shown.groups);
        for figures in figures {
            let group = Group::new(&figures.namespace, &figures.config_map);
            let set = |family: &Family<Group, Gauge>, value: usize| {
                family
                    .get_or_create(&group)
                    .set(i64::try_from(value).unwrap_or(i64::MAX));
            };
            set(&self.peers, figures.peers);
            set(&self.validators, figures.validators);
            set(&self.members, figures.members);
            set(&self.voting, figures.voting);
            set(&self.group_members, figures.group_members);
            set(&self.group_voting, figures.group_voting);
            set(&self.shared_seeds, figures.shared_seeds);
            set(&self.not_ours, usize::from(figures.not_ours));
            set(&self.connected, usize::from(figures.connected));
            set(&self.stalled, usize::from(figures.stalled));
            // From the start, so that the first is seen as a change. They stay when the group goes: they are counters.
            for cause in &figures.causes {
                let _ = self.restarts.get_or_create(&restart(&group, cause));
            }
            for (cause, count) in &figures.pending {
                let count = i64::try_from(*count).unwrap_or(i64::MAX);
                self.pending.get_or_create(&pending(&group, cause)).set(count);
            }
            let causes: Vec<&'static str> = figures.pending.keys().copied().collect();
            for cause in before.remove(&group).unwrap_or_default() {
                if !causes.contains(&cause) {
                    self.pending.remove(&pending(&group, cause));
                }
            }
            shown.groups.insert(group, causes);
        }
        for (group, causes) in before {
            for family in [
                &self.peers,
                &self.validators,
                &self.members,
                &self.voting,
                &self.group_members,
                &self.group_voting,
                &self.shared_seeds,
                &self.not_ours,
                &self.connected,
                &self.stalled,
            ] {
                family.remove(&group);
            }
            for cause in causes {
                self.pending.remove(&pending(&group, cause));
            }
        }
        self.slots.set(i64::try_from(slots).unwrap_or(i64::MAX));
    }
}

fn restart(group: &Group, cause: &'static str) -> Restart {
    Restart {
        namespace: group.namespace.clone(),
        configmap: group.configmap.clone(),
        cause,
    }
}

fn pending(group: &Group, cause: &'static str) -> Pending {
    Pending {
        namespace: group.namespace.clone(),
        configmap: group.configmap.clone(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn figures(config_map: &str, pending: &[(&'static str, usize)]) -> GroupMetrics {
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
            causes: vec!["NotLinked", "PeersChanged", "SpecChanged"],
        }
    }

    #[test]
    fn a_label_holds_nothing_that_a_terminal_obeys() {
        let group = Group::new("a\u{1b}[2J\nb", "c\u{1b}[2J\nd");
        assert_eq!(
            (&*group.namespace, &*group.configmap),
            (r"a\u{1b}[2J\nb", r"c\u{1b}[2J\nd")
        );
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
        groups.show(&[figures("a", &[("PeersChanged", 2)]), figures("b", &[])], 1);
        groups.restarted("stellar", "b", "NotLinked");
        let first = text();
        for line in [
            r#"peers{namespace="stellar",configmap="a"} 4"#,
            r#"validators{namespace="stellar",configmap="b"} 5"#,
            r#"voting_members{namespace="stellar",configmap="b"} 3"#,
            r#"pending_restarts{namespace="stellar",configmap="a",cause="PeersChanged"} 2"#,
            r#"group_connected{namespace="stellar",configmap="a"} 1"#,
            r#"shared_seeds{namespace="stellar",configmap="a"} 2"#,
            r#"group_voting_members{namespace="stellar",configmap="b"} 6"#,
            r#"restarts_total{namespace="stellar",configmap="b",cause="NotLinked"} 1"#,
            r#"restarts_total{namespace="stellar",configmap="a",cause="SpecChanged"} 0"#,
            "turns 1",
        ] {
            assert!(first.contains(line), "{line} is not in\n{first}");
        }
        groups.show(&[figures("b", &[])], 0);
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
        groups.show(&[figures("b", &[])], 1);
        let last = text();
        assert_eq!(series(&last, r#"configmap="b""#), 0, "{last}");
        assert!(last.contains("turns 0"), "{last}");
    }
}
