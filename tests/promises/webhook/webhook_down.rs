//! While the operator is down, only new StellarNodes and changes of their specs are refused. The controller later fills
//! in the defaults of objects that were stored without the webhook.

use serde_json::{Value, json};
use test_kit::{Options, SOON, TestEnv, Validators, free_port, wait_for};

/// A StatefulSet that the operator did not build, with the labels of a validator.
fn stateful_set() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": "core",
            "labels": { "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/component": "validator" },
        },
        "spec": {
            "replicas": 0,
            "serviceName": "core",
            "selector": { "matchLabels": { "app": "core" } },
            "template": {
                "metadata": { "labels": { "app": "core" } },
                "spec": { "containers": [{ "name": "core", "image": "core:1" }] },
            },
        },
    })
}

/// A validator that is stored but does not run.
fn suspended() -> Value {
    let mut node = Validators::new(1).node(1);
    node["spec"]["suspended"] = json!(true);
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn only_stellar_node_writes_fail() {
    let mut env = TestEnv::start("webhook-down", Options::default()).await;
    env.apply(&suspended().to_string());
    wait_for("the StatefulSet", SOON, async || env.get("statefulset/validator-1")).await;
    env.kill_operator();

    // A new StellarNode or a changed spec is refused, and the message names the webhook that did not answer.
    let mut new = suspended();
    new["metadata"]["name"] = json!("validator-2");
    let create = env.kubectl_with(&["create", "-f", "-"], &new.to_string());
    let version = r#"{"spec":{"version":"27.0.0"}}"#;
    let change = env.kubectl(&["patch", "stellarnode/validator-1", "--type=merge", "-p", version]);
    for refused in [create, change] {
        assert!(!refused.success, "{}", refused.stdout);
        for part in [
            "failed calling webhook",
            "stellarnodes.validate.stellar.org",
            "connection refused",
        ] {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
        }
    }
    assert!(env.get("stellarnode/validator-2").is_none());

    // Everything else works, also for a validator's StatefulSet.
    env.apply(&stateful_set().to_string());
    let config_map = ["create", "configmap", "anything", "--from-literal=a=b"];
    let service = ["create", "service", "clusterip", "anything", "--tcp=80"];
    let rest: [&[&str]; 12] = [
        &config_map,
        &service,
        &["scale", "statefulset/core", "--replicas=1"],
        &["rollout", "restart", "statefulset/core"],
        &["annotate", "statefulset/core", "stellar.org/peer-port=21625"],
        &["delete", "statefulset/core"],
        &["annotate", "stellarnode/validator-1", "note=here"],
        &["label", "stellarnode/validator-1", "note=here"],
        &[
            "patch",
            "stellarnode/validator-1",
            "--type=merge",
            "-p",
            r#"{"metadata":{"finalizers":["test.stellar.org/held"]}}"#,
        ],
        &[
            "patch",
            "stellarnode/validator-1",
            "--subresource=status",
            "--type=merge",
            "-p",
            r#"{"status":{"replicas":0}}"#,
        ],
        &["delete", "stellarnode/validator-1", "--wait=false"],
        &[
            "patch",
            "stellarnode/validator-1",
            "--type=merge",
            "-p",
            r#"{"metadata":{"finalizers":null}}"#,
        ],
    ];
    for command in rest {
        env.kubectl(command).ok(&command.join(" "));
    }
    assert!(
        env.get("stellarnode/validator-1").is_none(),
        "it is gone with its last finalizer"
    );
    env.kubectl(&["delete", "namespace", env.namespace(), "--timeout=120s"])
        .ok("the namespace is deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn controller_fills_in_the_webhook_defaults() {
    let mut env = TestEnv::start("defaults-later", Options::default()).await;
    // Reuse the same manifest because the quorum set holds random keys.
    let manifest = suspended().to_string();
    let stored = async |env: &TestEnv| {
        env.apply(&manifest);
        let node = env.get("stellarnode/validator-1").expect("it was stored");
        let stateful_set = wait_for("the StatefulSet", SOON, async || env.get("statefulset/validator-1")).await;
        (node["spec"]["validatorConfig"]["peerPort"].clone(), stateful_set)
    };
    let (port, with_webhook) = stored(&env).await;
    assert_eq!(port, json!(11625));
    env.kubectl(&["delete", "stellarnode/validator-1"]).ok("delete");
    wait_for("the StatefulSet to be gone", SOON, async || {
        env.get("statefulset/validator-1").is_none().then_some(())
    })
    .await;

    // In an emergency an administrator deletes the configurations; the operator does not recreate them.
    env.kill_operator();
    env.delete_validating_webhook();
    env.delete_mutating_webhook();
    wait_for("the API server to store the node without defaults", SOON, async || {
        env.kubectl_with(&["apply", "-f", "-"], &manifest);
        env.get("stellarnode/validator-1")
    })
    .await;
    let _operator = env.replica(&Options::default(), free_port());
    let (port, without_webhook) = stored(&env).await;
    assert_eq!(port, Value::Null, "the spec is unchanged");
    for part in ["spec", "metadata/labels", "metadata/annotations"] {
        let part = format!("/{part}");
        assert_eq!(without_webhook.pointer(&part), with_webhook.pointer(&part), "{part}");
    }
    for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
        assert!(env.get(&format!("{kind}/{}", env.configuration())).is_none(), "{kind}");
    }
}
