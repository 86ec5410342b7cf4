//! A change that stops validators from voting is rolled out to one of them only, and reverting it recovers that one.

use std::time::Duration;

use serde_json::json;
use test_kit::{FOUR, Options, TestEnv, Validators, wait_for};

const OTHERS: [&str; 2] = ["validator-5", "validator-6"];

fn patch_all(env: &TestEnv, annotations: &serde_json::Value) {
    let patch = json!({ "spec": { "podAnnotations": annotations } }).to_string();
    // One command for all: a later command would be a separate change.
    let nodes = FOUR.map(|name| format!("stellarnode/{name}"));
    let patch: Vec<&str> = ["patch", "--type=merge", "-p", &patch]
        .into_iter()
        .chain(nodes.iter().map(String::as_str))
        .collect();
    env.kubectl(&patch).ok("patch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_version_stops_at_the_first_validator_and_reverting_it_recovers() {
    let env = TestEnv::start("bad-version", Options::default().with("--rollout-deadline", "5s")).await;
    env.create_at_rest(&Validators::new(4), 4).await;
    let before = env.recorder().history().lives();

    patch_all(&env, &json!({ "test.stellar.org/voting-after": "never" }));
    wait_for(
        "the rollout to be reported as stalled",
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
    assert_eq!(history.voting().len(), 3, "three keep voting:\n{history}");
    let restarted = |lives: &std::collections::BTreeMap<String, usize>| {
        before.iter().filter(|(name, count)| lives[*name] > **count).count()
    };
    assert_eq!(restarted(&history.lives()), 1, "one was restarted:\n{history}");
    let waiting = FOUR
        .iter()
        .filter(|name| env.reason(name, "UpdatePending").as_deref() == Some("WaitsForTurn"));
    assert_eq!(waiting.count(), 3, "the others wait for their slot");

    patch_all(&env, &json!({ "test.stellar.org/voting-after": null }));
    env.settled(&FOUR).await;
    env.all_slots_free().await;
    wait_for("the stall to be over", Duration::from_secs(30), async || {
        FOUR.iter()
            .all(|name| env.reason(name, "RolloutStalled").is_none())
            .then_some(())
    })
    .await;
    let history = env.recorder().history();
    assert_eq!(
        restarted(&history.lives()),
        1,
        "the others were never restarted:\n{history}"
    );
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reverting_recovers_while_another_validator_is_down_and_no_voting_one_restarts() {
    let env = TestEnv::start("bad-version-alone", Options::default().with("--rollout-deadline", "5s")).await;
    let validators = Validators::new(6);
    let mut items: Vec<serde_json::Value> = (1..=6)
        .flat_map(|number| [validators.secret(number), validators.node(number)])
        .collect();
    // Two validators of another group on the same network.
    for node in items.iter_mut().filter(|item| item["kind"] == "StellarNode").skip(4) {
        node["spec"]["validatorConfig"]["knownPeersRef"] = json!({ "name": "other-peers" });
    }
    env.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string());
    env.settled(&FOUR).await;
    env.all_slots_free().await;

    patch_all(&env, &json!({ "test.stellar.org/voting-after": "never" }));
    let stalled = |name: &str| env.reason(name, "RolloutStalled").as_deref() == Some("DeadlineExceeded");
    wait_for(
        "the rollout to be reported as stalled",
        Duration::from_secs(60),
        async || FOUR.iter().all(|name| stalled(name)).then_some(()),
    )
    .await;
    let history = env.recorder().history();
    let voting = history.voting();
    let first = FOUR
        .into_iter()
        .find(|name| !voting.contains(*name))
        .expect("one was restarted");
    let broken = FOUR.into_iter().rfind(|name| *name != first).expect("another");
    // A manual change uses no slot.
    let set = format!("statefulset/{broken}");
    let never = json!({ "spec": { "template": { "metadata": { "annotations": { "test.stellar.org/voting-after": "never" } } } } });
    env.kubectl(&["patch", &set, "--type=merge", "-p", &never.to_string()])
        .ok("break another");
    wait_for("two to be down", Duration::from_secs(60), async || {
        (!env.recorder().history().voting().contains(broken)).then_some(())
    })
    .await;

    // The other group belongs to the same network, which cannot spare a third validator.
    for name in OTHERS {
        let version = r#"{"spec":{"version":"27.0.0"}}"#;
        env.kubectl(&["patch", &format!("stellarnode/{name}"), "--type=merge", "-p", version])
            .ok("patch");
    }
    wait_for(
        "the other group to name the validator that it waits for",
        Duration::from_secs(60),
        async || {
            let waits = |name: &str| {
                let node = env.get(&format!("stellarnode/{name}"))?;
                let conditions = node["status"]["conditions"].as_array()?;
                let pending = conditions.iter().find(|one| one["type"] == "UpdatePending")?;
                let message = pending["message"].as_str()?;
                (message.contains(&format!("/{first}")) && message.contains("has not ended within its deadline"))
                    .then_some(())
            };
            OTHERS.iter().all(|name| waits(name).is_some()).then_some(())
        },
    )
    .await;
    let history = env.recorder().history();
    assert!(OTHERS.iter().all(|name| history.voting().contains(*name)), "{history}");

    patch_all(&env, &json!({ "test.stellar.org/voting-after": null }));
    wait_for("the first to vote again", Duration::from_secs(60), async || {
        env.recorder().history().voting().contains(first).then_some(())
    })
    .await;
    wait_for(
        "the other group to have its new version",
        Duration::from_secs(120),
        async || {
            let has_it = |name: &str| {
                let pod = env.get(&format!("pod/{name}-0"))?;
                let image = pod["spec"]["containers"][0]["image"].as_str()?;
                image.ends_with(":27.0.0").then_some(())
            };
            OTHERS.iter().all(|name| has_it(name).is_some()).then_some(())
        },
    )
    .await;
}
