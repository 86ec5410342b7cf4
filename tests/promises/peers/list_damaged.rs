//! The list is output only. The operator restores a deleted or edited list, and leaves a list of another owner alone.

use serde_json::{Value, json};
use test_kit::{Options, SOON, TWO, TestEnv, Validators, wait_for};

fn data(env: &TestEnv) -> Option<Value> {
    Some(env.get("configmap/stellar-peers")?["data"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_or_edited_list_is_restored() {
    let env = TestEnv::start("list-damaged", Options::default()).await;
    env.create_at_rest(&Validators::new(4), 3).await;
    let before = data(&env).expect("a list");
    let lives = env.recorder().history().lives();

    let edit = json!({ "data": { "KNOWN_PEERS": "192.0.2.1:11625", "mine": "too" } }).to_string();
    env.kubectl(&["patch", "configmap/stellar-peers", "--type=merge", "-p", &edit])
        .ok("edit");
    wait_for("the list to be repaired", SOON, async || {
        (data(&env)? == before).then_some(())
    })
    .await;
    env.wait_for_event("validator-1", "PeersRepaired", "ConfigMap stellar-peers")
        .await;

    env.kubectl(&["delete", "configmap/stellar-peers"]).ok("delete");
    wait_for("the list to be recreated", SOON, async || {
        (data(&env)?["KNOWN_PEERS"] == before["KNOWN_PEERS"]).then_some(())
    })
    .await;
    env.all_slots_free().await;
    assert_eq!(
        env.recorder().history().lives(),
        lives,
        "no validator was restarted for it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_another_owner_is_left_alone() {
    let env = TestEnv::start("list-foreign", Options::default()).await;
    let validators = Validators::new(4);
    let foreign = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "stellar-peers" }, "data": { "mine": "alone" },
    });
    env.apply(&foreign.to_string());
    let mut node = validators.node(2);
    node["spec"]["validatorConfig"]["knownPeersRef"] = json!({ "name": "kube-root-ca.crt" });
    let items = [validators.secret(1), validators.node(1), validators.secret(2), node];
    env.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string());

    for name in TWO {
        wait_for("the validator to report it", SOON, async || {
            (env.reason(name, "PeersReady").as_deref() == Some("NotOurs")).then_some(())
        })
        .await;
        env.wait_for_event(name, "NotOurs", "ConfigMap").await;
        wait_for("the validator to run nevertheless", SOON, async || {
            env.recorder().history().voting().contains(name).then_some(())
        })
        .await;
    }
    assert_eq!(data(&env), Some(json!({ "mine": "alone" })));
    let root = env.get("configmap/kube-root-ca.crt").expect("the cluster's own");
    assert!(root["data"].as_object().is_some_and(|data| data.len() == 1), "{root}");
}
