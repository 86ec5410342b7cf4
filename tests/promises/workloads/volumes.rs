//! A validator's volume is retained or deleted as its policy says, and grows.

use serde_json::{Value, json};
use test_kit::{Options, SOON, THREE, TestEnv, Validators, wait_for};

fn claim(env: &TestEnv, validator: &str) -> Option<Value> {
    env.get(&format!("persistentvolumeclaim/data-{validator}-0"))
}

/// Whether a StellarNode owns the claim of its validator.
fn is_owned(env: &TestEnv, validator: &str) -> Option<bool> {
    let claim = claim(env, validator)?;
    let owners = claim["metadata"]["ownerReferences"].as_array().cloned();
    Some(owners.into_iter().flatten().any(|owner| owner["kind"] == "StellarNode"))
}

fn patch(env: &TestEnv, validator: &str, spec: &Value) {
    let patch = json!({ "spec": spec }).to_string();
    let node = format!("stellarnode/{validator}");
    env.kubectl(&["patch", &node, "--type=merge", "-p", &patch]).ok("patch");
}

async fn voting(env: &TestEnv, validators: &[&str]) {
    wait_for("all to vote", SOON, async || {
        let voting = env.recorder().history().voting();
        validators.iter().all(|name| voting.contains(*name)).then_some(())
    })
    .await;
}

async fn owned(env: &TestEnv, validator: &str, wanted: bool) {
    let what = format!("the claim of {validator} to be owned: {wanted}");
    wait_for(&what, SOON, async || {
        (is_owned(env, validator) == Some(wanted)).then_some(())
    })
    .await;
}

async fn in_force(env: &TestEnv, validator: &str, policy: &str) {
    let what = format!("the status of {validator} to say {policy}");
    wait_for(&what, SOON, async || {
        let status = env.get(&format!("stellarnode/{validator}"))?["status"]["storage"].clone();
        (status["retentionPolicy"] == *policy).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_is_deleted_with_its_validator_or_retained() {
    let mut env = TestEnv::start("storage", Options::default()).await;
    let validators = Validators::new(4);
    let items: Vec<Value> = (1..=3)
        .flat_map(|number| {
            let mut node = validators.node(number);
            // Retain is the default.
            if number == 1 {
                node["spec"]["storage"]["retentionPolicy"] = json!("Delete");
            }
            [validators.secret(number), node]
        })
        .collect();
    env.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string());
    voting(&env, &THREE).await;
    owned(&env, "validator-1", true).await;
    assert_eq!(is_owned(&env, "validator-2"), Some(false));
    // The policy can change in both directions.
    patch(
        &env,
        "validator-3",
        &json!({ "storage": { "retentionPolicy": "Delete" } }),
    );
    owned(&env, "validator-3", true).await;
    in_force(&env, "validator-3", "Delete").await;
    // The policy also applies to a node that is Degraded.
    env.kubectl(&[
        "label",
        "service/validator-3-headless",
        "app.kubernetes.io/managed-by=somebody",
        "--overwrite",
    ])
    .ok("label");
    patch(
        &env,
        "validator-3",
        &json!({ "storage": { "retentionPolicy": "Retain" } }),
    );
    owned(&env, "validator-3", false).await;
    in_force(&env, "validator-3", "Retain").await;

    // Deleting a StatefulSet deletes no claim, whatever the policy is.
    let before = claim(&env, "validator-1").expect("a claim")["metadata"]["uid"].clone();
    env.kubectl(&["delete", "statefulset/validator-1", "--wait=true"])
        .ok("delete");
    wait_for("the StatefulSet to come back", SOON, async || {
        env.get("statefulset/validator-1").map(drop)
    })
    .await;
    voting(&env, &["validator-1"]).await;
    assert_eq!(claim(&env, "validator-1").expect("a claim")["metadata"]["uid"], before);

    // The policy also applies while no operator runs.
    env.delete_validating_webhook();
    env.kill_operator();
    env.kubectl(&["delete", "stellarnode", "--all", "--wait=false"])
        .ok("delete");
    wait_for("the pods and the owned claim to go", SOON, async || {
        let pods = env.kubectl(&["get", "pods", "-o", "name"]).ok("pods");
        (pods.is_empty() && claim(&env, "validator-1").is_none()).then_some(())
    })
    .await;
    for retained in ["validator-2", "validator-3"] {
        let claim = claim(&env, retained).expect("it is retained");
        assert!(claim["metadata"]["deletionTimestamp"].is_null(), "{claim}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_grows_and_the_validator_can_still_be_updated() {
    let env = TestEnv::start("storage-grows", Options::default()).await;
    env.apply(&Validators::new(4).manifests([1]));
    voting(&env, &["validator-1"]).await;
    let lives = env.recorder().history().lives();

    patch(&env, "validator-1", &json!({ "storage": { "size": "2Gi" } }));
    wait_for("the claim to ask for more", SOON, async || {
        let claim = claim(&env, "validator-1")?;
        (claim["spec"]["resources"]["requests"]["storage"] == "2Gi").then_some(())
    })
    .await;
    let template = |env: &TestEnv| {
        let set = env.get("statefulset/validator-1").expect("a StatefulSet");
        set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"].clone()
    };
    assert_eq!(template(&env), "1Gi", "the immutable claim template is unchanged");
    assert_eq!(
        env.recorder().history().lives(),
        lives,
        "no validator is restarted for it"
    );

    // The new pod template is applied and the old claim template stays.
    patch(&env, "validator-1", &json!({ "version": "27.0.0" }));
    wait_for("the new version", SOON, async || {
        let pod = env.get("pod/validator-1-0")?;
        let image = pod["spec"]["containers"][0]["image"].as_str()?.to_owned();
        image.ends_with(":27.0.0").then_some(())
    })
    .await;
    voting(&env, &["validator-1"]).await;
    assert_eq!(template(&env), "1Gi");
}
