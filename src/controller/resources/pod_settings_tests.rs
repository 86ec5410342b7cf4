//! Tests: the effect of pod settings on the objects of each type of node.

use crate::controller::resources::pod_settings::*;
use crate::controller::resources::{BuildSettings, ClaimStep, build, horizon_rpc, spec_hash};
use crate::crd::StellarNode;

fn node(node_type: &str, more: &Value) -> StellarNode {
    let (block, config) = match node_type {
        "Validator" => ("validatorConfig", json!({ "seedSecretRef": "seed" })),
        "Horizon" => ("horizonConfig", json!({ "databaseSecretRef": "db" })),
        _ => ("sorobanConfig", json!({})),
    };
    let mut node = json!({
        "apiVersion": "stellar.org/v1alpha1",
        "kind": "StellarNode",
        "metadata": { "name": "node", "namespace": "stellar", "uid": "uid-1" },
        "spec": { "nodeType": node_type, "network": "testnet", "version": "26.0.1" },
    });
    node["spec"][block] = config;
    json_patch::merge(&mut node["spec"], more);
    serde_json::from_value(node).unwrap()
}

/// The StatefulSet or the Deployment.
fn workload(node_type: &str, more: &Value) -> Value {
    let node = node(node_type, more);
    if node_type == "Validator" {
        let settings = BuildSettings {
            operator_image: "operator:1".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
        };
        build(&node, &settings).unwrap().stateful_set
    } else {
        horizon_rpc::build(&node).unwrap().deployment
    }
}

const TYPES: [&str; 3] = ["Validator", "Horizon", "SorobanRpc"];

fn all_settings() -> Value {
    json!({
        "podLabels": { "team": "a" },
        "podAnnotations": { "note": "b" },
        "nodeSelector": { "disk": "fast" },
        "tolerations": [{ "key": "stellar", "operator": "Exists" }],
        "affinity": { "nodeAffinity": {}, "fieldOfTomorrow": { "kept": [1, null, false, ""] } },
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {},
        }],
        "priorityClassName": "high",
        "imagePullSecrets": [{ "name": "pull" }],
        "serviceAccountName": "node",
        "env": [{ "name": "A", "value": "1" }],
        "probes": {
            "liveness": { "tcpSocket": { "port": 1 } },
            "readiness": { "tcpSocket": { "port": 2 } },
            "startup": { "tcpSocket": { "port": 3 } },
        },
        "sidecars": [{ "name": "exporter", "image": "exporter:1", "fieldOfTomorrow": { "kept": [1, null, false, ""] } }],
    })
}

#[test]
fn all_settings_reach_the_pods_of_every_type_unchanged() {
    for node_type in TYPES {
        let given = all_settings();
        let workload = workload(node_type, &given);
        let template = &workload["spec"]["template"];
        let pod = &template["spec"];
        for field in [
            "nodeSelector",
            "tolerations",
            "affinity",
            "topologySpreadConstraints",
            "priorityClassName",
            "imagePullSecrets",
            "serviceAccountName",
        ] {
            assert_eq!(pod[field], given[field], "{node_type} {field}");
        }
        assert_eq!(template["metadata"]["labels"]["team"], "a");
        assert_eq!(template["metadata"]["labels"]["app.kubernetes.io/instance"], "node");
        assert_eq!(template["metadata"]["annotations"]["note"], "b");
        assert!(workload["metadata"]["labels"].get("team").is_none(), "the pods' alone");
        assert!(
            workload["spec"]["selector"]["matchLabels"].get("team").is_none(),
            "it never changes"
        );
        let main = &pod["containers"][0];
        assert!(main["env"].as_array().unwrap().contains(&given["env"][0]), "{main}");
        assert_eq!(main["livenessProbe"], given["probes"]["liveness"]);
        assert_eq!(main["readinessProbe"], given["probes"]["readiness"]);
        assert_eq!(main["startupProbe"], given["probes"]["startup"]);
        assert_eq!(pod["containers"][1], given["sidecars"][0]);
        assert_eq!(pod["containers"].as_array().unwrap().len(), 2);
        assert_eq!(pod["automountServiceAccountToken"], false);
    }
}

