//! What most faults begin and end with: four validators that know each other.

use std::collections::BTreeMap;

use test_kit::{FOUR, SOON, TestEnv, Validators, wait_for};

use crate::component::supervise;

/// How many pods each validator has had.
pub(crate) type Lives = BTreeMap<String, usize>;

/// Creates them and waits until nobody has a slot.
pub(crate) async fn at_rest(env: &TestEnv) -> (Validators, Lives) {
    supervise();
    let validators = Validators::new(5);
    env.create_at_rest(&validators, 4).await;
    let lives = env.recorder().history().lives();
    (validators, lives)
}

/// Deletes the pod of a validator by hand and waits until the list has its new address and all vote again.
pub(crate) async fn lose(env: &TestEnv, name: &str, lives: &mut Lives) {
    let before = env.pod_ip(name);
    env.kubectl(&["delete", &format!("pod/{name}-0"), "--wait=false"])
        .ok("delete");
    *lives.entry(name.to_owned()).or_default() += 1;
    wait_for("the list to follow", SOON, async || {
        let moved = env.pod_ip(name).is_some_and(|ip| Some(ip) != before);
        let seen = env.recorder().history().lives().get(name) >= lives.get(name);
        (moved && seen && Some(env.peers()) == env.addresses(&FOUR)).then_some(())
    })
    .await;
    all_vote(env, lives).await;
}

async fn all_vote(env: &TestEnv, lives: &Lives) {
    wait_for("all to vote", SOON, async || {
        (env.recorder().history().voting().len() == lives.len()).then_some(())
    })
    .await;
}

/// All vote, nobody has a slot, and nobody had another pod than these.
pub(crate) async fn assert_lives(env: &TestEnv, lives: &Lives) {
    all_vote(env, lives).await;
    env.all_slots_free().await;
    let history = env.recorder().history();
    assert_eq!(history.lives(), *lives, "{history}");
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
}

/// Waits until a create passes the webhook: the validating one refuses whatever nobody whom the API server trusts
/// answers for.
pub(crate) async fn is_reviewed(env: &TestEnv, validators: &Validators) {
    let fifth = validators.manifests([5]);
    wait_for("a review", SOON, async || {
        let create = ["create", "--dry-run=server", "-f", "-"];
        env.kubectl_with(&create, &fifth).success.then_some(())
    })
    .await;
}

/// Waits until the operator has logged this.
pub(crate) async fn logged(env: &TestEnv, level: &str, words: &str) {
    wait_for(&format!("the log to say: {words}"), SOON, async || {
        let log = env.log();
        log.lines()
            .any(|line| line.contains(level) && line.contains(words))
            .then_some(())
    })
    .await;
}

/// A fifth joins; all know it in the end, each of the four restarted once for it.
pub(crate) async fn a_fifth_joins(env: &TestEnv, validators: &Validators, mut lives: Lives) {
    env.apply(&validators.manifests([5]));
    let five: Vec<&str> = FOUR.into_iter().chain(["validator-5"]).collect();
    env.settled_within(&five, SOON * 2).await;
    for count in lives.values_mut() {
        *count += 1;
    }
    lives.insert("validator-5".to_owned(), 1);
    assert_lives(env, &lives).await;
}
