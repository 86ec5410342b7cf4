//! The common beginning and end of most faults: four connected validators.

use std::collections::BTreeMap;

use test_kit::{FOUR, SOON, TestEnv, Validators, wait_for};

use crate::component::supervise;

/// How many pods each validator has had.
pub(crate) type Lives = BTreeMap<String, usize>;

/// Creates four validators and waits until no slot is in use.
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

/// Asserts that all vote, no slot is in use, and each validator had exactly these pods.
pub(crate) async fn assert_lives(env: &TestEnv, lives: &Lives) {
    all_vote(env, lives).await;
    env.all_slots_free().await;
    let history = env.recorder().history();
    assert_eq!(history.lives(), *lives, "{history}");
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
}

/// Waits until a create passes the webhook: the API server refuses a create if no trusted webhook answers.
pub(crate) async fn is_reviewed(env: &TestEnv, validators: &Validators) {
    let fifth = validators.manifests([5]);
    wait_for("a review", SOON, async || {
        let create = ["create", "--dry-run=server", "-f", "-"];
        env.kubectl_with(&create, &fifth).success.then_some(())
    })
    .await;
}

/// Waits until the operator has logged these words at this level.
pub(crate) async fn logged(env: &TestEnv, level: &str, words: &str) {
    wait_for(&format!("the log to say: {words}"), SOON, async || {
        let log = env.log();
        log.lines()
            .any(|line| line.contains(level) && line.contains(words))
            .then_some(())
    })
    .await;
}

/// Adds a fifth validator. In the end all have loaded its address, and each of the four has restarted once.
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
