//! Validators that do not become ready. One that was never ready is no member and delays no other until its own change
//! gets a slot, which does not end and is reported. While a member is permanently down, the operator restarts no other
//! and each says why; the member itself gets its own change.

use serde_json::json;
use test_kit::{FOUR, Options, SOON, TestEnv, Validators, wait_for};

use super::peers_list::PeersList;
use super::{
    all_have_new_version, ask_for_new_version, assert_one_at_a_time, four_at_rest, four_linked, has_new_version,
    holder, unlinked, wait_for_condition, with_more,
};

/// The three voting validators.
const VOTERS: [&str; 3] = ["validator-1", "validator-3", "validator-4"];

#[tokio::test(flavor = "multi_thread")]
async fn a_new_validator_that_is_never_ready_delays_others_only_in_its_own_slot() {
    let options = Options::default()
        .with("--join-wait", "2s")
        .with("--rollout-deadline", "5s");
    let env = TestEnv::start("never-ready", options).await;
    let validators = Validators::new(5);
    let downs = four_at_rest(&env, &validators).await;
    let list = PeersList::watch(&env).await;
    let mut newcomer = validators.node(5);
    newcomer["spec"]["podAnnotations"] = json!({ "test.stellar.org/core-ready-after": "never" });
    env.apply(&validators.secret(5).to_string());
    env.apply(&newcomer.to_string());
    wait_for_condition(&env, "validator-5", "Joined", "NeverReady", "has not been ready").await;

    ask_for_new_version(&env, &FOUR);
    all_have_new_version(&env, &FOUR).await;
    let history = env.recorder().history();
    let expected = with_more(&with_more(&downs, &FOUR, 1), &["validator-5"], 0);
    assert_eq!(history.downs(), expected, "{history}");
    assert_eq!(env.peers().len(), 4, "the new validator is no peer yet");

    // Validators that do not vote get their slot first. The change does not make this one ready.
    ask_for_new_version(&env, &["validator-5"]);
    for name in FOUR {
        wait_for_condition(
            &env,
            name,
            "RolloutStalled",
            "DeadlineExceeded",
            "/validator-5 has not ended",
        )
        .await;
    }
    let heal = json!({ "spec": { "podAnnotations": null } }).to_string();
    env.kubectl(&["patch", "stellarnode/validator-5", "--type=merge", "-p", &heal])
        .ok("patch");
    env.settled(&[
        "validator-1",
        "validator-2",
        "validator-3",
        "validator-4",
        "validator-5",
    ])
    .await;
    env.all_slots_free().await;
    assert_one_at_a_time(&env, &[]);
    list.assert_at_least(4);
}

/// Changes the StatefulSet so that its validator never votes again; a manual change uses no slot.
async fn break_for_good(env: &TestEnv, name: &str) {
    let never = json!({ "spec": { "template": { "metadata": { "annotations": { "test.stellar.org/voting-after": "never" } } } } });
    env.kubectl(&[
        "patch",
        &format!("statefulset/{name}"),
        "--type=merge",
        "-p",
        &never.to_string(),
    ])
    .ok("break it");
    wait_for("it to be down with its new pod", SOON, async || {
        let set = env.get(&format!("statefulset/{name}"))?;
        let pod = env.get(&format!("pod/{name}-0"))?;
        let annotations = &pod["metadata"]["annotations"];
        let new = annotations["test.stellar.org/voting-after"] == "never" && pod["status"]["phase"] == "Running";
        (new && set["status"]["readyReplicas"].as_i64().unwrap_or(0) == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_validator_restarts_while_one_is_down_and_each_says_why() {
    let env = TestEnv::start("down-for-good", unlinked()).await;
    let downs = four_linked(&env, &Validators::new(4)).await;
    let list = PeersList::watch(&env).await;
    break_for_good(&env, "validator-2").await;

    ask_for_new_version(&env, &FOUR);
    wait_for("the broken validator to get its own change", SOON, async || {
        has_new_version(&env, "validator-2").then_some(())
    })
    .await;
    env.all_slots_free().await;
    for name in VOTERS {
        wait_for_condition(
            &env,
            name,
            "UpdatePending",
            "WaitsForTurn",
            "/validator-2, which does not vote",
        )
        .await;
    }
    assert_eq!(holder(&env), None, "no slot is in use");
    let history = env.recorder().history();
    assert_eq!(history.downs(), with_more(&downs, &["validator-2"], 1), "{history}");

    // After its recovery the others get their slots.
    let heal = r#"{"spec":{"template":{"metadata":{"annotations":{"test.stellar.org/voting-after":null}}}}}"#;
    env.kubectl(&["patch", "statefulset/validator-2", "--type=merge", "-p", heal])
        .ok("heal it");
    all_have_new_version(&env, &FOUR).await;
    let history = env.recorder().history();
    let expected = with_more(&downs, &FOUR, 1);
    assert_eq!(history.downs(), expected, "{history}");
    assert_one_at_a_time(&env, &["validator-2"]);
    list.assert_at_least(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_two_slots_the_others_restart_while_one_is_down() {
    let env = TestEnv::start("down-beside", unlinked().with("--max-unavailable", "2")).await;
    let downs = four_linked(&env, &Validators::new(4)).await;
    break_for_good(&env, "validator-2").await;
    ask_for_new_version(&env, &VOTERS);
    all_have_new_version(&env, &VOTERS).await;
    let history = env.recorder().history();
    let expected = with_more(&downs, &FOUR, 1);
    assert_eq!(history.downs(), expected, "{history}");
}
