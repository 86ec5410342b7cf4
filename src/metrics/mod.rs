//! What is counted, for Prometheus: names and units by its conventions, labels from small fixed sets.
//!
//! `run` makes one [`Metrics`] and hands it to every part that counts.

mod calls;
mod exposition;
mod groups;
pub mod probes;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};
use strum::VariantArray as _;

use calls::Call;
pub use calls::CountCalls;
pub use exposition::Format;
pub use groups::GroupMetrics;
use groups::Groups;

/// How a review ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    Allowed,
    Denied,
    /// No rules exist for the kind: the object was allowed, and the API server should not have sent it.
    UnknownKind,
    /// The body was no review, or the rules failed. The API server then applies the failure policy.
    Undecided,
}

/// Name and value of a label.
type Label = (&'static str, &'static str);

#[derive(Debug)]
pub struct Metrics {
    reviews: Family<[Label; 2], Counter>,
    review_time: Family<[Label; 1], Histogram, fn() -> Histogram>,
    list_writes: Family<[Label; 1], Counter>,
    discovery: Histogram,
    discovery_failures: Counter,
    certificates: Family<[Label; 1], Gauge>,
    certificate_failures: Counter,
    calls: Family<Call, Counter>,
    leader: Gauge,
    ready: Gauge,
    groups: Arc<Groups>,
    registry: Registry,
}

const PATHS: [&str; 2] = ["mutate", "validate"];
const WRITTEN: &str = "written";
const FAILED: &str = "failed";

fn registered<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// Registers a metric whose unit is the second.
fn in_seconds<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("stellar_operator");
        let all = &mut registry;
        let version = vec![("version", env!("CARGO_PKG_VERSION")), ("revision", crate::REVISION)];
        all.register("build", "The running version", Info::new(version));
        let metrics = Self {
            reviews: registered(
                all,
                "admission_reviews",
                "Admission reviews, by path and what became of them",
                Family::default(),
            ),
            review_time: in_seconds(
                all,
                "admission_review_duration",
                "Time from a review's headers to its answer, by path",
                Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_1, 4.0, 9))),
            ),
            list_writes: registered(
                all,
                "list_writes",
                "Writes of the list of known peers, by result",
                Family::default(),
            ),
            discovery: in_seconds(
                all,
                "discovery_duration",
                "Time that one decision and its writes took",
                Histogram::new(exponential_buckets(0.001, 4.0, 8)),
            ),
            discovery_failures: registered(
                all,
                "discovery_failures",
                "Decisions after which something was not written; it is tried again",
                Counter::default(),
            ),
            certificates: in_seconds(
                all,
                "certificate_expiry_timestamp",
                "When the webhook's certificate (leaf) and its authority (ca) expire, since 1970",
                Family::default(),
            ),
            certificate_failures: registered(
                all,
                "certificate_failures",
                "Failed checks of the webhook's certificate or registrations; each is tried again",
                Counter::default(),
            ),
            calls: registered(
                all,
                "api_calls",
                "Calls to the API server, by verb, resource and what became of them",
                Family::default(),
            ),
            leader: registered(all, "leader", "1 while this replica leads, else 0", Gauge::default()),
            ready: registered(
                all,
                "ready",
                "1 while this replica is ready, else 0; /readyz says what it waits for",
                Gauge::default(),
            ),
            groups: Groups::registered(all),
            registry,
        };
        // Prometheus sees the first one as an increase only if the series was there before, at 0.
        for path in PATHS {
            for outcome in Outcome::VARIANTS {
                let _ = metrics
                    .reviews
                    .get_or_create(&[("path", path), ("outcome", outcome.into())]);
            }
        }
        for result in [WRITTEN, FAILED] {
            let _ = metrics.list_writes.get_or_create(&[("result", result)]);
        }
        metrics
    }
}

impl Metrics {
    /// Sets whether this replica leads. Only the leader exports gauges of groups.
    pub fn leading(&self, leads: bool) {
        self.leader.set(i64::from(leads));
        self.groups.lead(leads);
    }

    /// Sets the groups and the number of slots held, while this replica [leads](Self::leading).
    pub fn groups(&self, groups: Vec<GroupMetrics>, slots: usize) {
        self.groups.decided(groups, slots);
    }

    /// Counts a cycle of discovery. `done`: nothing was left unwritten.
    pub fn discovered(&self, took: Duration, done: bool) {
        self.discovery.observe(took.as_secs_f64());
        if !done {
            self.discovery_failures.inc();
        }
    }

    /// Counts a review sent to `path`.
    pub fn reviewed(&self, path: &'static str, outcome: Outcome, took: Duration) {
        let path = ("path", path);
        let review = self.reviews.get_or_create(&[path, ("outcome", outcome.into())]);
        review.inc();
        let time = self.review_time.get_or_create(&[path]);
        time.observe(took.as_secs_f64());
    }

    /// Sets when the served certificate (`leaf`) or its authority (`ca`) expires.
    pub fn certificate_expires(&self, certificate: &'static str, when: Timestamp) {
        let expiry = self.certificates.get_or_create(&[("certificate", certificate)]);
        expiry.set(when.as_second());
    }

