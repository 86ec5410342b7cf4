//! StatefulSets that the operator did not build. It leaves one without its label alone; one that is handed over by the
//! label but cannot become what the operator builds waits for a person. The status reports both, and neither delays the
//! other validators.

use serde_json::{Value, json};
use test_kit::{Options, SOON, THREE, TestEnv, Validators, wait_for};

use super::peers_list::PeersList;
use super::{all_have_new_version, ask_for_new_version, wait_for_condition};

/// A StatefulSet as a Helm chart makes it, with the name and the labels of a validator.
fn foreign(name: &str, strategy: &Value) -> Value {
    let labels = json!({
        "app.kubernetes.io/name": "stellar-node",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": "validator",
    });
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "serviceName": name, "selector": { "matchLabels": labels }, "updateStrategy": strategy,
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 1, "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "containers": [{
                        "name": "stellar-core", "image": "core:1",
                        "ports": [{ "name": "peer", "containerPort": 11625 }],
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
                        },
                    }],
                },
            },
        },
    })
}

fn generation(env: &TestEnv, name: &str) -> Option<Value> {
    let set = env.get(&format!("statefulset/{name}"))?;
    Some(set["metadata"]["generation"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_stateful_sets_are_reported_and_the_others_get_slots() {
    let env = TestEnv::start("handed-over", Options::default()).await;
    let validators = Validators::new(7);
    let on_delete = json!({ "type": "OnDelete" });
    let partition = json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 1 } });
    let sets = [
        ("validator-4", &on_delete, false),
        ("validator-5", &partition, false),
        ("validator-6", &on_delete, true),
        ("validator-7", &json!({ "type": "RollingUpdate" }), true),
    ];
    for (name, strategy, handed_over) in &sets {
        let mut set = foreign(name, strategy);
        if *handed_over {
            set["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("stellar-operator");
        }
        env.apply(&set.to_string());
    }
    env.apply(&validators.manifests(1..=7));
    wait_for("seven peers", SOON, async || (env.peers().len() == 7).then_some(())).await;
    env.all_slots_free().await;
    let list = PeersList::watch(&env).await;
    let downs = env.recorder().history().downs();
    let generations = sets.map(|(name, ..)| generation(&env, name));

    ask_for_new_version(&env, &THREE);
    all_have_new_version(&env, &THREE).await;
    for name in ["validator-4", "validator-5"] {
        wait_for_condition(&env, name, "Degraded", "NotOurs", "not managed by stellar-operator").await;
    }
    wait_for_condition(&env, "validator-6", "UpdatePending", "WaitsForPerson", "updateStrategy").await;
    wait_for_condition(&env, "validator-7", "UpdatePending", "WaitsForPerson", "delete it").await;
    let history = env.recorder().history();
    for (name, ..) in sets {
        assert_eq!(history.downs()[name], downs[name], "{name}:\n{history}");
    }
    assert_eq!(
        sets.map(|(name, ..)| generation(&env, name)),
        generations,
        "the operator changed none of them"
    );
    list.assert_at_least(7);
}