#[test]
fn absent_and_empty_settings_change_nothing() {
    let empty = json!({
        "tolerations": [], "topologySpreadConstraints": [], "imagePullSecrets": [], "env": [], "sidecars": [],
        "podLabels": {}, "nodeSelector": {}, "probes": {}, "podAnnotations": {},
        "storage": { "size": "1Gi", "mode": "PersistentVolume" },
    });
    for node_type in TYPES {
        let plain = workload(node_type, &json!({ "storage": { "size": "1Gi" } }));
        let mut other = workload(node_type, &empty);
        let pod = other["spec"]["template"]["spec"].as_object_mut().unwrap();
        assert_eq!(pod.remove("nodeSelector"), Some(json!({})));
        assert_eq!(other, plain, "{node_type}");
    }
}

#[test]
fn each_field_changes_the_hash_of_a_spec() {
    for node_type in TYPES {
        let hash = |more: &Value| spec_hash(&node(node_type, more).spec);
        let mut seen = vec![hash(&json!({}))];
        for (field, value) in all_settings().as_object().unwrap() {
            seen.push(hash(&json!({ field: value })));
        }
        // False and empty values count here.
        seen.push(hash(&json!({ "affinity": {} })));
        for context in [json!({}), json!({ "privileged": false })] {
            let sidecar = json!({ "name": "a", "image": "a", "securityContext": context });
            seen.push(hash(&json!({ "sidecars": [sidecar] })));
        }
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count, "{node_type}");
        assert_eq!(
            hash(&json!({ "affinity": null, "probes": {}, "nodeSelector": {} })),
            hash(&json!({}))
        );
    }
}

/// The hashes of a version without these fields: other values would restart every node.
#[test]
fn a_spec_without_settings_keeps_its_hash() {
    for (node_type, more, expected) in [
        ("Validator", json!({}), "5db9281652fe178f"),
        (
            "Validator",
            json!({ "podAnnotations": { "a": "b" }, "storage": { "size": "1Gi" } }),
            "f32d3de077468ec9",
        ),
        ("Horizon", json!({}), "f21ef513c10d9e6a"),
        (
            "Horizon",
            json!({ "podAnnotations": { "a": "b" }, "storage": { "size": "1Gi" } }),
            "445dad9054994416",
        ),
        ("SorobanRpc", json!({}), "8530b65d6691a14d"),
        (
            "SorobanRpc",
            json!({ "podAnnotations": { "a": "b" }, "storage": { "size": "1Gi" } }),
            "0f201ab3583139d7",
        ),
    ] {
        let spec = node(node_type, &more).spec;
        assert_eq!(spec_hash(&spec), expected, "{node_type} {more}");
    }
}

