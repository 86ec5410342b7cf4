//! All pods of six validators are lost at once: as few restarts as connect the group again, one at a time, then rest.

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
async fn all_of_six_cost_three_restarts_at_most() {
    losing("power-cut", 6, None, 1..=3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_six_cost_three_restarts_at_most_when_kubelets_read_late() {
    losing("power-cut-late", 6, Some("3"), 1..=3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_six_cost_none() {
    losing("two-lost", 2, None, 0..=0).await;
}
