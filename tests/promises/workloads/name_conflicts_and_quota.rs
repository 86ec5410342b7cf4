//! A validator that a quota or a conflicting object blocks reports it, and starts once that is resolved, without a
//! change of the StellarNode.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use test_kit::{FOUR, Fate, Options, Proxy, SOON, TestEnv, Validators, wait_for};

use super::allow;

fn options() -> Options {
    Options::default().with("--look-again", "1s")
}

async fn has_reason(env: &TestEnv, condition: &str, reason: &str) {
    wait_for(&format!("{condition} to be {reason}"), SOON, async || {
        (env.reason("validator-1", condition)? == reason).then_some(())
    })
    .await;
}

async fn is_well(env: &TestEnv) {
    has_reason(env, "Ready", "PodReady").await;
    assert_eq!(env.reason("validator-1", "Degraded"), None);
}

fn generation(env: &TestEnv) -> Value {
    env.get("stellarnode/validator-1").expect("it is there")["metadata"]["generation"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn validator_starts_once_the_quota_is_raised() {
    const SETS: &str = "count/statefulsets.apps";
    let env = TestEnv::start("quota", options()).await;
    allow(&env, SETS, "0").await;
    env.apply(&Validators::new(4).manifests([1]));
    has_reason(&env, "Degraded", "Refused").await;
    let before = generation(&env);
    let node = env.get("stellarnode/validator-1").expect("it is there");
    let messages = node["status"]["conditions"].as_array().expect("conditions").iter();
    let messages: Vec<&str> = messages.filter_map(|one| one["message"].as_str()).collect();
    assert!(
        messages.iter().any(|message| message.contains("exceeded quota")),
        "{messages:?}"
    );

    allow(&env, SETS, "1").await;
    is_well(&env).await;
    assert_eq!(generation(&env), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn validator_starts_once_conflicting_objects_are_deleted_or_handed_over() {
    let env = TestEnv::start("name-taken", options()).await;
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "validator-1" },
        "spec": {
            "replicas": 0, "serviceName": "theirs",
            "selector": { "matchLabels": { "app": "theirs" } },
            "template": {
                "metadata": { "labels": { "app": "theirs" } },
                "spec": { "containers": [{ "name": "theirs", "image": "theirs:1" }] },
            },
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "validator-1-headless" },
        "spec": { "clusterIP": "None", "selector": { "app": "theirs" } },
    });
    env.apply(&set.to_string());
    env.apply(&service.to_string());
    env.apply(&Validators::new(4).manifests([1]));
    has_reason(&env, "Degraded", "NotOurs").await;
    let before = generation(&env);
    // The two ways that the message names: hand over one object, delete the other.
    env.kubectl(&[
        "label",
        "service/validator-1-headless",
        "app.kubernetes.io/managed-by=stellar-operator",
    ])
    .ok("label");
    wait_for("the operator to own the Service", SOON, async || {
        let service = env.get("service/validator-1-headless")?;
        (service["metadata"]["ownerReferences"][0]["name"] == "validator-1").then_some(())
    })
    .await;
    has_reason(&env, "Degraded", "NotOurs").await;
    let untouched = env.get("statefulset/validator-1").expect("it stays");
    assert!(untouched["metadata"]["ownerReferences"].is_null());
    env.kubectl(&["delete", "statefulset/validator-1"]).ok("delete");
    is_well(&env).await;
    assert_eq!(generation(&env), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_created_between_read_and_write_is_not_overwritten() {
    let env = TestEnv::installed("in-between").await;
    let proxy = Proxy::start(env.cluster()).await;
    let mut operator = env.replica_behind(&options(), &proxy);
    wait_for("the operator to be ready", SOON, async || {
        operator.is_ready().await.then_some(())
    })
    .await;
    let (cluster, namespace) = (env.cluster().clone(), env.namespace().to_owned());
    let came = AtomicBool::new(false);
    proxy.judge(move |call| {
        let write = call.is_write() && call.path.contains("/configmaps/validator-1-config");
        if write && !came.swap(true, Ordering::Relaxed) {
            let theirs = ["create", "configmap", "validator-1-config", "--from-literal=theirs=1"];
            let arguments = [&["--namespace", &namespace][..], &theirs].concat();
            cluster.kubectl(&arguments, "").ok("theirs");
        }
        Fate::Pass
    });
    env.apply(&Validators::new(4).manifests([1]));
    has_reason(&env, "Degraded", "NotOurs").await;
    let theirs = env.get("configmap/validator-1-config").expect("it is there");
    assert_eq!(theirs["data"], json!({ "theirs": "1" }));
    let metadata = &theirs["metadata"];
    assert!(
        metadata["labels"].is_null() && metadata["ownerReferences"].is_null(),
        "{metadata}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_cannot_be_updated_does_not_delay_the_others() {
    let env = TestEnv::start("refused-change", options()).await;
    let validators = Validators::new(4);
    env.create_at_rest(&validators, 4).await;
    let lives = env.recorder().history().lives();
    let managed_by = |value: &str| {
        let label = format!("app.kubernetes.io/managed-by={value}");
        env.kubectl(&["label", "configmap/validator-1-config", "--overwrite", &label])
            .ok("a label");
    };
    managed_by("Helm");
    let version = r#"{"spec":{"version":"27.0.0"}}"#;
    for name in FOUR {
        env.kubectl(&["patch", &format!("stellarnode/{name}"), "--type=merge", "-p", version])
            .ok("a new version");
    }
    let has_it = |name: &str| {
        let set = env.get(&format!("statefulset/{name}")).expect("there");
        let containers = set["spec"]["template"]["spec"]["containers"]
            .as_array()
            .expect("containers");
        let images = containers.iter().filter_map(|container| container["image"].as_str());
        images.into_iter().any(|image| image.ends_with(":27.0.0"))
    };
    wait_for("the others to have the new version", SOON * 4, async || {
        (has_it("validator-2") && has_it("validator-3") && has_it("validator-4")).then_some(())
    })
    .await;
    assert!(!has_it("validator-1"));
    wait_for("its Event", SOON, async || {
        let events = env.kubectl(&["events", "--for", "stellarnode/validator-1"]);
        (events.stdout.contains("RestartFailed") && events.stdout.contains("validator-1-config")).then_some(())
    })
    .await;
    let history = env.recorder().history();
    assert_eq!(history.lives()["validator-1"], lives["validator-1"], "{history}");

    managed_by("stellar-operator");
    wait_for("the last to have the new version", SOON * 2, async || {
        has_it("validator-1").then_some(())
    })
    .await;
    env.all_slots_free().await;
    let history = env.recorder().history();
    let expected: Vec<usize> = lives.values().map(|count| count + 1).collect();
    assert_eq!(history.lives().into_values().collect::<Vec<_>>(), expected, "{history}");
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
}
