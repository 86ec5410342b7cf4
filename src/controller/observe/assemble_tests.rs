//! Tests: the objects of each validator.

use kube::core::DeserializeGuard;
use serde_json::json;

use crate::controller::observe::assemble::*;

#[test]
fn the_config_of_a_node_is_no_list() {
    let node = |name: &str, list: &str| {
        let node = json!({
            "apiVersion": labels::API_VERSION, "kind": labels::KIND,
            "metadata": { "name": name, "namespace": "n", "uid": name },
            "spec": {
                "nodeType": "Validator", "network": "testnet", "version": "1",
                "validatorConfig": { "seedSecretRef": name, "knownPeersRef": { "name": list } },
            },
        });
        Arc::new(DeserializeGuard(Ok(serde_json::from_value(node).unwrap())))
    };
    let config_map = |name: &str, network: Option<&str>| {
        let mut labels = json!({ labels::MANAGED_BY: labels::OPERATOR });
        if let Some(network) = network {
            labels[labels::NETWORK] = json!(network);
        }
        json!({ "metadata": { "name": name, "namespace": "n", "labels": labels } })
    };
    let objects = Objects {
        nodes: vec![node("a", "b-config"), node("b", "c-config")],
        foreign: vec![
            Arc::new(serde_json::from_value(config_map("b-config", None)).unwrap()),
            Arc::new(serde_json::from_value(config_map("c-config", None)).unwrap()),
        ],
        lists: vec![Arc::new(
            serde_json::from_value(config_map("a-config", Some("x"))).unwrap(),
        )],
        ..Objects::default()
    };
    let lists = objects.snapshot(Timestamp::UNIX_EPOCH).lists;
    let ours: Vec<(&str, bool)> = lists.iter().map(|(id, list)| (&*id.name, list.ours)).collect();
    assert_eq!(ours, [("a-config", false), ("b-config", false), ("c-config", true)]);
}

#[test]
fn the_stateful_set_of_a_validator() {
    let of = |name: &str, app: &str, component: Option<&str>| {
        let mut labels = json!({ labels::NAME: app, labels::INSTANCE: "a" });
        if let Some(component) = component {
            labels[labels::COMPONENT] = json!(component);
        }
        let object = json!({ "metadata": { "name": name, "labels": labels } });
        Arc::new(serde_json::from_value::<StatefulSet>(object).unwrap())
    };
    let validator = Some(labels::VALIDATOR);
    let ours = labels::STELLAR_NODE;
    for (found, expected) in [
        (vec![of("a-redis", "redis", None), of("a", ours, validator)], Some("a")),
        // Its labels do not matter.
        (vec![of("a", "core", None)], Some("a")),
        (
            vec![of("a-redis", "redis", None), of("a-core", ours, validator)],
            Some("a-core"),
        ),
        (vec![of("a-core", ours, None)], Some("a-core")),
        (vec![of("a-redis", "redis", None)], None),
        (vec![of("a-horizon", ours, Some("horizon"))], None),
        (vec![of("a-1", ours, validator), of("a-2", ours, validator)], None),
    ] {
        let best = best_workload(&found, "a").map(|found| found.name_any());
        assert_eq!(best.as_deref(), expected, "{found:?}");
    }
}

fn owned_pod(name: &str, owner: Option<(&str, &str, &str)>) -> Arc<Pod> {
    let owners: Vec<_> = owner
        .map(|(kind, name, uid)| json!({ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true }))
        .into_iter()
        .collect();
    let labels = json!({ labels::INSTANCE: "a", labels::NAME: labels::STELLAR_NODE });
    let object = json!({ "metadata": { "name": name, "namespace": "n", "labels": labels, "ownerReferences": owners } });
    Arc::new(serde_json::from_value(object).unwrap())
}

#[test]
fn a_forged_pod_belongs_to_no_validator() {
    let set = json!({ "metadata": { "name": "a", "namespace": "n", "uid": "1" } });
    let set: StatefulSet = serde_json::from_value(set).unwrap();
    let own = Some(("StatefulSet", "a", "1"));
    for (pod, with_set, without) in [
        (owned_pod("a-0", own), true, true),
        (owned_pod("a-1", own), true, true),
        (owned_pod("a-0", None), false, true),
        (owned_pod("a-0", Some(("StatefulSet", "a", "2"))), false, true),
        (owned_pod("a-0", Some(("StatefulSet", "b", "1"))), false, false),
        (owned_pod("a-0", Some(("ReplicaSet", "a", "1"))), false, false),
        (owned_pod("a-0", Some(("Job", "a", "3"))), false, false),
        (owned_pod("a-x", own), false, false),
        (owned_pod("exporter", own), false, false),
    ] {
        let all = [Arc::clone(&pod)];
        assert_eq!(best_pod(&all, Some(&set), "a").is_some(), with_set, "{pod:?}");
        assert_eq!(best_pod(&all, None, "a").is_some(), without, "{pod:?}");
    }
    let both = [owned_pod("a-0", None), owned_pod("a-1", own)];
    assert_eq!(best_pod(&both, Some(&set), "a").unwrap().name_any(), "a-1");
}

