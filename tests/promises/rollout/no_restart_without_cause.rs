//! Four validators that nobody touches are not restarted.

use std::time::Duration;

use test_kit::{FOUR, Options, TestEnv, Validators};

/// Thirty times the time for which the operator waits in this test.
const A_MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_restarted_within_a_minute() {
    let env = TestEnv::start("left-alone", Options::default()).await;
    env.create_settled(&Validators::new(4), 4).await;
    let before = env.recorder().history();
    let most = before.lives().into_values().max();
    assert!(most <= Some(2), "one restart brought everybody together:\n{before}");

    env.stays_quiet(A_MINUTE).await;

    let after = env.recorder().history();
    assert_eq!(after.lives(), before.lives(), "{after}");
    assert_eq!(after.voting().len(), FOUR.len(), "{after}");
    let down = after.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{after}");
}
