//! The documented commands for the migration from the loop of the original guide.

use serde_json::{Value, json};
use test_kit::{SOON, TWO, Validators, wait_for};

use super::{overlay, types};
use crate::alone::Alone;
use crate::deployed::Deployed;
use crate::rendering::NAMESPACE;

/// A StatefulSet as the original guide makes it.
fn of_the_old_loop(name: &str) -> Value {
    let labels = json!({
        "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": "validator",
    });
    let restricted = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    let security = json!({ "runAsNonRoot": true, "runAsUser": 1, "seccompProfile": { "type": "RuntimeDefault" } });
    let ports = json!([{ "name": "peer", "containerPort": 11625 }]);
    let core = json!({ "name": "stellar-core", "image": "core:1", "ports": ports, "securityContext": restricted });
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": name, "labels": labels },
        "spec": {
            "serviceName": format!("{name}-headless"), "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "securityContext": security, "containers": [core] } },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
            }],
        },
    })
}

/// The revision of the pod template.
fn revision(alone: &Alone, name: &str) -> Value {
    alone.get(&format!("statefulset/{name}"))["status"]["updateRevision"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn migration_from_the_original_loop() {
    let alone = Alone::new();
    alone.create_namespace();
    types("kubectl apply --server-side -k manifests/crd");
    let validators = Validators::new(4);
    let list = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "stellar-peers" }, "data": { "KNOWN_PEERS": "192.0.2.1:11625" },
    });
    let mut items = vec![list];
    for number in 1..=2 {
        let node = validators.node(number);
        let name = Validators::name(number);
        items.extend([validators.secret(number), node, of_the_old_loop(&name)]);
    }
    let all = json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string();
    alone
        .kubectl(&["apply", "--namespace", NAMESPACE, "-f", "-"], &all)
        .ok("apply");
    wait_for("the pods of the old validators to run", SOON, async || {
        let ready = |name| alone.get(&format!("statefulset/{name}"))["status"]["readyReplicas"] == 1;
        (ready("validator-1") && ready("validator-2")).then_some(())
    })
    .await;
    let before = TWO.map(|name| revision(&alone, name));

    types("kubectl annotate namespace stellar stellar.org/pause-restarts=true");
    types(
        "kubectl label statefulsets -l app.kubernetes.io/name=stellar-node --namespace stellar app.kubernetes.io/managed-by=stellar-operator --overwrite",
    );
    types(
        "kubectl label configmap stellar-peers --namespace stellar app.kubernetes.io/managed-by=stellar-operator --overwrite",
    );
    let deployed = Deployed::on(alone, overlay());
    let waiting = |name: &str| {
        let node = deployed.alone().get(&format!("stellarnode/{name}"));
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|found| found["type"] == "UpdatePending");
        found.is_some_and(|found| {
            found["status"] == "True"
                && found["message"]
                    .as_str()
                    .is_some_and(|message| message.contains("stellar.org/pause-restarts"))
        })
    };
    wait_for("both to report that they wait", SOON, async || {
        (waiting("validator-1") && waiting("validator-2")).then_some(())
    })
    .await;
    wait_for("the operator to update the list", SOON, async || {
        let list = deployed.alone().get("configmap/stellar-peers");
        (list["data"]["KNOWN_PEERS"].as_str()?.lines().count() == 2).then_some(())
    })
    .await;
    let seen = types("stellar-operator peers --namespace stellar");
    assert!(seen.contains("validator-1") && seen.contains("validator-2"), "{seen}");
    let next = types("stellar-operator peers --namespace stellar --dry-run");
    assert!(next.contains("paused by the annotation"), "{next}");
    types("kubectl get stellarnodes --namespace stellar -o yaml");
    assert_eq!(TWO.map(|name| revision(deployed.alone(), name)), before);

    // Resume one validator first, then the other.
    types("kubectl annotate stellarnode validator-2 --namespace stellar stellar.org/pause-restarts=true");
    types("kubectl annotate namespace stellar stellar.org/pause-restarts-");
    wait_for("the first to get its slot", SOON, async || {
        (revision(deployed.alone(), "validator-1") != before[0]).then_some(())
    })
    .await;
    assert_eq!(revision(deployed.alone(), "validator-2"), before[1]);
    types("kubectl annotate stellarnode validator-2 --namespace stellar stellar.org/pause-restarts-");
    wait_for("the second to get its slot", SOON, async || {
        (revision(deployed.alone(), "validator-2") != before[1]).then_some(())
    })
    .await;
}