#[test]
fn forged_objects_affect_no_other_namespace() {
    let node = |namespace: &str| {
        let node = json!({
            "apiVersion": labels::API_VERSION, "kind": labels::KIND,
            "metadata": {
                "name": "a", "namespace": namespace, "uid": format!("{namespace}-a"),
                "annotations": { labels::APPROVE_RESTART: "forged" },
            },
            "spec": {
                "nodeType": "Validator", "network": "testnet", "version": "1",
                "validatorConfig": { "seedSecretRef": "seed" },
            },
        });
        Arc::new(DeserializeGuard(Ok(serde_json::from_value(node).unwrap())))
    };
    let owners = json!([
        { "apiVersion": labels::API_VERSION, "kind": labels::KIND, "name": "a", "uid": "n-a", "controller": true },
        { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "a", "uid": "1", "controller": true },
    ]);
    let of = |namespace: &str, name: &str| {
        json!({
            "name": name, "namespace": namespace, "uid": "1", "ownerReferences": owners,
            "labels": {
                labels::INSTANCE: "a", labels::NAME: labels::STELLAR_NODE, labels::MANAGED_BY: labels::OPERATOR,
                labels::NETWORK: "x", labels::PEERS: labels::DEFAULT_PEERS_CONFIG_MAP,
            },
            "annotations": {
                labels::MEMBER: json!({
                    "joined": "2026-01-01T00:00:00Z", "port": 1, "address": "10.0.0.1:1", "since": "2026-01-01T00:00:00Z",
                }).to_string(),
                labels::SLOT_GIVEN_BACK: "2026-01-01T00:00:00Z",
                labels::LAST_RESTART: json!({ "at": "2026-01-01T00:00:00Z", "view": "v" }).to_string(),
            },
        })
    };
    let seed = json!({ "name": "S", "valueFrom": { "secretKeyRef": { "name": "seed", "key": labels::SEED_KEY } } });
    let message = crate::peers::Report::of_nothing().to_message("G");
    let template = json!({
        "metadata": { "annotations": { labels::SPEC_HASH: "forged", labels::RESTARTS: "2026-01-01T00:00:00Z" } },
        "spec": { "containers": [{ "name": "c", "env": [seed] }] },
    });
    let forged_set =
        json!({ "metadata": of("b", "a"), "spec": { "serviceName": "a", "selector": {}, "template": template } });
    let forged_pod = json!({
        "metadata": of("b", "a-0"), "spec": template["spec"],
        "status": { "phase": "Running", "podIP": "10.0.0.1", "initContainerStatuses": [{
            "name": labels::RENDER_CONTAINER, "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "state": { "terminated": { "exitCode": 0, "finishedAt": "2026-01-01T00:00:00Z", "message": message } },
        }] },
    });
    let forged_list = json!({ "metadata": of("b", labels::DEFAULT_PEERS_CONFIG_MAP), "data": {
        labels::PEERS_JSON: json!({ "format": 1, "version": "2026-01-01T00:00:00Z", "members": [
            { "node": "n/a", "port": 1, "address": "10.0.0.1:1", "since": "2026-01-01T00:00:00Z" },
        ] }).to_string(),
    } });
    let alone = Objects {
        nodes: vec![node("n"), node("b")],
        ..Objects::default()
    };
    let with_forged = Objects {
        nodes: vec![node("n"), node("b")],
        stateful_sets: vec![Arc::new(serde_json::from_value(forged_set).unwrap())],
        pods: vec![Arc::new(serde_json::from_value(forged_pod).unwrap())],
        lists: vec![Arc::new(serde_json::from_value(forged_list).unwrap())],
        ..Objects::default()
    };
    let [alone, with_forged] = [alone, with_forged].map(|objects| objects.snapshot(Timestamp::UNIX_EPOCH));
    let of_n = |snapshot: &Snapshot| snapshot.validators.iter().find(|one| one.id.namespace == "n").cloned();
    assert_eq!(of_n(&alone), of_n(&with_forged));
    assert!(with_forged.lists.keys().all(|id| id.namespace == "b"));
    let options = crate::controller::Options::default();
    let groups = |snapshot: &Snapshot| {
        let all = crate::controller::peering::groups::form(snapshot, &options);
        let of_n = all.into_iter().filter(|group| group.id.namespace == "n");
        of_n.map(|group| (group.list, group.action)).collect::<Vec<_>>()
    };
    assert_eq!(groups(&alone), groups(&with_forged));
}
