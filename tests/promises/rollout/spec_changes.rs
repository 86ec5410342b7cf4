//! A changed field of a spec restarts each affected validator once. A new operator version restarts none.

use std::time::Duration;

use serde_json::{Value, json};
use test_kit::{FOUR, Options, TestEnv, Validators, wait_for};

/// Longer than every wait of the operator in these tests.
const CALM: Duration = Duration::from_secs(8);
const SOON: Duration = Duration::from_secs(120);

fn patch(env: &TestEnv, validator: &str, spec: &Value) {
    let patch = json!({ "spec": spec }).to_string();
    let node = format!("stellarnode/{validator}");
    env.kubectl(&["patch", &node, "--type=merge", "-p", &patch]).ok("patch");
}

fn template(env: &TestEnv, validator: &str) -> Value {
    let set = env.get(&format!("statefulset/{validator}")).expect("its StatefulSet");
    set["spec"]["template"].clone()
}

/// Waits until the controller has seen the last change of each validator.
async fn seen(env: &TestEnv) {
    wait_for("the last specs to be seen", SOON, async || {
        let seen = |validator: &&str| {
            let node = env.get(&format!("stellarnode/{validator}"))?;
            (node["status"]["observedGeneration"] == node["metadata"]["generation"]).then_some(())
        };
        FOUR.iter().map(seen).collect::<Option<Vec<()>>>()
    })
    .await;
}

async fn settled(name: &str) -> (TestEnv, Validators) {
    let env = TestEnv::start(name, Options::default()).await;
    let validators = Validators::new(4);
    env.create_at_rest(&validators, 4).await;
    (env, validators)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_changed_field_restarts_only_the_affected_validators() {
    let (env, _validators) = settled("spec-changes").await;
    let before = env.recorder().history().lives();
    let templates: Vec<Value> = FOUR.iter().map(|name| template(&env, name)).collect();

    // Fields that do not affect pods, and fields set to their previous values.
    let defaults = json!({ "peerPort": 11625, "peersAs": "Known", "enableHistoryArchive": false });
    for (validator, spec) in FOUR.iter().zip([
        json!({ "storage": { "size": "2Gi", "retentionPolicy": "Retain" }, "maxUnavailable": 1 }),
        json!({ "validatorConfig": defaults, "suspended": false, "replicas": 1 }),
        json!({ "validatorConfig": { "knownPeersRef": { "name": "stellar-peers", "key": "KNOWN_PEERS" } } }),
        json!({ "env": [], "sidecars": [], "podLabels": {}, "resources": {} }),
    ]) {
        patch(&env, validator, &spec);
    }
    seen(&env).await;
    env.stays_quiet(CALM).await;
    let after: Vec<Value> = FOUR.iter().map(|name| template(&env, name)).collect();
    assert_eq!(after, templates, "each template is unchanged, byte for byte");
    assert_eq!(env.recorder().history().lives(), before, "no validator was restarted");

    // Fields that affect the pod or its config cost one restart each.
    for (validator, spec) in FOUR.iter().zip([
        json!({ "version": "26.1.0-1.jammy" }),
        json!({ "validatorConfig": { "coreConfig": "TARGET_PEER_CONNECTIONS=20" } }),
        json!({ "validatorConfig": { "knownPeers": ["core.example:11625"] } }),
        json!({ "resources": { "requests": { "cpu": "100m" } } }),
    ]) {
        patch(&env, validator, &spec);
    }
    let expected = before.iter().map(|(name, lives)| (name.clone(), lives + 1)).collect();
    wait_for("each to have its change", SOON, async || {
        let history = env.recorder().history();
        (history.lives() == expected && history.voting().len() == FOUR.len()).then_some(())
    })
    .await;
    env.all_slots_free().await;
    env.stays_quiet(CALM).await;
    let history = env.recorder().history();
    assert_eq!(history.lives(), expected, "one restart each:\n{history}");
    assert!(history.down_at_once(&[]).len() <= 1, "one at a time:\n{history}");
    let config = |name: &str| env.rendered_config(&format!("{name}-0")).expect("it was rendered");
    assert_eq!(config("validator-2")["TARGET_PEER_CONNECTIONS"].as_integer(), Some(20));
    let known = env.rendered_peers("validator-3").expect("it was rendered");
    assert!(known.contains("core.example:11625"), "{known:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_operator_version_restarts_no_validator() {
    const NEXT: &str = "stellar-operator:next";
    let (mut env, _validators) = settled("next-version").await;
    let before = env.recorder().history().lives();
    let templates: Vec<Value> = FOUR.iter().map(|name| template(&env, name)).collect();
    env.kill_operator();
    let _next = env
        .ready_replica(&Options::default().with("--operator-image", NEXT))
        .await;
    tokio::time::sleep(CALM).await;
    let after: Vec<Value> = FOUR.iter().map(|name| template(&env, name)).collect();
    assert_eq!(after, templates, "each template is unchanged, byte for byte");
    assert_eq!(env.recorder().history().lives(), before, "no validator was restarted");

    // The next change of a validator's spec applies what the new operator version builds.
    patch(&env, "validator-1", &json!({ "version": "26.1.0-1.jammy" }));
    wait_for("the changed one to be restarted", SOON, async || {
        (env.recorder().history().lives()["validator-1"] > before["validator-1"]).then_some(())
    })
    .await;
    let image = |name: &str| template(&env, name)["spec"]["initContainers"][0]["image"].clone();
    assert_eq!(image("validator-1"), NEXT);
    assert_ne!(image("validator-2"), NEXT);
}
