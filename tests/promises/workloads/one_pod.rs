//! A validator's StatefulSet never gets a second pod, even while no operator runs: the API server refuses it.

use serde_json::{Value, json};
use test_kit::{Options, Output, SOON, TestEnv, Validators, wait_for};

const SENTENCE: &str = "a validator has one pod, because two with one seed harm consensus";

/// A StatefulSet with these labels in its selector.
fn stateful_set(name: &str, replicas: u8, labels: &Value) -> String {
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": name },
        "spec": {
            "replicas": replicas, "serviceName": name, "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "stellar-core", "image": "core:1" }] },
            },
        },
    });
    set.to_string()
}

fn of_validator(name: &str) -> Value {
    json!({ "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/instance": name })
}

fn refused(output: &Output, what: &str) {
    assert!(!output.success, "{what} was accepted");
    assert!(output.stderr.contains(SENTENCE), "{what}: {}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_refuses_a_second_pod_while_no_operator_runs() {
    let env = TestEnv::installed("one-pod").await;
    let dry = |set: &str| env.kubectl_with(&["create", "--dry-run=server", "-f", "-"], set);
    let two = stateful_set("validator-1", 2, &of_validator("validator-1"));
    // The API server enforces a new policy only some time after it was stored.
    wait_for("the policy to be in force", SOON, async || {
        (!dry(&two).success).then_some(())
    })
    .await;
    refused(&dry(&two), "a StatefulSet with two");

    let one = stateful_set("validator-1", 1, &of_validator("validator-1"));
    env.kubectl_with(&["create", "-f", "-"], &one).ok("one");
    let scale = |count: &str| env.kubectl(&["scale", "statefulset/validator-1", &format!("--replicas={count}")]);
    refused(&scale("2"), "kubectl scale");
    scale("0").ok("none");
    refused(&scale("3"), "kubectl scale from none");
    scale("1").ok("one again");
    let patch = |arguments: &[&str]| env.kubectl(&[&["patch", "statefulset/validator-1"], arguments].concat());
    let replicas = r#"{"spec":{"replicas":2}}"#;
    refused(&patch(&["--type=merge", "-p", replicas]), "a patch");
    refused(
        &patch(&["--subresource=scale", "--type=merge", "-p", replicas]),
        "a patch of its scale",
    );
    refused(
        &env.kubectl_with(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &two),
        "an apply",
    );
    // A Scale that claims to belong to another StatefulSet.
    let path = format!(
        "/apis/apps/v1/namespaces/{}/statefulsets/validator-1/scale",
        env.namespace()
    );
    let forged = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": { "name": "validator-1", "namespace": env.namespace() },
        "spec": { "replicas": 2 }, "status": { "replicas": 1, "selector": "app=other" },
    });
    refused(
        &env.kubectl_with(&["replace", "--raw", &path, "-f", "-"], &forged.to_string()),
        "a forged Scale",
    );

    // A StatefulSet that was handed over, with any selector.
    let mut handed_over: Value =
        serde_json::from_str(&stateful_set("core", 2, &json!({ "app": "core" }))).expect("JSON");
    handed_over["metadata"]["labels"] =
        json!({ "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/managed-by": "stellar-operator" });
    refused(&dry(&handed_over.to_string()), "one that was handed over");

    // Other StatefulSets can be scaled.
    let other = stateful_set("other", 1, &json!({ "app": "other" }));
    env.kubectl_with(&["create", "-f", "-"], &other).ok("another");
    env.kubectl(&["scale", "statefulset/other", "--replicas=3"])
        .ok("another is scaled");
    let mut part = of_validator("redis");
    part["app.kubernetes.io/component"] = json!("redis");
    env.kubectl_with(&["create", "-f", "-"], &stateful_set("redis", 3, &part))
        .ok("another part");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_policy_operator_scales_back_and_names_the_remaining_claim() {
    let env = TestEnv::start("second-pod", Options::default()).await;
    let validators = Validators::new(4);
    env.apply(&validators.manifests([1]));
    wait_for("validator-1 to run", SOON, async || {
        (env.reason("validator-1", "Ready").as_deref() == Some("PodReady")).then_some(())
    })
    .await;
    let policy = format!("stellar-operator-one-pod-{}", env.namespace());
    env.kubectl(&["delete", "validatingadmissionpolicybinding", &policy])
        .ok("no policy");
    wait_for("a scale to be accepted", SOON, async || {
        let scaled = env.kubectl(&["scale", "statefulset/validator-1", "--replicas=2"]);
        scaled.success.then_some(())
    })
    .await;
    let note = wait_for("an Event", SOON, async || env.events("validator-1", "SecondPod").pop()).await;
    assert!(note.contains("data-validator-1-1"), "{note}");
    let set = env.get("statefulset/validator-1").expect("it is there");
    assert_eq!(set["spec"]["replicas"], 1);
}
