//! All pod settings of a StellarNode reach its pods, and a field added later restarts only that validator, once.

use std::time::Duration;

use serde_json::{Value, json};
use test_kit::{Options, SOON, TWO, TestEnv, Validators, wait_for};

/// Longer than every wait of the operator in this test.
const CALM: Duration = Duration::from_secs(6);
const DATABASE: &str = "postgresql://dbname=core host=db user=core password=hunter2";

/// Fields that are passed unchanged to the pod's spec.
fn of_the_pod() -> Value {
    let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "kubernetes.io/hostname", "operator": "Exists" }] }],
    } } });
    json!({
        "nodeSelector": { "kubernetes.io/os": "linux" },
        "tolerations": [{ "key": "stellar", "operator": "Exists", "effect": "NoSchedule" }],
        "affinity": affinity,
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": { "app.kubernetes.io/name": "stellar-node" } },
        }],
        "priorityClassName": "system-cluster-critical",
        "imagePullSecrets": [{ "name": "pull" }],
        "serviceAccountName": "node",
    })
}

fn more() -> Value {
    json!({
        "env": [{ "name": "TZ", "value": "UTC" }],
        "podLabels": { "team": "a" },
        "probes": { "startup": { "tcpSocket": { "port": "peer" }, "failureThreshold": 60 } },
        "sidecars": [{
            "name": "exporter", "image": "exporter:1", "args": ["--quiet"],
            "ports": [{ "name": "metrics", "containerPort": 9100 }],
            "resources": { "limits": { "memory": "64Mi" } },
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            "lifecycle": { "preStop": { "sleep": { "seconds": 1 } } },
        }],
        "storage": { "size": "1Gi", "annotations": { "snapshot": "daily" } },
        "validatorConfig": {
            "peersAs": "Preferred",
            "database": { "secretKeyRef": { "name": "core-db", "key": "url" } },
        },
    })
}

/// Asserts that `stored` contains all of `given`; the API server may have added defaults.
#[track_caller]
fn assert_holds(stored: &Value, given: &Value) {
    assert!(
        stellar_k8s::controller::resources::holds(stored, given),
        "{given} is not in {stored}"
    );
}

/// Whether a validator's config has the current address of another, under any key.
fn dials(env: &TestEnv, one: &str, other: &str) -> bool {
    let config = env.rendered_config(&format!("{one}-0")).unwrap_or_default();
    let peers = ["KNOWN_PEERS", "PREFERRED_PEERS"]
        .iter()
        .filter_map(|key| config.get(*key)?.as_array());
    let address = env.pod_ip(other).map(|ip| format!("{ip}:11625"));
    peers.flatten().any(|peer| peer.as_str() == address.as_deref())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_reach_the_pods_and_a_changed_field_restarts_its_validator_once() {
    let env = TestEnv::start("pod-settings", Options::default()).await;
    let validators = Validators::new(4);
    let mut node = validators.node(1);
    json_patch::merge(&mut node["spec"], &of_the_pod());
    json_patch::merge(&mut node["spec"], &more());
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "node" } });
    let database = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "core-db" }, "stringData": { "url": DATABASE },
    });
    let items = json!([
        account,
        database,
        validators.secret(1),
        node,
        validators.secret(2),
        validators.node(2)
    ]);
    env.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string());
    wait_for("both to vote and to be connected", SOON, async || {
        let voting = env.recorder().history().voting();
        let addresses = env.addresses(&TWO)?;
        let met = env.peers() == addresses && (dials(&env, TWO[0], TWO[1]) || dials(&env, TWO[1], TWO[0]));
        (met && TWO.iter().all(|name| voting.contains(*name))).then_some(())
    })
    .await;
    env.all_slots_free().await;

    let given = more();
    let set = env.get("statefulset/validator-1").expect("its StatefulSet");
    let template = &set["spec"]["template"];
    assert_holds(&template["spec"], &of_the_pod());
    assert_eq!(
        template["spec"]["affinity"],
        of_the_pod()["affinity"],
        "in place of the default"
    );
    assert_eq!(template["metadata"]["labels"]["team"], "a");
    let main = &template["spec"]["containers"][0];
    assert_eq!(main["env"][0], given["env"][0]);
    assert_holds(&main["startupProbe"], &given["probes"]["startup"]);
    assert_holds(&template["spec"]["containers"][1], &given["sidecars"][0]);
    let claim = env.get("persistentvolumeclaim/data-validator-1-0").expect("its claim");
    assert_eq!(claim["metadata"]["annotations"]["snapshot"], "daily");

    // The connection string is only in this file.
    let config = env.rendered_config("validator-1-0").expect("it was rendered");
    assert_eq!(config["DATABASE"].as_str(), Some(DATABASE));
    assert!(config.contains_key("PREFERRED_PEERS") && !config.contains_key("KNOWN_PEERS"));
    let everything = env.kubectl(&["get", "pods,statefulsets,configmaps,events,stellarnodes", "-o", "json"]);
    assert!(!everything.ok("get").contains("hunter2"));
    assert!(!env.log().contains("hunter2"));

    // Nothing may happen in this time, so there is no condition to wait for.
    tokio::time::sleep(CALM).await;
    let before = env.recorder().history().lives();
    let patch = json!({ "spec": { "tolerations": [{ "key": "late", "operator": "Exists" }] } });
    env.kubectl(&[
        "patch",
        "stellarnode/validator-2",
        "--type=merge",
        "-p",
        &patch.to_string(),
    ])
    .ok("patch");
    wait_for("it to have the field and to vote", SOON, async || {
        let pod = env.get("pod/validator-2-0")?;
        let tolerated = pod["spec"]["tolerations"]
            .as_array()?
            .iter()
            .any(|one| one["key"] == "late");
        (tolerated && env.recorder().history().voting().contains("validator-2")).then_some(())
    })
    .await;
    env.all_slots_free().await;
    env.stays_quiet(CALM).await;
    let history = env.recorder().history();
    let mut expected = before;
    *expected.get_mut("validator-2").expect("it was there") += 1;
    assert_eq!(history.lives(), expected, "one restart of one validator:\n{history}");
}
