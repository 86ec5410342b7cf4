//! All pods of six validators are lost at once. The operator restarts as few members as reconnect the group, one at a
//! time, and then stops.

use std::ops::RangeInclusive;
use std::time::Duration;

use test_kit::{Loss, Options};

/// Longer than every wait of the operator in these tests, the fuse included.
const CALM: Duration = Duration::from_secs(14);

async fn losing(name: &str, lost: usize, read_late: Option<&'static str>, allowed: RangeInclusive<usize>) {
    let options = Options::default()
        .with("--restart-fuse", "10s")
        .with("--propagation", "6s");
    let loss = Loss {
        lost,
        read_late,
        calm: CALM,
        patience: Duration::from_secs(120),
    };
    loss.costs(name, options, allowed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_all_six_pods_costs_at_most_three_restarts() {
    losing("power-cut", 6, None, 1..=3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_all_six_pods_costs_at_most_three_restarts_with_slow_kubelets() {
    losing("power-cut-late", 6, Some("3"), 1..=3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_two_of_six_pods_costs_no_restart() {
    losing("two-lost", 2, None, 0..=0).await;
}
