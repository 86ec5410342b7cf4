//! All pods of six validators are lost at once, with the shipped propagation time and kubelets that read ConfigMaps
//! late: at most three restarts follow, one at a time.

use std::time::Duration;

use test_kit::{Loss, Options};

async fn losing_all(name: &str, read_late: Option<&'static str>) {
    // Short fuse, because the validators were restarted when the network was new, and a short deadline for each
    // restart.
    let options = Options::as_shipped()
        .with("--restart-fuse", "60s")
        .with("--min-ready", "5s");
    let loss = Loss {
        lost: 6,
        read_late,
        // Twice the propagation time plus the time of a restart.
        calm: Duration::from_secs(90),
        patience: Duration::from_secs(600),
    };
    loss.costs(name, options, 1..=3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubelets_on_time() {
    losing_all("cut", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubelets_six_seconds_late() {
    losing_all("cut-6s", Some("6")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubelets_thirty_seconds_late() {
    losing_all("cut-30s", Some("30")).await;
}
