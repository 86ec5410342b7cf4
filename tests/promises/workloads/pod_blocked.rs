//! A StellarNode says why its pod does not run: the first mistakes with a seed, a pod that no node takes, and a pod
//! that the API server refuses.

use std::process::Command;

use serde_json::{Value, json};
use stellar_k8s::labels;
use test_kit::{Options, SOON, TestEnv, Validators, wait_for};

use super::allow;

const NODE: &str = "validator-1";

/// Waits for a reason of PodBlocked, and gives its message.
async fn blocked(env: &TestEnv, reason: &str) -> String {
    wait_for(&format!("PodBlocked with {reason}"), SOON, async || {
        let node = env.get("stellarnode/validator-1")?;
        let conditions = node["status"]["conditions"].as_array()?;
        let found = conditions
            .iter()
            .find(|one| one["type"] == "PodBlocked" && one["reason"] == reason)?;
        found["message"].as_str().map(str::to_owned)
    })
    .await
}

/// The table of `stellar-operator peers`.
fn peers(env: &TestEnv) -> String {
    let output = Command::new(test_kit::operator_binary())
        .args(["peers", "--kubeconfig"])
        .arg(env.cluster().kubeconfig())
        .args(["--namespace", env.namespace()])
        .output()
        .expect("it runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn secret(key: &str, value: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "validator-1-seed" },
        "stringData": { key: value },
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_with_a_seed_is_explained_until_it_is_mended() {
    let env = TestEnv::installed("pod-blocked").await;
    let operator = env.ready_replica(&Options::default()).await;
    let validators = Validators::new(1);
    env.apply(&validators.node(1).to_string());

    let message = blocked(&env, "CreateContainerConfigError").await;
    assert!(
        message.contains("render-config") && message.contains("validator-1-seed"),
        "{message}"
    );
    env.wait_for_event(NODE, "CreateContainerConfigError", "validator-1-seed")
        .await;
    let shown = peers(&env);
    assert!(
        shown.contains("CreateContainerConfigError") && shown.contains(&message),
        "{shown}"
    );
    let metrics = operator.metrics().await;
    let series = format!(
        r#"stellar_operator_pods_blocked{{namespace="{}",configmap="stellar-peers",reason="CreateContainerConfigError"}} 1"#,
        env.namespace()
    );
    assert!(metrics.contains(&series), "{metrics}");

    env.apply(&secret("seed", validators.seed(1)));
    wait_for("the key that is missing", SOON, async || {
        let message = blocked(&env, "CreateContainerConfigError").await;
        message.contains(labels::SEED_KEY).then_some(())
    })
    .await;

    env.apply(&secret(labels::SEED_KEY, "GNOTASEED"));
    let message = blocked(&env, "CrashLoopBackOff").await;
    assert!(
        message.contains("render-config") && message.contains("seed"),
        "{message}"
    );
    assert!(
        !message.contains("GNOTASEED"),
        "the message quotes the Secret: {message}"
    );

    env.apply(&secret(labels::SEED_KEY, validators.seed(1)));
    env.settled(&[NODE]).await;
    wait_for("the condition to end", SOON, async || {
        env.reason(NODE, "PodBlocked").is_none().then_some(())
    })
    .await;
    for reason in ["CreateContainerConfigError", "CrashLoopBackOff"] {
        let notes = env.events(NODE, reason);
        assert!((1..=3).contains(&notes.len()), "{reason}: {notes:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_no_node_takes_says_so() {
    let env = TestEnv::start("pod-unschedulable", Options::default()).await;
    let validators = Validators::new(1);
    let mut node: Value = validators.node(1);
    node["spec"]["nodeSelector"] = json!({ "disk": "of-gold" });
    env.apply(&validators.secret(1).to_string());
    env.apply(&node.to_string());
    let message = blocked(&env, "Unschedulable").await;
    assert!(message.contains("no node takes its pod: 0/"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_a_quota_refuses_says_so_until_it_may_be_created() {
    let env = TestEnv::start("pod-refused", Options::default()).await;
    allow(&env, "pods", "0").await;
    env.apply(&Validators::new(1).manifests([1]));
    let message = blocked(&env, "PodRefused").await;
    assert!(message.contains("exceeded quota: few"), "{message}");
    env.wait_for_event(NODE, "PodRefused", "exceeded quota").await;
    assert!(peers(&env).contains("PodRefused"));

    allow(&env, "pods", "9").await;
    // The StatefulSet controller waits longer after each attempt; its deletion begins anew.
    env.kubectl(&["delete", "statefulset", NODE])
        .ok("delete the StatefulSet");
    env.settled(&[NODE]).await;
    wait_for("the condition to end", SOON, async || {
        env.reason(NODE, "PodBlocked").is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_read_events_only_the_reason_is_missing() {
    let env = TestEnv::installed("pod-no-events").await;
    // The roles of an earlier version, as after an upgrade of the image alone.
    let mut role = env.get("role/stellar-operator-nodes").expect("the role");
    let rules = role["rules"].as_array_mut().expect("rules");
    let before = rules.len();
    rules.retain(|rule| rule["apiGroups"] != json!([""]) || rule["resources"] != json!(["events"]));
    assert_eq!(rules.len(), before - 1, "the right to read Events is a rule of its own");
    env.kubectl_with(&["replace", "-f", "-"], &role.to_string())
        .ok("replace the role");
    let mut operator = env.ready_replica(&Options::default()).await;
    env.create_settled(&Validators::new(2), 2).await;
    assert!(env.log().contains("a watch failed"), "{}", env.log());
    assert!(operator.is_ready().await);
}
