//! The API server calls the webhook only for objects that concern the operator, so that no other write waits for it. An
//! older StatefulSet can be scaled, annotated and relabelled without a change of its pod template.

use serde_json::{Value, json};
use test_kit::{Operator, Options, SOON, TestEnv, Validators, wait_for};

fn stateful_set(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "replicas": 0,
            "serviceName": name,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "core", "image": "core:1" }] },
            },
        },
    })
}

fn validators_labels() -> Value {
    json!({ "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/component": "validator" })
}

/// How many reviews this operator has answered.
async fn reviews(operator: &Operator) -> u64 {
    let metrics = operator.metrics().await;
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("stellar_operator_admission_reviews_total"));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_stateful_set_keeps_its_template_until_its_owner_changes_the_template() {
    let env = TestEnv::installed("older-set").await;
    env.apply(&stateful_set("core", &validators_labels()).to_string());
    let template = |env: &TestEnv| env.get("statefulset/core").expect("it is there")["spec"]["template"].to_string();
    let before = template(&env);
    assert!(
        !before.contains("KNOWN_PEERS"),
        "the StatefulSet is older than the operator: {before}"
    );

    let operator = env.ready_replica(&Options::default()).await;
    let touches: [&[&str]; 5] = [
        &["scale", "statefulset/core", "--replicas=1"],
        &["scale", "statefulset/core", "--replicas=0"],
        &["annotate", "statefulset/core", "note=here"],
        &["label", "statefulset/core", "note=here"],
        &[
            "patch",
            "statefulset/core",
            "--type=merge",
            "-p",
            r#"{"spec":{"minReadySeconds":7}}"#,
        ],
    ];
    for touch in touches {
        env.kubectl(touch).ok(&touch.join(" "));
        assert_eq!(template(&env), before, "{touch:?}");
    }
    assert_eq!(reviews(&operator).await, 0, "none of these changes calls the webhook");
    // The webhook checks the port annotation and leaves the template unchanged.
    env.kubectl(&["annotate", "statefulset/core", "stellar.org/peer-port=21625"])
        .ok("annotate");
    assert_eq!((template(&env), reviews(&operator).await), (before, 1));

    env.kubectl(&["rollout", "restart", "statefulset/core"]).ok("restart");
    assert!(template(&env).contains("KNOWN_PEERS"), "the owner changed the template");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_is_not_called_for_objects_that_the_operator_ignores() {
    let env = TestEnv::installed("not-called").await;
    let operator = env.ready_replica(&Options::default()).await;
    let mut node = Validators::new(1).node(1);
    node["spec"]["suspended"] = json!(true);
    env.apply(&node.to_string());
    env.apply(&stateful_set("other", &json!({ "app.kubernetes.io/name": "something-else" })).to_string());
    wait_for("its StatefulSet and its status", SOON, async || {
        env.get("statefulset/validator-1")?;
        env.reason("validator-1", "Ready")
    })
    .await;
    let before = wait_for("the controller to finish", SOON, async || {
        // The node and its StatefulSet each cause one mutating and one validating review; status writes cause none.
        let reviews = reviews(&operator).await;
        (reviews >= 4).then_some(reviews)
    })
    .await;

    let finalizer = |value: &str| format!(r#"{{"metadata":{{"finalizers":{value}}}}}"#);
    let (held, free) = (finalizer(r#"["test.stellar.org/held"]"#), finalizer("null"));
    let elsewhere = stateful_set("elsewhere", &validators_labels()).to_string();
    let commands: [&[&str]; 12] = [
        &["create", "configmap", "anything", "--from-literal=a=b"],
        &["label", "stellarnode/validator-1", "note=here"],
        &["annotate", "stellarnode/validator-1", "note=here"],
        &[
            "patch",
            "stellarnode/validator-1",
            "--subresource=status",
            "--type=merge",
            "-p",
            r#"{"status":{"replicas":0}}"#,
        ],
        &["scale", "statefulset/other", "--replicas=0"],
        &["rollout", "restart", "statefulset/other"],
        &["delete", "statefulset/other"],
        &["patch", "stellarnode/validator-1", "--type=merge", "-p", &held],
        &["delete", "stellarnode/validator-1", "--wait=false"],
        // A change of an object that is being deleted calls no webhook.
        &[
            "patch",
            "stellarnode/validator-1",
            "--type=merge",
            "-p",
            r#"{"spec":{"validatorConfig":{"peerPort":11626}}}"#,
        ],
        &["patch", "stellarnode/validator-1", "--type=merge", "-p", &free],
        &["get", "stellarnodes"],
    ];
    for command in commands {
        env.kubectl(command).ok(&command.join(" "));
    }
    // The webhook is not called for other namespaces.
    let dry_run = [
        "create",
        "--namespace=default",
        "--dry-run=server",
        "-o",
        "yaml",
        "-f",
        "-",
    ];
    let other = env.cluster().kubectl(&dry_run, &elsewhere).ok("in another namespace");
    assert!(!other.contains("KNOWN_PEERS"), "{other}");
    assert_eq!(reviews(&operator).await, before);
}
