//! Four validators run for five minutes and each pod is deleted once by hand: the operator restarts none, and the list
//! follows each pod.

use std::time::{Duration, Instant};

use test_kit::{FOUR, Options, TestEnv, Validators, wait_for};

const FIVE_MINUTES: Duration = Duration::from_secs(300);
/// A rollout takes a little more than 30 s for each of the four validators.
const PATIENCE: Duration = Duration::from_secs(400);

#[tokio::test(flavor = "multi_thread")]
async fn no_validator_is_restarted() {
    let env = TestEnv::start("five-minutes", Options::as_shipped()).await;
    env.apply(&Validators::new(4).manifests(1..=4));
    env.settled_within(&FOUR, PATIENCE).await;
    env.all_slots_free_within(PATIENCE).await;
    let restarts = env.restarts(&FOUR);
    let lives = env.recorder().history().lives();
    let start = Instant::now();

    for (number, name) in (1..).zip(FOUR) {
        // Nothing may happen in this time, so there is no condition to wait for.
        tokio::time::sleep((FIVE_MINUTES / 5 * number).saturating_sub(start.elapsed())).await;
        let before = env.pod_ip(name);
        env.kubectl(&["delete", &format!("pod/{name}-0")]).ok("delete");
        wait_for("the list to follow the pod", Duration::from_secs(30), async || {
            let address = env.addresses(&[name])?.into_iter().next()?;
            let moved = env.pod_ip(name) != before && env.peers().contains(&address) && env.peers().len() == 4;
            moved.then_some(())
        })
        .await;
    }
    tokio::time::sleep(FIVE_MINUTES.saturating_sub(start.elapsed())).await;

    assert_eq!(env.restarts(&FOUR), restarts, "the operator restarted no validator");
    let history = env.recorder().history();
    let expected = lives.into_iter().map(|(name, lives)| (name, lives + 1)).collect();
    assert_eq!(history.lives(), expected, "each pod came back once:\n{history}");
    assert_eq!(history.voting().len(), 4, "{history}");
}
