//! A validator created without a peer port is stored with stellar-core's own, 11625.

use serde_json::json;
use test_kit::{Options, TestEnv, Validators};

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_is_stored_with_the_default_port_and_list() {
    let env = TestEnv::start("peer-port-default", Options::default()).await;
    let validators = Validators::new(1);
    env.apply(&validators.manifests([1]));
    let stored = env.get("stellarnode/validator-1").expect("it was created");
    let config = &stored["spec"]["validatorConfig"];
    assert_eq!(config["peerPort"], json!(11625));
    assert_eq!(
        config["knownPeersRef"],
        json!({ "name": "stellar-peers", "key": "KNOWN_PEERS" })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explicit_port_and_list_are_kept() {
    let env = TestEnv::start("peer-port-chosen", Options::default()).await;
    let validators = Validators::new(1);
    let mut node = validators.node(1);
    node["spec"]["validatorConfig"]["peerPort"] = json!(21625);
    node["spec"]["validatorConfig"]["knownPeersRef"] = json!({ "name": "other-peers", "key": "KNOWN_PEERS" });
    env.apply(&node.to_string());
    let stored = env.get("stellarnode/validator-1").expect("it was created");
    assert_eq!(stored["spec"]["validatorConfig"]["peerPort"], json!(21625));
    assert_eq!(
        stored["spec"]["validatorConfig"]["knownPeersRef"]["name"],
        json!("other-peers")
    );
}
