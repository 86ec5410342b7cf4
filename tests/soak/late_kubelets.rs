//! All pods of six validators are lost at once, with the propagation time that is shipped and kubelets that read
//! ConfigMaps late: three restarts at most, one at a time, and then rest.

use std::time::Duration;

use test_kit::{Loss, Options};

async fn losing_all(name: &str, read_late: Option<&'static str>) {
    // The fuse, or those would not be restarted that were when the network was new; and less patience with each.
    let options = Options::as_shipped()
        .with("--restart-fuse", "60s")
        .with("--min-ready", "5s");
    let loss = Loss {
        lost: 6,
        read_late,
        // Twice the propagation time, and what a restart takes.
        calm: Duration::from_secs(90),
        patience: Duration::from_secs(600),
    };
    loss.costs(name, options, 1..=3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_time() {
    losing_all("cut", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn six_seconds_late() {
    losing_all("cut-6s", Some("6")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_seconds_late() {
    losing_all("cut-30s", Some("30")).await;
}