    /// Counts a failed round of the certificate's upkeep.
    pub fn certificate_failed(&self) {
        self.certificate_failures.inc();
    }

    /// Counts a restart of a validator that reads this ConfigMap.
    pub fn restarted(&self, namespace: &str, config_map: &str, cause: &'static str) {
        self.groups.restarted(namespace, config_map, cause);
    }

    pub fn list_written(&self, written: bool) {
        let result = if written { WRITTEN } else { FAILED };
        self.list_writes.get_or_create(&[("result", result)]).inc();
    }

    fn called(&self, call: &Call) {
        self.calls.get_or_create(call).inc();
    }

    /// All metrics of a replica that is `ready` or not.
    pub fn text(&self, format: Format, ready: bool) -> String {
        self.ready.set(i64::from(ready));
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        format.of(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Everything that is ever exported, once.
    fn of_everything() -> Metrics {
        let metrics = Metrics::default();
        metrics.reviewed("mutate", Outcome::Allowed, Duration::from_millis(1));
        metrics.reviewed("mutate", Outcome::Allowed, Duration::from_millis(1));
        metrics.restarted("stellar", "stellar-peers", "PeersChanged");
        metrics.list_written(true);
        metrics.leading(true);
        metrics.certificate_expires("leaf", Timestamp::UNIX_EPOCH);
        metrics.discovered(Duration::from_millis(1), false);
        metrics.called(&Call::of_test());
        let pending = BTreeMap::from([("PeersChanged", 1)]);
        let group = GroupMetrics {
            namespace: "stellar".to_owned(),
            config_map: "stellar-peers".to_owned(),
            peers: 4,
            validators: 5,
            members: 4,
            voting: 3,
            group_members: 4,
            group_voting: 3,
            shared_seeds: 0,
            not_ours: false,
            connected: true,
            stalled: false,
            pending,
            blocked: BTreeMap::from([("ImagePullBackOff", 1)]),
            causes: vec!["PeersChanged"],
        };
        metrics.groups(vec![group], 1);
        metrics
    }

    fn shipped(file: &str) -> String {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
    }

    #[test]
    fn what_was_counted_is_in_the_text() {
        let text = of_everything().text(Format::OpenMetrics, true);
        for line in [
            r#"stellar_operator_admission_reviews_total{path="mutate",outcome="allowed"} 2"#,
            r#"stellar_operator_restarts_total{namespace="stellar",configmap="stellar-peers",cause="PeersChanged"} 1"#,
            r#"stellar_operator_list_writes_total{result="written"} 1"#,
            "stellar_operator_leader 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn who_does_not_lead_knows_nothing_of_the_groups() {
        let metrics = of_everything();
        metrics.leading(false);
        let text = metrics.text(Format::Prometheus, true);
        let of_groups = text.lines().filter(|line| line.contains("stellar-peers"));
        let of_groups: Vec<&str> = of_groups.filter(|line| !line.contains("restarts_total")).collect();
        assert!(of_groups.is_empty(), "{of_groups:#?}");
    }

    #[test]
    fn the_documentation_names_what_is_exported_and_nothing_else() {
        let text = of_everything().text(Format::Prometheus, true);
        let exported = |keyword: &'static str| {
            let lines = text.lines().filter_map(move |line| line.strip_prefix(keyword));
            lines
                .filter_map(|line| line.split_once(' '))
                .collect::<BTreeMap<_, _>>()
        };
        let (help, kinds) = (exported("# HELP "), exported("# TYPE "));
        let expected: BTreeSet<String> = help
            .iter()
            .map(|(name, help)| format!("| `{name}` | {} | {} |", kinds[name], help.trim_end_matches('.')))
            .collect();
        let documented = shipped("docs/metrics.md");
        let rows = documented
            .lines()
            .filter(|line| line.starts_with("| `stellar_operator_"));
        let rows: BTreeSet<String> = rows.map(str::to_owned).collect();
        let missing: Vec<_> = expected.difference(&rows).collect();
        let stale: Vec<_> = rows.difference(&expected).collect();
        assert!(
            missing.is_empty() && stale.is_empty(),
            "missing: {missing:#?}\nstale: {stale:#?}"
        );
    }

    #[test]
    fn alerts_and_dashboard_name_only_what_is_exported() {
        let text = of_everything().text(Format::Prometheus, true);
        let is_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
        let samples: BTreeSet<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split(['{', ' ']).next())
            .collect();
        for file in ["manifests/monitoring/rules.yaml", "manifests/monitoring/dashboard.json"] {
            let content = shipped(file);
            let mut named = 0;
            for (place, _) in content.match_indices("stellar_operator_") {
                let name = content[place..].split(|letter| !is_name(letter)).next().unwrap();
                assert!(samples.contains(name), "{file} names {name}, which is not exported");
                named += 1;
            }
            assert!(named > 5, "{file} names {named} metrics");
        }
    }
}
