//! The cost of one discovery cycle without its writes: caches → snapshot → plan, for groups at rest.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use divan::Bencher;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stellar_k8s::controller::discovery::decide::decide;
use stellar_k8s::controller::observe::assemble::Objects;
use stellar_k8s::controller::resources::{self, BuildSettings};
use stellar_k8s::controller::{Options, RestartMode};
use stellar_k8s::crd::{GuardedNode, StellarNode};
use stellar_k8s::labels;
use stellar_k8s::peers::{NodeId, PeerList, Report};

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
const NAMESPACE: &str = "stellar";

fn main() {
    divan::main();
}

fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

fn name(number: usize) -> String {
    format!("validator-{number}")
}

fn address(number: usize) -> String {
    format!("10.{}.{}.{}", number / 65_536, number / 256 % 256, number % 256)
}

fn of_kind<K: DeserializeOwned>(value: Value) -> Arc<K> {
    Arc::new(serde_json::from_value(value).unwrap())
}

fn node(number: usize) -> Value {
    json!({
        "apiVersion": labels::API_VERSION,
        "kind": labels::KIND,
        "metadata": {
            "name": name(number), "namespace": NAMESPACE, "uid": format!("node-{number}"),
            "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "nodeType": "Validator", "network": "testnet", "version": "26.0.1-3109.e78c97ed0.jammy",
            "validatorConfig": { "seedSecretRef": format!("{}-seed", name(number)) },
        },
    })
}

fn stateful_set(node: &StellarNode) -> Value {
    let settings = BuildSettings {
        operator_image: "stellar-operator:test".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
    };
    let mut object = resources::build(node, &settings).unwrap().stateful_set;
    let name = node.metadata.name.clone().unwrap();
    let member = json!({
        "joined": "2026-01-01T00:00:00Z", "port": 11625, "since": "2026-01-01T00:00:00Z",
        "address": "",
    });
    object["metadata"]["resourceVersion"] = json!("1");
    object["metadata"]["annotations"][labels::MEMBER] = json!(member.to_string());
    object["status"] = json!({ "replicas": 1, "readyReplicas": 1, "updateRevision": format!("{name}-1") });
    object
}

fn pod(stateful_set: &Value, number: usize, report: &Report) -> Value {
    let name = name(number);
    let mut labels = stateful_set["spec"]["template"]["metadata"]["labels"].clone();
    labels["controller-revision-hash"] = json!(format!("{name}-1"));
    let started = json!({ "running": { "startedAt": "2026-01-01T00:01:00Z" } });
    let rendered = json!({ "terminated": {
        "exitCode": 0, "finishedAt": "2026-01-01T00:00:59Z", "message": report.to_message("G"),
    } });
    json!({
        "metadata": {
            "name": format!("{name}-0"), "namespace": NAMESPACE, "uid": format!("pod-{number}"), "labels": labels,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": "set", "controller": true,
            }],
        },
        "spec": stateful_set["spec"]["template"]["spec"],
        "status": {
            "phase": "Running",
            "podIP": address(number),
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:02:00Z" }],
            "containerStatuses": [{
                "name": "stellar-core", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": started,
            }],
            "initContainerStatuses": [{
                "name": labels::RENDER_CONTAINER, "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": rendered,
            }],
        },
    })
}

/// A group at rest: its list is published, and all members are Ready and have loaded it.
fn objects(count: usize) -> Objects {
    let mut objects = Objects::default();
    let mut sets = Vec::new();
    for number in 0..count {
        let guarded: GuardedNode = serde_json::from_value(node(number)).unwrap();
        let mut set = stateful_set(guarded.0.as_ref().unwrap());
        let member = json!({
            "joined": "2026-01-01T00:00:00Z", "port": 11625, "since": "2026-01-01T00:00:00Z",
            "address": format!("{}:11625", address(number)),
        });
        set["metadata"]["annotations"][labels::MEMBER] = json!(member.to_string());
        objects.nodes.push(Arc::new(guarded));
        objects.stateful_sets.push(of_kind::<StatefulSet>(set.clone()));
        sets.push(set);
    }
    // First build them without reports, to get the list that they have loaded.
    objects.pods = (0..count)
        .map(|number| of_kind::<Pod>(pod(&sets[number], number, &Report::of_nothing())))
        .collect();
    let plan = decide(&objects.snapshot(now()), &options());
    let write = &plan.lists[0];
    let list = PeerList::parse(&write.data[labels::PEERS_JSON]).unwrap();
    objects.lists = vec![of_kind::<ConfigMap>(json!({
        "metadata": {
            "name": write.id.name, "namespace": NAMESPACE, "uid": "list", "resourceVersion": "1",
            "labels": { labels::MANAGED_BY: labels::OPERATOR, labels::NETWORK: write.network.short_hash() },
        },
        "data": write.data,
    }))];
    let views = list.views();
    objects.pods = (0..count)
        .map(|number| {
            let report = Report::Loaded {
                view: views[&NodeId::new(NAMESPACE, name(number))].clone(),
                version: Some(list.version),
                peers: None,
            };
            of_kind::<Pod>(pod(&sets[number], number, &report))
        })
        .collect();
    objects
}

fn options() -> Options {
    Options {
        restart: RestartMode::Unlinked,
        ..Options::default()
    }
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn observe(bencher: Bencher<'_, '_>, count: usize) {
    let objects = objects(count);
    bencher.bench_local(|| objects.snapshot(now()));
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn plan(bencher: Bencher<'_, '_>, count: usize) {
    let snapshot = objects(count).snapshot(now());
    let options = options();
    let plan = decide(&snapshot, &options);
    assert!(plan.lists.is_empty() && plan.records.is_empty(), "the group is at rest");
    bencher.bench_local(|| decide(&snapshot, &options));
}