#[test]
fn storage_in_the_pod() {
    let in_pod = json!({ "storage": { "mode": "EmptyDir", "size": "1Gi" } });
    let data = json!({ "name": "data", "emptyDir": {} });
    for node_type in TYPES {
        let workload = workload(node_type, &in_pod);
        let volumes = workload["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
        let found: Vec<&Value> = volumes.iter().filter(|volume| volume["name"] == "data").collect();
        assert_eq!(found, [&data], "{node_type}");
        assert!(workload["spec"].get("volumeClaimTemplates").is_none());
        let larger = json!({ "storage": { "mode": "EmptyDir", "size": "2Gi" } });
        let hash = |more: &Value| spec_hash(&node(node_type, more).spec);
        assert_eq!(hash(&in_pod), hash(&larger), "{node_type}");
        if node_type != "SorobanRpc" {
            assert_ne!(
                hash(&in_pod),
                hash(&json!({ "storage": { "size": "1Gi" } })),
                "{node_type}"
            );
        }
    }
    assert_eq!(horizon_rpc::build(&node("SorobanRpc", &in_pod)).unwrap().claim, None);
}

#[test]
fn annotations_of_the_claim() {
    let storage = json!({ "storage": { "size": "1Gi", "annotations": { "snapshot": "daily" } } });
    let annotations = json!({ "snapshot": "daily" });
    let set = workload("Validator", &storage);
    assert_eq!(
        set["spec"]["volumeClaimTemplates"][0]["metadata"]["annotations"],
        annotations
    );
    let horizon = workload("Horizon", &storage);
    let place = "/spec/template/spec/volumes/0/ephemeral/volumeClaimTemplate/metadata/annotations";
    assert_eq!(horizon.pointer(place), Some(&annotations));
    let claim = horizon_rpc::build(&node("SorobanRpc", &storage))
        .unwrap()
        .claim
        .unwrap();
    assert_eq!(claim["metadata"]["annotations"], annotations);
    let mut stored = claim.clone();
    let step = |stored: &Value| {
        let stored = serde_json::from_value(stored.clone()).unwrap();
        ClaimStep::of(&stored, &claim, "uid-1")
    };
    assert_eq!(step(&stored), ClaimStep::None);
    stored["metadata"]["annotations"] = json!({ "snapshot": "never", "pv.kubernetes.io/bound-by-controller": "yes" });
    assert_eq!(step(&stored), ClaimStep::Update(claim.clone()));
}

#[test]
fn the_database_and_how_peers_are_written_reach_render_config_alone() {
    let reference = json!({ "name": "db", "key": "url" });
    let more = json!({ "validatorConfig": { "database": { "secretKeyRef": reference }, "peersAs": "Preferred" } });
    let set = workload("Validator", &more);
    let pod = &set["spec"]["template"]["spec"];
    let render = &pod["initContainers"][0];
    let variable = json!({ "name": "STELLAR_CORE_DATABASE", "valueFrom": { "secretKeyRef": reference } });
    assert!(render["env"].as_array().unwrap().contains(&variable), "{render}");
    let args: Vec<&str> = render["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        args.windows(2).any(|two| two == ["--peers-as", "Preferred"]),
        "{args:?}"
    );
    assert_eq!(set.to_string().matches("STELLAR_CORE_DATABASE").count(), 1);
    let known = json!({ "validatorConfig": { "peersAs": "Known" } });
    assert_eq!(workload("Validator", &known), workload("Validator", &json!({})));
}

/// A name that the webhook accepted would appear twice.
#[test]
fn every_variable_that_the_operator_sets_is_refused_to_the_user() {
    for node_type in ["Horizon", "SorobanRpc"] {
        let block = if node_type == "Horizon" {
            "horizonConfig"
        } else {
            "sorobanConfig"
        };
        let mut all = json!({ block: { "stellarCoreUrl": "http://a" } });
        if node_type == "SorobanRpc" {
            all[block]["maxEventsPerRequest"] = json!(50);
        }
        let deployment = workload(node_type, &all);
        let env = deployment.pointer("/spec/template/spec/containers/0/env").unwrap();
        for variable in env.as_array().unwrap() {
            let mut object = json!(node(node_type, &all));
            object["spec"]["env"] = json!([{ "name": variable["name"], "value": "x" }]);
            let verdict = crate::admission::validate::validate(&object, None, &crate::admission::context::NoContext);
            assert_eq!(verdict.errors.len(), 1, "{variable}: {verdict:?}");
            assert_eq!(verdict.errors[0].field, "spec.env[0].name");
        }
    }
}

#[test]
fn render_config_gets_the_name_of_its_pod() {
    let built = workload("Validator", &json!({}));
    let init = built["spec"]["template"]["spec"]["initContainers"].as_array().unwrap();
    let render = init
        .iter()
        .find(|one| one["name"] == crate::labels::RENDER_CONTAINER)
        .unwrap();
    let env = render["env"].as_array().unwrap();
    let name = env.iter().find(|one| one["name"] == "POD_NAME").unwrap();
    assert_eq!(name["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name");
}
