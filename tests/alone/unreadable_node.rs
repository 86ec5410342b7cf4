//! A StellarNode that cannot be parsed, as an older CustomResourceDefinition may have allowed, reports this, keeps its
//! place in the list, and blocks no other node.

use serde_json::json;
use test_kit::{FOUR, Options, SOON, THREE, TestEnv, Validators, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_node_is_reported_and_blocks_no_other() {
    let env = TestEnv::start("unreadable", Options::default().with("--restart", "unlinked")).await;
    let validators = Validators::new(4);
    env.apply(&validators.manifests(1..=3));
    wait_for("three to vote", SOON, async || {
        let voting = env.recorder().history().voting().len() == 3;
        (voting && Some(env.peers()) == env.addresses(&THREE)).then_some(())
    })
    .await;
    let lives = env.recorder().history().lives();

    // The CRD allows any port and no webhook refuses one.
    env.delete_validating_webhook();
    let port = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/validatorConfig/properties/peerPort/maximum";
    let any = json!([{ "op": "remove", "path": port }]).to_string();
    let crd = "crd/stellarnodes.stellar.org";
    env.kubectl(&["patch", crd, "--type=json", "-p", &any]).ok("loosen");
    wait_for("the API server to store what cannot be read", SOON, async || {
        let wrong = r#"{"spec":{"validatorConfig":{"peerPort":70000}}}"#;
        env.kubectl(&["patch", "stellarnode/validator-2", "--type=merge", "-p", wrong]);
        let node = env.get("stellarnode/validator-2")?;
        (node["spec"]["validatorConfig"]["peerPort"] == 70000).then_some(())
    })
    .await;
    let restored = json!([{ "op": "add", "path": port, "value": 65535 }]).to_string();
    env.kubectl(&["patch", crd, "--type=json", "-p", &restored])
        .ok("restore");

    wait_for("the node to report it", SOON, async || {
        (env.reason("validator-2", "ConfigInvalid").as_deref() == Some("Unreadable")).then_some(())
    })
    .await;
    // The other nodes are still reconciled, and the unreadable one keeps its place.
    env.apply(&validators.manifests([4]));
    wait_for("the fourth to join", SOON, async || {
        (Some(env.peers()) == env.addresses(&FOUR)).then_some(())
    })
    .await;
    let mut expected = lives;
    expected.insert("validator-4".to_owned(), 1);
    let history = env.recorder().history();
    assert_eq!(history.lives(), expected, "no validator was restarted:\n{history}");

    let right = r#"{"spec":{"validatorConfig":{"peerPort":11625}}}"#;
    env.kubectl(&["patch", "stellarnode/validator-2", "--type=merge", "-p", right])
        .ok("correct it");
    wait_for("the node to recover", SOON, async || {
        let invalid = env.reason("validator-2", "ConfigInvalid");
        (invalid.is_none() && env.reason("validator-2", "Ready").as_deref() == Some("PodReady")).then_some(())
    })
    .await;
}
