//! Tests: the fields that the caches keep.

use std::sync::Arc;

use kube::core::DeserializeGuard;
use kube::runtime::reflector::store;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use crate::controller::observe::assemble::Objects;
use crate::controller::observe::trim::*;
use crate::controller::resources::{self, BuildSettings};
use crate::crd::StellarNode;
use crate::util::clock;

fn node() -> StellarNode {
    serde_json::from_value(json!({
        "apiVersion": labels::API_VERSION,
        "kind": labels::KIND,
        "metadata": {
            "name": "validator-1", "namespace": "stellar", "uid": "1", "generation": 3,
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{}", labels::APPROVE_RESTART: "abc",
            },
            "managedFields": [{ "manager": "kubectl", "time": "2026-01-01T00:00:00Z", "fieldsV1": { "f:spec": {} } }],
        },
        "spec": {
            "nodeType": "Validator", "network": "testnet", "version": "26.0.1",
            "validatorConfig": { "seedSecretRef": "seed" },
        },
    }))
    .unwrap()
}

fn with_metadata(mut object: Value, metadata: &Value) -> Value {
    let into = object["metadata"].as_object_mut().unwrap();
    into.extend(metadata.as_object().unwrap().clone());
    object
}

fn stateful_set() -> StatefulSet {
    let settings = BuildSettings {
        operator_image: "operator".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
    };
    let built = resources::build(&node(), &settings).unwrap().stateful_set;
    let mut object = with_metadata(
        built,
        &json!({
            "uid": "2", "resourceVersion": "7", "generation": 4,
            "managedFields": [{ "manager": "kubectl", "fieldsV1": { "f:spec": {} } }],
            "annotations": {
                "deployment.example/notes": "long", labels::SLOT_GIVEN_BACK: "2026-01-01T00:00:00Z",
                labels::MEMBER: json!({
                    "joined": "2026-01-01T00:00:00Z", "port": 11625, "address": "10.0.0.1:11625",
                    "since": "2026-01-01T00:00:00Z",
                }).to_string(),
                labels::LAST_RESTART: json!({ "at": "2026-01-01T00:00:00Z", "view": "v" }).to_string(),
                labels::LOADED_PEERS: json!({ "podUID": "3", "view": "v" }).to_string(),
            },
        }),
    );
    object["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
    object["status"] = json!({
        "replicas": 1, "observedGeneration": 4, "updateRevision": "validator-1-b", "currentRevision": "validator-1-a",
    });
    serde_json::from_value(object).unwrap()
}

fn pod() -> Pod {
    let template = json!(stateful_set().spec.unwrap().template);
    let mut object = with_metadata(
        json!({ "metadata": template["metadata"], "spec": template["spec"] }),
        &json!({
            "name": "validator-1-0", "namespace": "stellar", "uid": "3", "resourceVersion": "8",
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "validator-1", "uid": "2", "controller": true,
            }],
        }),
    );
    object["metadata"]["labels"]["controller-revision-hash"] = json!("validator-1-a");
    let status = |name: &str, state: Value| {
        json!({
            "name": name, "image": "an image", "imageID": "its digest", "ready": true, "restartCount": 2,
            "lastState": { "terminated": { "exitCode": 1, "message": "long" } }, "state": state,
        })
    };
    let running = json!({ "running": { "startedAt": "2026-01-01T00:00:10Z" } });
    let message = crate::peers::Report::of_nothing().to_message("G");
    let ended = json!({ "terminated": {
        "exitCode": 0, "finishedAt": "2026-01-01T00:00:09Z", "message": message,
    } });
    object["status"] = json!({
        "phase": "Running", "podIP": "fd00::1", "podIPs": [{ "ip": "fd00::1" }, { "ip": "10.0.0.1" }],
        "conditions": [
            { "type": "Initialized", "status": "True" },
            { "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:20Z" },
        ],
        "containerStatuses": [status(labels::CORE_CONTAINERS[0], running.clone()), status("exporter", running)],
        "initContainerStatuses": [status(labels::RENDER_CONTAINER, ended.clone()), status("new-db", ended)],
    });
    serde_json::from_value(object).unwrap()
}

fn list() -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": {
            "name": "stellar-peers", "namespace": "stellar", "uid": "4", "resourceVersion": "9",
            "labels": { labels::MANAGED_BY: labels::OPERATOR, labels::NETWORK: "n" }, "annotations": { "a": "b" },
        },
        "data": { labels::KNOWN_PEERS: "10.0.0.1:11625" },
    }))
    .unwrap()
}

fn foreign() -> PartialObjectMeta<ConfigMap> {
    serde_json::from_value(json!({ "metadata": {
        "name": "stellar-peers", "namespace": "stellar", "uid": "5", "resourceVersion": "9",
        "labels": { "app": "other" },
    } }))
    .unwrap()
}

fn trimmed<K: Cached>(mut object: K) -> K {
    object.trim();
    object
}

