//! A validator that something outside of it stands in the way of is told so, and starts when that is gone; nobody has to touch
//! the StellarNode.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Fate, Options, Proxy, TestEnv, Validators, wait_for};

const SOON: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options::default().with("--look-again", "1s")
}

async fn is_told(env: &TestEnv, condition: &str, reason: &str) {
    wait_for(&format!("{condition} to be {reason}"), SOON, async || {
        (env.reason("validator-1", condition)? == reason).then_some(())
    })
    .await;
}

async fn is_well(env: &TestEnv) {
    is_told(env, "Ready", "PodReady").await;
    assert_eq!(env.reason("validator-1", "Degraded"), None);
}

fn generation(env: &TestEnv) -> Value {
    env.get("stellarnode/validator-1").expect("it is there")["metadata"]["generation"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_raised() {
    let env = TestEnv::start("quota", options()).await;
    let quota = |sets: &str| {
        json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "few" },
            "spec": { "hard": { "count/statefulsets.apps": sets } },
        })
        .to_string()
    };
    env.apply(&quota("0"));
    wait_for("the quota to hold", SOON, async || {
        env.get("resourcequota/few")
            .filter(|quota| quota["status"]["used"].is_object())
    })
    .await;
    env.apply(&Validators::new(4).manifests([1]));
    is_told(&env, "Degraded", "Refused").await;
    let before = generation(&env);
    let node = env.get("stellarnode/validator-1").expect("it is there");
    let told = node["status"]["conditions"].as_array().expect("conditions").iter();
    let told: Vec<&str> = told.filter_map(|one| one["message"].as_str()).collect();
    assert!(
        told.iter().any(|message| message.contains("exceeded quota")),
        "{told:?}"
    );

    env.apply(&quota("1"));
    is_well(&env).await;
    assert_eq!(generation(&env), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_its_name_that_is_deleted_or_handed_over() {
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
    is_told(&env, "Degraded", "NotOurs").await;
    let before = generation(&env);
    // What the message says can be done: the one is handed over, the other goes.
    env.kubectl(&[
        "label",
        "service/validator-1-headless",
        "app.kubernetes.io/managed-by=stellar-operator",
    ])
    .ok("label");
    wait_for("the Service to be ours", SOON, async || {
        let service = env.get("service/validator-1-headless")?;
        (service["metadata"]["ownerReferences"][0]["name"] == "validator-1").then_some(())
    })
    .await;
    is_told(&env, "Degraded", "NotOurs").await;
    let untouched = env.get("statefulset/validator-1").expect("it stays");
    assert!(untouched["metadata"]["ownerReferences"].is_null());
    env.kubectl(&["delete", "statefulset/validator-1"]).ok("delete");
    is_well(&env).await;
    assert_eq!(generation(&env), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_comes_between_look_and_write() {
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
    is_told(&env, "Degraded", "NotOurs").await;
    let theirs = env.get("configmap/validator-1-config").expect("it is there");
    assert_eq!(theirs["data"], json!({ "theirs": "1" }));
    let metadata = &theirs["metadata"];
    assert!(
        metadata["labels"].is_null() && metadata["ownerReferences"].is_null(),
        "{metadata}"
    );
}
