//! A pod that hangs while terminating keeps its slot: no other member of its group restarts, the status names the pod
//! after the deadline, and another network continues.

use serde_json::json;
use test_kit::{FOUR, SOON, TestEnv, Validators, wait_for};

use super::actions::HeldPod;
use super::peers_list::PeersList;
use super::{
    all_have_new_version, ask_for_new_version, assert_one_at_a_time, condition, has_new_version, holder, linked,
    unlinked, wait_for_condition, with_more,
};

const OTHERS: [&str; 2] = ["validator-5", "validator-6"];

/// Four validators of one network and two of another.
fn two_networks() -> String {
    let validators = Validators::new(6);
    let mut items = Vec::new();
    for number in 1..=6 {
        let mut node = validators.node(number);
        if number > 4 {
            node["spec"]["validatorConfig"]["knownPeersRef"] = json!({ "name": "other-peers" });
            let passphrase = node["spec"]["network"].as_str().expect("a passphrase");
            node["spec"]["network"] = json!(format!("{passphrase}, apart"));
        }
        items.extend([validators.secret(number), node]);
    }
    json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_pod_keeps_its_slot_and_is_named_while_another_network_continues() {
    let env = TestEnv::start("stuck-terminating", unlinked().with("--rollout-deadline", "5s")).await;
    env.apply(&two_networks());
    linked(&env).await;
    wait_for("the other network", SOON, async || {
        let voting = env.recorder().history().voting();
        OTHERS.iter().all(|name| voting.contains(*name)).then_some(())
    })
    .await;
    env.all_slots_free().await;
    let downs = env.recorder().history().downs();
    let list = PeersList::watch(&env).await;

    let held = HeldPod::of(&env, "validator-1");
    ask_for_new_version(&env, &FOUR);
    wait_for("its slot", SOON, async || {
        (holder(&env)? == "validator-1").then_some(())
    })
    .await;
    for name in FOUR {
        wait_for_condition(
            &env,
            name,
            "RolloutStalled",
            "DeadlineExceeded",
            "/validator-1 has not ended",
        )
        .await;
    }
    ask_for_new_version(&env, &OTHERS);
    wait_for("the other network to have its new version", SOON, async || {
        let voting = env.recorder().history().voting();
        let there = |name: &&str| voting.contains(*name) && has_new_version(&env, name);
        OTHERS.iter().all(there).then_some(())
    })
    .await;
    for name in OTHERS {
        // On a slow machine its own restart may exceed the short deadline of this test, too.
        let told = condition(&env, name, "RolloutStalled").unwrap_or_default();
        let message = told["message"].as_str().unwrap_or_default();
        assert!(
            !message.contains("/validator-1 "),
            "{name} belongs to the other network: {message}"
        );
    }
    let history = env.recorder().history();
    assert_eq!(
        history.downs(),
        with_more(&with_more(&downs, &OTHERS, 1), &["validator-1"], 1),
        "no other member restarted:\n{history}"
    );
    let events = env.get("events.events.k8s.io").expect("Events");
    let is_said = |event: &serde_json::Value| event["reason"] == "DeadlineExceeded";
    assert!(
        events["items"]
            .as_array()
            .is_some_and(|events| events.iter().any(is_said))
    );

    drop(held);
    all_have_new_version(&env, &FOUR).await;
    wait_for("the stall to be over", SOON, async || {
        FOUR.iter()
            .all(|name| condition(&env, name, "RolloutStalled").is_none())
            .then_some(())
    })
    .await;
    let history = env.recorder().history();
    assert_eq!(
        history.downs(),
        with_more(&with_more(&downs, &OTHERS, 1), &FOUR, 1),
        "{history}"
    );
    assert_one_at_a_time(&env, &OTHERS);
    list.assert_at_least(4);
}
