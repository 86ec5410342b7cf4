//! A change with which validators never vote again stops at the first of them, and taking it back heals that one.

use std::time::Duration;

use serde_json::json;

use crate::common::{Options, TestEnv, Validators, wait_for};

const FOUR: [&str; 4] = ["validator-1", "validator-2", "validator-3", "validator-4"];

fn patch_all(env: &TestEnv, annotations: &serde_json::Value) {
    let patch = json!({ "spec": { "podAnnotations": annotations } }).to_string();
    for name in FOUR {
        env.kubectl(&["patch", &format!("stellarnode/{name}"), "--type=merge", "-p", &patch])
            .ok("patch");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_at_the_first_and_taking_it_back_heals_it() {
    let env = TestEnv::start("bad-version", Options::default().with("--rollout-deadline", "5s")).await;
    env.apply(&Validators::new(4).manifests(1..=4));
    env.settled(&FOUR).await;
    env.without_turns().await;
    let before = env.recorder().history().lives();

    patch_all(&env, &json!({ "test.stellar.org/voting-after": "never" }));
    wait_for(
        "the rollout to be called stalled",
        Duration::from_secs(60),
        async || {
            let stalled = FOUR
                .iter()
                .all(|name| env.reason(name, "RolloutStalled").as_deref() == Some("DeadlineExceeded"));
            stalled.then_some(())
        },
    )
    .await;
    let history = env.recorder().history();
    assert_eq!(history.voting().len(), 3, "three vote on:\n{history}");
    let restarted = |lives: &std::collections::BTreeMap<String, usize>| {
        before.iter().filter(|(name, count)| lives[*name] > **count).count()
    };
    assert_eq!(restarted(&history.lives()), 1, "one was restarted:\n{history}");
    let waiting = FOUR
        .iter()
        .filter(|name| env.reason(name, "UpdatePending").as_deref() == Some("WaitsForTurn"));
    assert_eq!(waiting.count(), 3, "the others wait for their turn");

    patch_all(&env, &json!({ "test.stellar.org/voting-after": null }));
    env.settled(&FOUR).await;
    env.without_turns().await;
    wait_for("the stall to be over", Duration::from_secs(30), async || {
        FOUR.iter()
            .all(|name| env.reason(name, "RolloutStalled").is_none())
            .then_some(())
    })
    .await;
    let history = env.recorder().history();
    assert_eq!(restarted(&history.lives()), 1, "the others never changed:\n{history}");
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
}
