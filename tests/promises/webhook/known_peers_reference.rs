//! The stored StatefulSet of a validator takes KNOWN_PEERS from the peers ConfigMap.

use serde_json::{Value, json};
use test_kit::{Options, SOON, TestEnv, Validators, wait_for};

fn container<'a>(stateful_set: &'a Value, name: &str) -> &'a Value {
    let containers = stateful_set["spec"]["template"]["spec"]["containers"].as_array();
    let mut containers = containers.into_iter().flatten();
    containers
        .find(|container| container["name"] == name)
        .expect("the container")
}

fn known_peers(container: &Value) -> Option<&Value> {
    let variables = container["env"].as_array().into_iter().flatten();
    variables.into_iter().find(|variable| variable["name"] == "KNOWN_PEERS")
}

/// The reference is optional because a pod must start before the first discovery.
fn reference() -> Value {
    let key = json!({ "name": "stellar-peers", "key": "KNOWN_PEERS", "optional": true });
    json!({ "name": "KNOWN_PEERS", "valueFrom": { "configMapKeyRef": key } })
}

/// A StatefulSet that the operator did not build.
fn stateful_set(labels: &Value) -> Value {
    let restricted = json!({
        "runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": "core", "labels": labels },
        "spec": {
            "replicas": 0,
            "serviceName": "core",
            "selector": { "matchLabels": { "app": "core" } },
            "template": {
                "metadata": { "labels": { "app": "core" } },
                "spec": { "containers": [{ "name": "core", "image": "core:1", "securityContext": restricted }] },
            },
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn validator_stateful_set_has_the_known_peers_reference_and_the_port() {
    let env = TestEnv::start("reference", Options::default()).await;
    let validators = Validators::new(1);
    env.apply(&validators.manifests([1]));
    let stored = wait_for("the StatefulSet", SOON, async || env.get("statefulset/validator-1")).await;
    let core = container(&stored, "stellar-core");
    assert_eq!(known_peers(core), Some(&reference()));
    let ports = core["ports"].as_array().expect("ports");
    assert!(
        ports
            .iter()
            .any(|port| port["name"] == "peer" && port["containerPort"] == 11625),
        "{ports:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_adds_the_reference_to_a_validator_not_built_by_the_operator() {
    let env = TestEnv::start("reference-foreign", Options::default()).await;
    let labels = json!({ "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/component": "validator" });
    env.apply(&stateful_set(&labels).to_string());
    let stored = env.get("statefulset/core").expect("it was created");
    assert_eq!(known_peers(container(&stored, "core")), Some(&reference()));
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_leaves_other_stateful_sets_unchanged() {
    let env = TestEnv::start("reference-other", Options::default()).await;
    env.apply(&stateful_set(&json!({ "app.kubernetes.io/name": "something-else" })).to_string());
    let stored = env.get("statefulset/core").expect("it was created");
    assert_eq!(known_peers(container(&stored, "core")), None);
}
