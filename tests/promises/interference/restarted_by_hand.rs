//! `kubectl rollout restart` of a StatefulSet during a rollout by the operator. Manual restarts are not counted, the
//! operator still takes down one validator at a time, and a pod that read the new list this way is not restarted again.

use super::peers_list::PeersList;
use super::{Rollout, all_have_new_version, assert_one_at_a_time, four_at_rest, holder, with_more};
use test_kit::{FOUR, Options, SOON, TestEnv, Validators, wait_for};

const FIVE: [&str; 5] = [
    "validator-1",
    "validator-2",
    "validator-3",
    "validator-4",
    "validator-5",
];

fn restart(env: &TestEnv, name: &str) {
    env.kubectl(&["rollout", "restart", &format!("statefulset/{name}")])
        .ok("rollout restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_validator_restarted_by_hand_needs_no_slot() {
    let env = TestEnv::start("restarted-waiting", Options::default()).await;
    let validators = Validators::new(5);
    let downs = four_at_rest(&env, &validators).await;
    let list = PeersList::watch(&env).await;

    env.apply(&validators.manifests(5..=5));
    let first = wait_for("the first slot", SOON, async || holder(&env)).await;
    let waiting = FOUR.into_iter().rfind(|name| *name != first).expect("others wait");
    restart(&env, waiting);
    env.settled(&FIVE).await;
    env.all_slots_free().await;
    let history = env.recorder().history();
    let counts = history.downs();
    let expected = with_more(&downs, &FOUR, 1);
    for name in FOUR {
        assert_eq!(counts[name], expected[name], "{name}:\n{history}");
    }
    assert_one_at_a_time(&env, &[waiting]);
    list.assert_at_least(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn holder_and_waiting_validator_restarted_by_hand_get_the_new_version() {
    let env = TestEnv::start("restarted-holder", Options::default()).await;
    let downs = four_at_rest(&env, &Validators::new(4)).await;
    let list = PeersList::watch(&env).await;

    let rollout = Rollout::begin(&env).await;
    let (first, waiting) = (rollout.first.as_str(), rollout.waiting);
    restart(&env, first);
    restart(&env, waiting);
    all_have_new_version(&env, &FOUR).await;
    env.settled(&FOUR).await;
    let history = env.recorder().history();
    let counts = history.downs();
    for name in FOUR {
        let by_hand = usize::from(name == first || name == waiting);
        let most = rollout.downs(&env, name, by_hand);
        // Kubernetes may combine two changes of a template into one restart.
        let new = counts[name] - downs[name];
        assert!((1..=most).contains(&new), "{name}: {new} times down\n{history}");
    }
    assert_one_at_a_time(&env, &[waiting]);
    list.assert_at_least(4);
}
