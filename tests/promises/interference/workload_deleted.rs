//! The operator recreates a deleted StatefulSet and restarts no other validator. With `--cascade=orphan` the pod keeps
//! running and the new StatefulSet adopts it unchanged; a changed template is applied in the validator's slot.

use serde_json::Value;
use test_kit::{FOUR, Options, SOON, TestEnv, Validators, wait_for};

use super::actions::delete_workloads;
use super::peers_list::PeersList;
use super::{
    Rollout, all_have_new_version, ask_for_new_version, assert_one_at_a_time, four_at_rest, holder, with_more,
};

fn uid(env: &TestEnv, name: &str) -> Option<Value> {
    Some(env.get(&format!("statefulset/{name}"))?["metadata"]["uid"].clone())
}

/// Waits until each validator has a new StatefulSet that owns its pod, and the pod matches the current template.
async fn taken_over(env: &TestEnv, before: &[(&str, Option<Value>)]) {
    wait_for("new StatefulSets with their pods", SOON, async || {
        before.iter().try_for_each(|(name, old)| {
            let set = env.get(&format!("statefulset/{name}"))?;
            let pod = env.get(&format!("pod/{name}-0"))?;
            let uid = &set["metadata"]["uid"];
            let new = Some(uid) != old.as_ref() && pod["metadata"]["ownerReferences"][0]["uid"] == *uid;
            let seen = set["status"]["observedGeneration"] == set["metadata"]["generation"];
            let revision = &pod["metadata"]["labels"]["controller-revision-hash"];
            let wanted = set["status"]["updateRevision"] == *revision && set["status"]["readyReplicas"] == 1;
            (new && seen && wanted).then_some(())
        })
    })
    .await;
}

fn present<'a>(env: &TestEnv, names: &[&'a str]) -> Vec<(&'a str, Option<Value>)> {
    names.iter().map(|name| (*name, uid(env, name))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_deleted_at_rest_is_restored_and_only_its_pod_is_new() {
    let env = TestEnv::start("set-deleted", Options::default()).await;
    let downs = four_at_rest(&env, &Validators::new(4)).await;
    let list = PeersList::watch(&env).await;
    let restarts = env.restarts(&["validator-1", "validator-3", "validator-4"]);

    let before = present(&env, &["validator-2"]);
    delete_workloads(&env, &["validator-2"], "background");
    taken_over(&env, &before).await;
    env.settled(&FOUR).await;
    env.all_slots_free().await;
    let history = env.recorder().history();
    assert_eq!(history.downs(), with_more(&downs, &["validator-2"], 1), "{history}");
    assert_eq!(env.restarts(&["validator-1", "validator-3", "validator-4"]), restarts);
    list.assert_at_least(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_orphaned_at_rest_are_adopted_without_a_new_pod() {
    let env = TestEnv::start("sets-orphaned", Options::default()).await;
    let downs = four_at_rest(&env, &Validators::new(4)).await;
    let list = PeersList::watch(&env).await;

    let before = present(&env, &FOUR);
    delete_workloads(&env, &FOUR, "orphan");
    taken_over(&env, &before).await;
    env.settled(&FOUR).await;
    env.all_slots_free().await;
    let history = env.recorder().history();
    assert_eq!(history.downs(), downs, "{history}");
    list.assert_at_least(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_orphaned_in_a_rollout_each_restart_once_in_their_slot() {
    let env = TestEnv::start("orphaned-in-rollout", Options::default()).await;
    let downs = four_at_rest(&env, &Validators::new(4)).await;
    let list = PeersList::watch(&env).await;

    ask_for_new_version(&env, &FOUR);
    let first = wait_for("the first slot", SOON, async || holder(&env)).await;
    // One of them holds the slot.
    delete_workloads(&env, &FOUR, "orphan");
    all_have_new_version(&env, &FOUR).await;
    env.settled(&FOUR).await;
    let history = env.recorder().history();
    let counts = history.downs();
    for name in FOUR {
        // For the holder, Kubernetes may replace the pod after the new StatefulSet adopted it.
        let most = if name == first { 2 } else { 1 };
        let new = counts[name] - downs[name];
        assert!((1..=most).contains(&new), "{name}: {new} times down\n{history}");
    }
    assert_one_at_a_time(&env, &[]);
    list.assert_at_least(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_deleted_in_a_rollout_is_restored_and_the_rollout_continues() {
    let env = TestEnv::start("deleted-in-rollout", Options::default()).await;
    let downs = four_at_rest(&env, &Validators::new(4)).await;
    let list = PeersList::watch(&env).await;

    let rollout = Rollout::begin(&env).await;
    let (first, waiting) = (rollout.first.as_str(), rollout.waiting);
    delete_workloads(&env, &[first, waiting], "background");
    all_have_new_version(&env, &FOUR).await;
    env.settled(&FOUR).await;
    let history = env.recorder().history();
    let counts = history.downs();
    for name in FOUR {
        // The slot in use or the manual deletion has already taken the pod down.
        let by_hand = usize::from(name == first);
        let most = rollout.downs(&env, name, by_hand);
        let new = counts[name] - downs[name];
        assert!((1..=most).contains(&new), "{name}: {new} times down\n{history}");
    }
    assert_one_at_a_time(&env, &[first, waiting]);
    list.assert_at_least(4);
}
