//! What is counted, for Prometheus: names and units by its conventions, labels from small fixed sets.
//!
//! One set a process, as one scrape is of one process. Nothing here decides anything.

mod calls;
mod groups;

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::controller::figures::GroupFigures;
use calls::Call;
pub use calls::CountCalls;
use groups::Groups;

/// Media type of [`Metrics::text`] (OpenMetrics 1.0, "Content Negotiation").
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What became of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// The object was allowed.
    Allowed,
    /// The object was refused.
    Denied,
    /// It was no review, or could not be decided: the API server does as the failure policy says.
    Undecided,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Review {
    path: &'static str,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Restart {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Path {
    path: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kept {
    certificate: &'static str,
}

/// The counters and gauges of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    groups: Groups,
    discovery: Histogram,
    discovery_failures: Counter,
    review_time: Family<Path, Histogram, fn() -> Histogram>,
    certificates: Family<Kept, Gauge>,
    calls: Family<Call, Counter>,
    reviews: Family<Review, Counter>,
    restarts: Family<Restart, Counter>,
    list_writes: Family<Write, Counter>,
    leader: Gauge,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// The counters of this process.
pub fn get() -> &'static Metrics {
    &METRICS
}

impl Metrics {
    fn new() -> Self {
        let mut registry = Registry::with_prefix("stellar_operator");
        let reviews = Family::<Review, Counter>::default();
        let restarts = Family::<Restart, Counter>::default();
        let list_writes = Family::<Write, Counter>::default();
        registry.register(
            "admission_reviews",
            "Admission reviews, by path and what became of them",
            reviews.clone(),
        );
        registry.register(
            "restarts",
            "Validators restarted by the operator, by cause",
            restarts.clone(),
        );
        registry.register(
            "list_writes",
            "Writes of the list of known peers, by result",
            list_writes.clone(),
        );
        let groups = Groups::registered(&mut registry);
        let discovery = Histogram::new(exponential_buckets(0.001, 4.0, 8));
        registry.register_with_unit(
            "discovery_duration",
            "Time that one decision and its writes took",
            Unit::Seconds,
            discovery.clone(),
        );
        let discovery_failures = Counter::default();
        registry.register(
            "discovery_failures",
            "Decisions after which something was not written; it is tried again",
            discovery_failures.clone(),
        );
        let review_time: Family<Path, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_1, 4.0, 9)));
        registry.register_with_unit(
            "admission_review_duration",
            "Time from a review's headers to its answer, by path",
            Unit::Seconds,
            review_time.clone(),
        );
        let certificates = Family::<Kept, Gauge>::default();
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the webhook's certificate (leaf) and its authority (ca) expire, since 1970",
            Unit::Seconds,
            certificates.clone(),
        );
        let calls = Family::<Call, Counter>::default();
        registry.register(
            "api_calls",
            "Calls to the API server, by verb, resource and what became of them",
            calls.clone(),
        );
        let leader = Gauge::<i64>::default();
        registry.register("leader", "1 while this replica leads, else 0", leader.clone());
        registry.register(
            "build",
            "The running version",
            Info::new(vec![
                ("version", env!("CARGO_PKG_VERSION")),
                ("revision", crate::cli::REVISION),
            ]),
        );
        Self {
            registry,
            groups,
            discovery,
            discovery_failures,
            review_time,
            certificates,
            calls,
            reviews,
            restarts,
            list_writes,
            leader,
        }
    }

    /// Tells whether this replica leads. One that does not knows nothing of the groups.
    pub fn leading(&self, leads: bool) {
        self.leader.set(i64::from(leads));
        if !leads {
            self.groups.show(&[], 0);
        }
    }

    /// Shows these groups, and how many turns are out.
    pub fn groups(&self, figures: &[GroupFigures], turns: usize) {
        self.groups.show(figures, turns);
    }

    /// Counts a decision that took so long with its writes, and whether all of them were done.
    pub fn discovered(&self, took: Duration, done: bool) {
        self.discovery.observe(took.as_secs_f64());
        if !done {
            self.discovery_failures.inc();
        }
    }

    /// Counts a review sent to `path`, which took so long.
    pub fn reviewed(&self, path: &'static str, outcome: Outcome, took: Duration) {
        self.reviews.get_or_create(&Review { path, outcome }).inc();
        self.review_time
            .get_or_create(&Path { path })
            .observe(took.as_secs_f64());
    }

    /// Tells when the certificate that is served expires, or its authority.
    pub fn certificate_expires(&self, which: &'static str, when: Timestamp) {
        let kept = Kept { certificate: which };
        self.certificates.get_or_create(&kept).set(when.as_second());
    }

    fn called(&self, call: &Call) {
        self.calls.get_or_create(call).inc();
    }

    /// Counts a restart for `cause`.
    pub fn restarted(&self, cause: &'static str) {
        self.restarts.get_or_create(&Restart { cause }).inc();
    }

    /// Counts a write of a list.
    pub fn list_written(&self, written: bool) {
        let result = if written { "written" } else { "failed" };
        self.list_writes.get_or_create(&Write { result }).inc();
    }

    /// All of it as OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.reviewed("mutate", Outcome::Allowed, Duration::from_millis(1));
        metrics.reviewed("mutate", Outcome::Allowed, Duration::from_millis(1));
        metrics.restarted("PeersChanged");
        metrics.list_written(true);
        metrics.leading(true);
        let text = metrics.text();
        for line in [
            r#"stellar_operator_admission_reviews_total{path="mutate",outcome="Allowed"} 2"#,
            r#"stellar_operator_restarts_total{cause="PeersChanged"} 1"#,
            r#"stellar_operator_list_writes_total{result="written"} 1"#,
            "stellar_operator_leader 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
