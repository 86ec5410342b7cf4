//! The operator does not restart validators without a cause.

use std::time::Duration;

use test_kit::{FOUR, Options, TestEnv, Validators};

/// Thirty times the operator's wait in this test.
const A_MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn no_validator_restarts_within_a_minute() {
    let env = TestEnv::start("left-alone", Options::default()).await;
    env.create_settled(&Validators::new(4), 4).await;
    let before = env.recorder().history();
    let most = before.lives().into_values().max();
    assert!(most <= Some(2), "at most one restart connected the group:\n{before}");

    env.stays_quiet(A_MINUTE).await;

    let after = env.recorder().history();
    assert_eq!(after.lives(), before.lives(), "{after}");
    assert_eq!(after.voting().len(), FOUR.len(), "{after}");
    let down = after.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{after}");
}