/// A pod that serves and does not vote, and a StatefulSet with another name for its core container.
fn unready_and_foreign(mut objects: Objects) -> Objects {
    let pod = Arc::make_mut(&mut objects.pods[0]);
    let conditions = pod.status.as_mut().unwrap().conditions.as_mut().unwrap();
    conditions.iter_mut().for_each(|one| one.status = "False".to_owned());
    let set = Arc::make_mut(&mut objects.stateful_sets[0]);
    let template = set.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    template.containers[0].name = "core".to_owned();
    objects
}

/// A pod whose containers cannot run, and that no node takes.
fn blocked(mut objects: Objects, scheduled: &str) -> Objects {
    let long = "x".repeat(4096);
    let ended = json!({ "terminated": { "exitCode": 1, "message": long } });
    let status = |name: &str, state: Value| {
        json!({
            "name": name, "image": "", "imageID": "", "ready": false, "restartCount": 2,
            "state": state, "lastState": ended,
        })
    };
    let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": long } });
    let status = json!({
        "conditions": [
            { "type": "Ready", "status": "False", "message": long },
            { "type": "PodScheduled", "status": scheduled, "message": long },
        ],
        "initContainerStatuses": [status("new-db", ended.clone()), status("new-hist", waiting)],
    });
    Arc::make_mut(&mut objects.pods[0]).status = serde_json::from_value(status).unwrap();
    objects
}

/// All objects, in the order of the watches.
fn objects(is_trimmed: bool) -> Objects {
    fn one<K: Cached>(object: K, is_trimmed: bool) -> Vec<Arc<K>> {
        vec![Arc::new(if is_trimmed { trimmed(object) } else { object })]
    }
    Objects {
        nodes: one(DeserializeGuard(Ok(node())), is_trimmed),
        stateful_sets: one(stateful_set(), is_trimmed),
        pods: one(pod(), is_trimmed),
        lists: one(list(), is_trimmed),
        foreign: one(foreign(), is_trimmed),
        ..Objects::default()
    }
}

#[test]
fn decisions_are_the_same_on_trimmed_objects() {
    let now = clock::now();
    let [full, kept] = [false, true].map(|is_trimmed| format!("{:#?}", objects(is_trimmed).snapshot(now)));
    assert_eq!(full, kept);
    let others = [false, true].map(|is_trimmed| unready_and_foreign(objects(is_trimmed)));
    let [other_full, other_kept] = others.map(|objects| format!("{:#?}", objects.snapshot(now)));
    assert_eq!(other_full, other_kept);
    for needle in [
        "ready: true",
        "voting_since: None",
        "silent_since: Some(",
        "convertible: false",
    ] {
        assert!(other_full.contains(needle), "{needle} in {other_full}");
    }
    for (scheduled, needle) in [("True", "container new-db ended"), ("False", "no node takes")] {
        let [whole, part] = [false, true].map(|is_trimmed| {
            let mut objects = blocked(objects(false), scheduled);
            if is_trimmed {
                Arc::make_mut(&mut objects.pods[0]).trim();
                assert!(json!(&*objects.pods[0]).to_string().len() < 8 << 10);
            }
            format!("{:#?}", objects.snapshot(now))
        });
        assert_eq!(whole, part);
        assert!(whole.contains(needle), "{needle} in {whole}");
    }
    // The comparison is meaningful: none of these is absent.
    for needle in [
        "validator-1-b",
        "10.0.0.1",
        "Loaded {",
        "waits_for_person: true",
        "reports: true",
    ] {
        assert!(full.contains(needle), "{needle} in {full}");
    }
    for absent in [
        "member: None",
        "last_restart: None",
        "given_back: None",
        "assumed: None",
        "voting_since: None",
    ] {
        assert!(!full.contains(absent), "{absent} in {full}");
    }
}

#[test]
fn most_of_an_object_is_dropped() {
    fn size(object: &impl serde::Serialize) -> usize {
        serde_json::to_string(object).unwrap().len()
    }
    let (set, pod) = (stateful_set(), pod());
    let sizes = [
        ("StatefulSet", size(&set), size(&trimmed(set.clone()))),
        ("Pod", size(&pod), size(&trimmed(pod.clone()))),
    ];
    for (kind, before, after) in sizes {
        assert!(after * 3 < before, "{kind}: {before} → {after}");
    }
    assert_eq!(trimmed(foreign()).metadata.labels, Some(BTreeMap::new()));
    let managers = trimmed(DeserializeGuard(Ok(node())))
        .meta()
        .managed_fields
        .clone()
        .unwrap();
    assert!(managers[0].fields_v1.is_none() && managers[0].time.is_some());
}

