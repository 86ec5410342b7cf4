//! Two networks in one namespace never share a list.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use test_kit::{Options, TWO, TestEnv, Validators, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_network_is_left_out_and_its_status_says_what_to_do() {
    let env = TestEnv::start("networks", Options::default()).await;
    let one = Validators::new(4);
    env.create_settled(&one, 2).await;

    let other = Validators::new(4);
    let mut node = other.node(3);
    let name = "stranger";
    node["metadata"]["name"] = json!(name);
    let items = [other.secret(3), node];
    env.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string());
    wait_for(
        "the node of another network to report the conflict",
        Duration::from_secs(30),
        async || (env.reason(name, "PeersReady").as_deref() == Some("NetworkConflict")).then_some(()),
    )
    .await;
    env.wait_for_event(name, "NetworkConflict", "knownPeersRef.name").await;
    wait_for(
        "the node of another network to vote",
        Duration::from_secs(30),
        async || env.recorder().history().voting().contains(name).then_some(()),
    )
    .await;
    env.all_slots_free().await;
    assert_eq!(Some(env.peers()), env.addresses(&TWO));
    // Its pod mounts the ConfigMap nevertheless.
    assert_eq!(
        env.rendered_peers(name),
        Some(BTreeSet::new()),
        "its config has no peer of the first network"
    );

    // The message recommends another list.
    let apart = json!({ "spec": { "validatorConfig": { "knownPeersRef": { "name": "others" } } } }).to_string();
    env.kubectl(&["patch", &format!("stellarnode/{name}"), "--type=merge", "-p", &apart])
        .ok("patch");
    wait_for("a list of its own", Duration::from_secs(60), async || {
        let list = env.get("configmap/others")?;
        let address = env.addresses(&[name])?.into_iter().next()?;
        (list["data"]["KNOWN_PEERS"] == json!(address)).then_some(())
    })
    .await;
    assert_eq!(Some(env.peers()), env.addresses(&TWO));
}
