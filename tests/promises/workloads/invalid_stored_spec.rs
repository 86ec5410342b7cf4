//! A stored StellarNode that breaks a rule keeps running, reports the problem and can still be suspended. Objects that
//! conflict with it are not changed.

use serde_json::json;
use test_kit::{Options, SOON, TestEnv, Validators, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_with_an_invalid_stored_spec_keeps_running_and_can_be_suspended() {
    let env = TestEnv::start("later-rules", Options::default()).await;
    env.apply(&Validators::new(4).manifests([1]));
    env.settled(&["validator-1"]).await;
    let lives = env.recorder().history().lives();

    env.delete_validating_webhook();
    // The API server sees the change only some time later.
    wait_for(
        "the API server to store what the webhook would refuse",
        SOON,
        async || {
            let broken = r#"{"spec":{"validatorConfig":{"quorumSet":"[QUORUM_SET"}}}"#;
            env.kubectl(&["patch", "stellarnode/validator-1", "--type=merge", "-p", broken]);
            let node = env.get("stellarnode/validator-1")?;
            (node["spec"]["validatorConfig"]["quorumSet"] == json!("[QUORUM_SET")).then_some(())
        },
    )
    .await;
    wait_for("the validator to report it", SOON, async || {
        (env.reason("validator-1", "ConfigInvalid").as_deref() == Some("Refused")).then_some(())
    })
    .await;
    assert_eq!(env.recorder().history().lives(), lives, "the pod keeps running");

    let suspend = r#"{"spec":{"suspended":true}}"#;
    env.kubectl(&["patch", "stellarnode/validator-1", "--type=merge", "-p", suspend])
        .ok("suspend");
    wait_for("the StatefulSet to be scaled to 0", SOON, async || {
        (env.get("statefulset/validator-1")?["spec"]["replicas"] == json!(0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_of_another_owner_is_left_alone() {
    let env = TestEnv::start("foreign-config", Options::default()).await;
    let foreign = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "validator-1-config" }, "data": { "mine": "alone" },
    });
    env.apply(&foreign.to_string());
    env.apply(&Validators::new(4).manifests([1]));
    wait_for("the validator to report it", SOON, async || {
        (env.reason("validator-1", "Degraded").as_deref() == Some("NotOurs")).then_some(())
    })
    .await;
    assert!(env.get("statefulset/validator-1").is_none());
    assert_eq!(
        env.get("configmap/validator-1-config").expect("there")["data"],
        json!({ "mine": "alone" })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn suspension_works_despite_a_name_conflict() {
    let env = TestEnv::start("foreign-service", Options::default()).await;
    env.apply(&Validators::new(4).manifests([1]));
    env.settled(&["validator-1"]).await;
    let theirs = "app.kubernetes.io/managed-by=Helm";
    env.kubectl(&["label", "service/validator-1-headless", "--overwrite", theirs])
        .ok("another owner takes its Service");
    let suspend = r#"{"spec":{"suspended":true}}"#;
    env.kubectl(&["patch", "stellarnode/validator-1", "--type=merge", "-p", suspend])
        .ok("suspend");
    wait_for("the StatefulSet to be scaled to 0", SOON, async || {
        (env.get("statefulset/validator-1")?["spec"]["replicas"] == json!(0)).then_some(())
    })
    .await;
    wait_for("the validator to report the Service", SOON, async || {
        (env.reason("validator-1", "Degraded").as_deref() == Some("NotOurs")).then_some(())
    })
    .await;
}