#[test]
fn only_objects_of_a_node_trigger_a_decision() {
    let (reader, mut writer) = store::<GuardedNode>();
    let no_nodes = [reader.clone()];
    assert!(!pod().concerns(&no_nodes) && !stateful_set().concerns(&no_nodes) && !foreign().concerns(&no_nodes));
    writer.apply_watcher_event(&Event::Apply(DeserializeGuard(Ok(node()))));
    let nodes = [reader];
    assert!(pod().concerns(&nodes) && stateful_set().concerns(&nodes) && foreign().concerns(&nodes));
    let mut other = pod();
    other.metadata.namespace = Some("elsewhere".to_owned());
    assert!(!other.concerns(&nodes));
    let mut other = foreign();
    other.metadata.name = Some("kube-root-ca.crt".to_owned());
    assert!(!other.concerns(&nodes));
}

/// The trimmed JSON of an object with fields of any size.
fn kept<K: Cached + serde::Serialize + serde::de::DeserializeOwned>(object: Value) -> usize {
    let object: K = serde_json::from_value(object).unwrap();
    serde_json::to_string(&trimmed(object)).unwrap().len()
}

#[test]
fn unread_and_large_fields_are_dropped() {
    let long = "x".repeat(100 << 10);
    let seeds: Vec<Value> = (0..1_000)
        .map(|number| {
            let key = json!({ "name": "s", "key": labels::SEED_KEY });
            json!({ "name": format!("V{number}"), "valueFrom": { "secretKeyRef": key } })
        })
        .collect();
    let ports: Vec<Value> = (1..1_000).map(|port| json!({ "containerPort": port })).collect();
    let core = json!({ "name": labels::CORE_CONTAINERS[0], "env": seeds, "ports": ports, "image": long });
    let metadata = |label: &str| {
        json!({
            "name": "a", "namespace": "n", "finalizers": [long],
            "labels": { labels::INSTANCE: "a", label: long },
            "annotations": { labels::MEMBER: long, "other": long },
            "managedFields": [{ "manager": long }],
        })
    };
    let template = json!({
        "metadata": { "annotations": { labels::SPEC_HASH: long, "other": long }, "labels": { "other": long } },
        "spec": { "containers": [core] },
    });
    let set = json!({
        "metadata": metadata("other"),
        "spec": { "serviceName": "a", "selector": {}, "template": template },
    });
    let pod = json!({ "metadata": metadata("other"), "spec": template["spec"] });
    let config_map = json!({ "metadata": metadata("other"), "binaryData": { "a": "eHh4".repeat(20 << 10) } });
    let most = 16 << 10;
    assert!(kept::<StatefulSet>(set) < most);
    assert!(kept::<Pod>(pod) < most);
    assert!(kept::<ConfigMap>(config_map.clone()) < most);
    assert!(kept::<PartialObjectMeta<ConfigMap>>(json!({ "metadata": metadata(labels::INSTANCE) })) < most);
    let budget = json!({ "metadata": metadata("other"), "spec": { "selector": { "matchLabels": {} } } });
    assert!(kept::<PodDisruptionBudget>(budget) < most);
}

#[test]
fn the_error_of_an_unreadable_node_is_shortened() {
    let mut node = json!(node());
    node["spec"]["nodeType"] = json!("x".repeat(100 << 10));
    let guarded: GuardedNode = serde_json::from_value(node).unwrap();
    let invalid = trimmed(guarded).0.unwrap_err();
    assert!(invalid.error.len() <= LONGEST_REASON, "{}", invalid.error.len());
}

#[test]
fn the_data_of_an_unreferenced_list_is_dropped() {
    let (reader, mut writer) = store::<GuardedNode>();
    let of = |nodes: &[Store<GuardedNode>]| {
        let mut list = list();
        list.trim_for_nodes(nodes);
        list.data.is_some()
    };
    assert!(!of(std::slice::from_ref(&reader)));
    writer.apply_watcher_event(&Event::Apply(DeserializeGuard(Ok(node()))));
    assert!(of(&[reader]));
}

#[test]
fn an_event_is_bounded_and_only_one_about_a_node_keeps_its_words() {
    let long = "x".repeat(100 << 10);
    let event = |name: &str| -> k8s_openapi::api::core::v1::Event {
        serde_json::from_value(json!({
            "metadata": { "name": "a", "namespace": "stellar", "annotations": { "other": long } },
            "involvedObject": { "name": name, "uid": long, "fieldPath": long }, "message": long,
            "source": { "component": long }, "lastTimestamp": "2026-01-01T00:00:00Z",
        }))
        .unwrap()
    };
    let (reader, mut writer) = store::<GuardedNode>();
    writer.apply_watcher_event(&Event::Apply(DeserializeGuard(Ok(node()))));
    let kept = |name: &str| {
        let mut event = event(name);
        event.trim_for_nodes(std::slice::from_ref(&reader));
        assert!(json!(event).to_string().len() < 4 << 10);
        event.message.is_some()
    };
    assert!(kept("validator-1"));
    assert!(!kept("another"));
    assert!(!kept(&long));
}
