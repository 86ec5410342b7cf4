//! The webhook's certificates run out while nobody renews them: both are made anew, and trusted, as soon as somebody does.

use std::process::Command;
use std::time::Duration;

use crate::common::{Options, TestEnv};
use crate::four::{at_rest, is_reviewed};

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_that_was_longer_than_their_lives() {
    let env = TestEnv::installed("expired").await;
    let options = Options::default()
        .with("--certificate-lifetime", "9s")
        .with("--ca-lifetime", "15s");
    let operator = env.ready_replica(&options).await;
    let (validators, lives) = at_rest(&env).await;
    let signal = |signal: &str| {
        let sent = Command::new("kill")
            .args([signal, &operator.pid().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    };
    signal("-STOP");
    // Longer than both live.
    tokio::time::sleep(Duration::from_secs(17)).await;
    signal("-CONT");
    is_reviewed(&env, &validators).await;
    crate::four::a_fifth_joins(&env, &validators, lives).await;
}
