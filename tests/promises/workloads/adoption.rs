//! The operator adopts a StatefulSet that it did not build: it sets the owner at once and the pod template only in the
//! validator's slot.

use serde_json::{Value, json};
use test_kit::{Options, SOON, THREE, TestEnv, Validators, wait_for};

const PAUSE: &str = "stellar.org/pause-restarts";

/// A StatefulSet as a chart makes it, with the operator's labels so that it can be adopted.
fn by_hand(name: &str, strategy: &str) -> Value {
    let labels = json!({ "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/instance": name });
    let mut of_pod = labels.clone();
    of_pod["app.kubernetes.io/component"] = json!("validator");
    let of_the_pod =
        json!({ "runAsNonRoot": true, "runAsUser": 10011001, "seccompProfile": { "type": "RuntimeDefault" } });
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": name, "labels": { "app.kubernetes.io/managed-by": "Helm", "team": "a" } },
        "spec": {
            "replicas": 1, "serviceName": name, "podManagementPolicy": "Parallel",
            "updateStrategy": { "type": strategy },
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": of_pod },
                "spec": { "securityContext": of_the_pod, "containers": [{
                    "name": "stellar-core", "image": "stellar/stellar-core:25.0.0",
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                    "ports": [{ "name": "peer", "containerPort": 11625 }],
                    "volumeMounts": [{ "name": "data", "mountPath": "/var/lib/stellar" }],
                }] },
            },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
            }],
        },
    })
}

fn hand_over(env: &TestEnv, name: &str) {
    let label = "app.kubernetes.io/managed-by=stellar-operator";
    env.kubectl(&["label", &format!("statefulset/{name}"), label, "--overwrite"])
        .ok("label");
}

fn template(env: &TestEnv, name: &str) -> Value {
    env.get(&format!("statefulset/{name}")).expect(name)["spec"]["template"].clone()
}

fn message(env: &TestEnv, validator: &str, condition: &str) -> Option<String> {
    let node = env.get(&format!("stellarnode/{validator}"))?;
    let found = node["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|one| one["type"] == condition)?;
    found["message"].as_str().map(str::to_owned)
}

async fn says(env: &TestEnv, condition: &str, words: &str) {
    for name in THREE {
        wait_for(&format!("{condition} of {name} to say {words:?}"), SOON, async || {
            message(env, name, condition).filter(|message| message.contains(words))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn adoption_sets_the_owner_at_once_and_the_template_in_its_slot() {
    let env = TestEnv::installed("adopted").await;
    let namespace = format!("namespace/{}", env.namespace());
    env.kubectl(&["annotate", &namespace, &format!("{PAUSE}=moving-in")])
        .ok("pause");
    // Start the operator after the annotation: it polls its namespace and would see a later one only after a while.
    let _operator = env.run(&Options::default().with("--look-again", "1s")).await;
    let sets = [
        ("validator-1", "RollingUpdate"),
        ("validator-2", "RollingUpdate"),
        ("validator-3", "OnDelete"),
    ];
    for (name, strategy) in sets {
        env.apply(&by_hand(name, strategy).to_string());
    }
    wait_for("their pods to run", SOON, async || {
        (env.recorder().history().voting().len() == 3).then_some(())
    })
    .await;
    let templates = THREE.map(|name| template(&env, name));
    env.apply(&Validators::new(4).manifests(1..=3));
    says(&env, "Degraded", "not managed by stellar-operator").await;

    for name in THREE {
        hand_over(&env, name);
    }
    for name in THREE {
        let uid = env.get(&format!("stellarnode/{name}")).expect(name)["metadata"]["uid"].clone();
        wait_for("it to be owned", SOON, async || {
            let metadata = env.get(&format!("statefulset/{name}"))?["metadata"].clone();
            let owners = metadata["ownerReferences"].as_array()?.clone();
            let owned = owners.len() == 1 && owners[0]["uid"] == uid && owners[0]["controller"] == true;
            let labels = &metadata["labels"];
            let labelled = labels["app.kubernetes.io/component"] == "validator" && labels["team"] == "a";
            (owned && labelled).then_some(())
        })
        .await;
    }
    for name in &THREE[..2] {
        wait_for("its restart to be held", SOON, async || {
            message(&env, name, "UpdatePending").filter(|message| message.contains(PAUSE))
        })
        .await;
    }
    assert_eq!(
        THREE.map(|name| template(&env, name)),
        templates,
        "unchanged, byte for byte"
    );
    let history = env.recorder().history();
    assert!(history.lives().values().all(|lives| *lives == 1), "{history}");

    env.kubectl(&["annotate", &namespace, &format!("{PAUSE}-")]).ok("go on");
    for name in &THREE[..2] {
        wait_for("it to be built from its spec", SOON, async || {
            let template = template(&env, name);
            let built = template["metadata"]["annotations"]["stellar.org/spec-hash"].is_string();
            let votes = env.recorder().history().voting().contains(*name);
            (built && votes && env.rendered_peers(name)?.len() == 2).then_some(())
        })
        .await;
    }
    env.all_slots_free().await;
    wait_for("the third to wait for a person", SOON, async || {
        message(&env, "validator-3", "UpdatePending").filter(|message| message.contains("to a person"))
    })
    .await;
    let history = env.recorder().history();
    let downs = history.downs();
    assert_eq!(
        (downs["validator-1"], downs["validator-2"], downs["validator-3"]),
        (1, 1, 0),
        "{history}"
    );
    assert!(history.down_at_once(&[]).len() <= 1, "{history}");
    assert_eq!(
        template(&env, "validator-3"),
        templates[2],
        "the template stays unchanged, byte for byte"
    );

    env.kubectl(&["delete", "stellarnode/validator-3"]).ok("delete");
    wait_for("its objects to be deleted with it", SOON, async || {
        env.get("statefulset/validator-3").is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_controlled_by_another_object_is_left_alone() {
    let env = TestEnv::start("owned-by-other", Options::default().with("--look-again", "1s")).await;
    env.apply(r#"{ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "fleet" } }"#);
    let uid = env.get("configmap/fleet").expect("it is there")["metadata"]["uid"].clone();
    let owner = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "fleet", "uid": uid, "controller": true });
    let mut set = by_hand("validator-1", "RollingUpdate");
    set["metadata"]["ownerReferences"] = json!([owner]);
    env.apply(&set.to_string());
    hand_over(&env, "validator-1");
    let before = env.get("statefulset/validator-1").expect("it is there");
    env.apply(&Validators::new(4).manifests([1]));
    wait_for("the conflict to be reported", SOON, async || {
        message(&env, "validator-1", "Degraded").filter(|message| message.contains("belongs to ConfigMap fleet"))
    })
    .await;
    let after = env.get("statefulset/validator-1").expect("it stays");
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(
        after["metadata"]["ownerReferences"],
        before["metadata"]["ownerReferences"]
    );

    let disowned = r#"{"metadata":{"ownerReferences":null}}"#;
    env.kubectl(&["patch", "statefulset/validator-1", "--type=merge", "-p", disowned])
        .ok("hand it over");
    wait_for("it to be built from its spec", SOON, async || {
        let built = template(&env, "validator-1")["metadata"]["annotations"]["stellar.org/spec-hash"].is_string();
        (built && env.reason("validator-1", "Ready")? == "PodReady").then_some(())
    })
    .await;
}
