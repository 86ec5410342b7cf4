//! A validator waits for each pod and each stored template that has its seed or its database.

use jiff::Timestamp;
use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use crate::controller::exclusivity::seeds::*;
use crate::controller::observe::assemble::Objects;

const NEW: &str = "new";

fn node_on(network: &str, name: &str, uid: &str) -> StellarNode {
    serde_json::from_value(json!({
        "apiVersion": labels::API_VERSION, "kind": labels::KIND,
        "metadata": { "name": name, "namespace": "n", "uid": uid },
        "spec": {
            "nodeType": "Validator", "network": network, "version": "1",
            "validatorConfig": {
                "seedSecretRef": NEW, "database": { "secretKeyRef": { "name": "postgres", "key": "core" } },
            },
        },
    }))
    .unwrap()
}

fn owner_of(kind: &str, uid: &str) -> Value {
    json!([{ "apiVersion": "v1", "kind": kind, "name": "b", "uid": uid, "controller": true }])
}

fn with_key(secret: &str, key: &str) -> Value {
    let env = json!({ "name": "E", "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } });
    json!({ "containers": [], "initContainers": [{ "name": "i", "env": [env] }] })
}

/// StatefulSet `b` of the validator with uid `node-b`; its spec names another seed by now.
fn stateful_set() -> Value {
    json!({
        "metadata": {
            "name": "b", "namespace": "n", "uid": "set-b", "labels": { labels::INSTANCE: "b" },
            "ownerReferences": owner_of(labels::KIND, "node-b"),
        },
        "spec": {
            "replicas": 1, "selector": {}, "serviceName": "b",
            "template": { "metadata": {}, "spec": with_key(NEW, labels::SEED_KEY) },
        },
    })
}

fn pod() -> Value {
    json!({
        "metadata": {
            "name": "b-0", "namespace": "n", "labels": { labels::INSTANCE: "b" },
            "ownerReferences": owner_of("StatefulSet", "set-b"),
        },
        "spec": with_key(NEW, labels::SEED_KEY),
        "status": { "phase": "Running" },
    })
}

fn changed(mut object: Value, patch: &Value) -> Value {
    json_patch::merge(&mut object, patch);
    object
}

/// The holder of the seed or database of validator `a` on testnet.
fn holder(what: Exclusive, sets: &[Value], pods: &[Value], nodes: &[StellarNode]) -> Option<String> {
    let node = node_on("testnet", "a", "node-a");
    let own: StatefulSet = serde_json::from_value(changed(
        stateful_set(),
        &json!({ "metadata": { "name": "a", "uid": "set-a" } }),
    ))
    .unwrap();
    let mut present = Present::default();
    let read = |sets: &[Value]| {
        sets.iter()
            .map(|set| serde_json::from_value(set.clone()).unwrap())
            .collect()
    };
    present.add_stateful_sets(read(sets), &node);
    let pods = pods.iter().map(|pod| serde_json::from_value(pod.clone()).unwrap());
    present.add_pods(pods.collect(), &node);
    let nodes: Vec<_> = nodes
        .iter()
        .cloned()
        .map(|node| Arc::new(DeserializeGuard(Ok(node))))
        .collect();
    let holder = present.holder(&node, what, Some(&own), &nodes);
    holder.map(|holder| holder.name().to_owned())
}

#[test]
fn a_stored_template_with_replicas_counts_as_running() {
    let base = stateful_set();
    let template = |patch: Value| json!({ "spec": { "template": patch } });
    for (what, patch, is_held) in [
        ("its spec has moved on, its pod is away", json!({}), true),
        ("no replicas named: one", json!({ "spec": { "replicas": null } }), true),
        ("scaled to 0", json!({ "spec": { "replicas": 0 } }), false),
        (
            "without an owner",
            json!({ "metadata": { "ownerReferences": null } }),
            true,
        ),
        (
            "being deleted",
            json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
            true,
        ),
        ("elsewhere", json!({ "metadata": { "namespace": "m" } }), false),
        ("our own", json!({ "metadata": { "name": "a", "uid": "set-a" } }), false),
        (
            "of our name, and another's",
            json!({ "metadata": { "name": "a", "uid": "set-before" } }),
            true,
        ),
        (
            "another seed",
            template(json!({ "spec": with_key("other", labels::SEED_KEY) })),
            false,
        ),
        (
            "not the seed",
            template(json!({ "spec": with_key(NEW, "password") })),
            false,
        ),
        (
            "for another network",
            template(
                json!({ "metadata": { "labels": { labels::NETWORK: Network::parse("futurenet").short_hash() } } }),
            ),
            false,
        ),
        (
            "for this network",
            template(json!({ "metadata": { "labels": { labels::NETWORK: Network::parse("testnet").short_hash() } } })),
            true,
        ),
    ] {
        let found = holder(Exclusive::Seed, &[changed(base.clone(), &patch)], &[], &[]);
        assert_eq!(found.is_some(), is_held, "{what}: {found:?}");
    }
}

#[test]
fn a_pod_keeps_its_seed_until_it_has_ended() {
    let testnet = Network::parse("testnet").short_hash();
    let futurenet = Network::parse("futurenet").short_hash();
    let label = |network: &str| json!({ "metadata": { "labels": { labels::NETWORK: network } } });
    let phase = |phase: &str| json!({ "status": { "phase": phase } });
    let named = |name: &str| json!({ "metadata": { "name": name, "labels": { labels::INSTANCE: "a" } } });
    // Another network uses its name again.
    let again = [node_on("futurenet", "b", "node-b-again")];
    for (what, patch, is_held) in [
        ("no label, its owner is gone", json!({}), true),
        ("runs for this network", label(&testnet), true),
        ("runs for another", label(&futurenet), false),
        ("waits for a machine", phase("Pending"), true),
        ("has ended", phase("Succeeded"), false),
        ("has failed", phase("Failed"), false),
        (
            "has another seed",
            json!({ "spec": with_key("other", labels::SEED_KEY) }),
            false,
        ),
        ("is elsewhere", json!({ "metadata": { "namespace": "m" } }), false),
        ("is our own", named("a-0"), false),
        ("is our own, and a second one", named("a-1"), true),
    ] {
        let found = holder(Exclusive::Seed, &[], &[changed(pod(), &patch)], &again);
        assert_eq!(found.is_some(), is_held, "{what}: {found:?}");
    }
}

#[test]
fn a_pod_without_a_label_is_on_the_network_of_its_spec() {
    let owner = node_on("futurenet", "b", "node-b");
    let hash = resources::spec_hash(&owner.spec);
    let made_from = |hash: &str| json!({ "metadata": { "annotations": { labels::SPEC_HASH: hash } } });
    let mut owned = stateful_set();
    owned["spec"]["replicas"] = json!(0);
    for (what, pod, nodes, is_held) in [
        (
            "as its owner",
            changed(pod(), &made_from(&hash)),
            vec![owner.clone()],
            false,
        ),
        (
            "its owner has changed",
            changed(pod(), &made_from("before")),
            vec![owner.clone()],
            true,
        ),
        ("does not say", pod(), vec![owner], true),
        (
            "of one that had its owner's name",
            changed(pod(), &made_from(&hash)),
            vec![node_on("futurenet", "b", "node-b-again")],
            true,
        ),
    ] {
        let found = holder(Exclusive::Seed, std::slice::from_ref(&owned), &[pod], &nodes);
        assert_eq!(found.is_some(), is_held, "{what}: {found:?}");
    }
}

#[test]
fn a_database_is_exclusive_across_networks() {
    let spec = json!({ "spec": { "template": { "spec": with_key("postgres", "core") } } });
    let label = json!({ "metadata": { "labels": { labels::NETWORK: "other" } }, "spec": with_key("postgres", "core") });
    let set = changed(stateful_set(), &spec);
    assert_eq!(holder(Exclusive::Database, &[set], &[], &[]).as_deref(), Some("b"));
    assert_eq!(
        holder(Exclusive::Database, &[], &[changed(pod(), &label)], &[]).as_deref(),
        Some("b-0")
    );
    assert_eq!(holder(Exclusive::Database, &[stateful_set()], &[pod()], &[]), None);
}

#[test]
fn a_file_of_a_driver_is_a_seed_even_after_trimming() {
    let mut node = node_on("testnet", "a", "node-a");
    node.spec.validator_config = serde_json::from_value(json!({
        "keySource": "KMS",
        "kmsConfig": { "seedPath": "/seeds/1", "csi": { "driver": "d", "volumeAttributes": { "class": "x" } } },
    }))
    .unwrap();
    let settings = resources::BuildSettings {
        operator_image: "p:1".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
    };
    let built = resources::build(&node, &settings).unwrap().stateful_set;
    let mut set: StatefulSet = serde_json::from_value(built).unwrap();
    let expected = vec![node.spec.validator_config.as_ref().unwrap().seed_source().unwrap()];
    assert_eq!(seeds_of(template(&set).unwrap()), expected);
    crate::controller::observe::trim::Cached::trim(&mut set);
    assert_eq!(seeds_of(template(&set).unwrap()), expected);
    let label = set.spec.unwrap().template.metadata.unwrap().labels.unwrap();
    assert_eq!(
        label.get(labels::NETWORK),
        Some(&Network::parse("testnet").short_hash())
    );
}

#[test]
fn a_pod_holds_a_seed_only_against_validators_without_it() {
    let node = |name: &str, seed: &str| {
        let node = json!({
            "apiVersion": labels::API_VERSION, "kind": labels::KIND,
            "metadata": { "name": name, "namespace": "n", "uid": name },
            "spec": {
                "nodeType": "Validator", "network": "testnet", "version": "1",
                "validatorConfig": { "seedSecretRef": seed },
            },
        });
        Arc::new(DeserializeGuard(Ok(serde_json::from_value(node).unwrap())))
    };
    let pod = |instance: &str, seed: &str| {
        let seed = json!({ "name": "S", "valueFrom": { "secretKeyRef": { "name": seed, "key": labels::SEED_KEY } } });
        let pod = json!({
            "metadata": {
                "name": format!("{instance}-0"), "namespace": "n", "labels": { labels::INSTANCE: instance },
            },
            "spec": { "containers": [{ "name": "c", "env": [seed] }] },
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    };
    for (own, expected) in [("old", Some("b-0")), ("new", None)] {
        let objects = Objects {
            nodes: vec![node("a", "new"), node("b", "other")],
            pods: vec![pod("a", own), pod("b", "new")],
            ..Objects::default()
        };
        let validators = objects.snapshot(Timestamp::UNIX_EPOCH).validators;
        assert_eq!(validators[0].seed_held_by.as_deref(), expected, "a has {own}");
        assert_eq!(validators[1].seed_held_by, None);
    }
}

#[test]
fn a_stored_template_or_a_pod_with_a_reused_name_holds_a_seed() {
    let node = |name: &str, seed: &str, network: &str| {
        let node = json!({
            "apiVersion": labels::API_VERSION, "kind": labels::KIND,
            "metadata": { "name": name, "namespace": "n", "uid": format!("node-{name}") },
            "spec": {
                "nodeType": "Validator", "network": network, "version": "1",
                "validatorConfig": { "seedSecretRef": seed },
            },
        });
        Arc::new(DeserializeGuard(Ok(serde_json::from_value(node).unwrap())))
    };
    let seed = |name: &str| {
        let env = json!({ "name": "S", "valueFrom": { "secretKeyRef": { "name": name, "key": labels::SEED_KEY } } });
        json!({ "containers": [{ "name": "c", "env": [env] }] })
    };
    let set: StatefulSet = serde_json::from_value(json!({
        "metadata": { "name": "b", "namespace": "n", "uid": "set-b", "labels": { labels::INSTANCE: "b" } },
        "spec": { "replicas": 1, "selector": {}, "serviceName": "b", "template": { "spec": seed("new") } },
    }))
    .unwrap();
    // Its spec names another seed, and its pod is missing for a moment.
    let objects = Objects {
        nodes: vec![node("a", "new", "testnet"), node("b", "other", "testnet")],
        stateful_sets: vec![Arc::new(set)],
        ..Objects::default()
    };
    let validators = objects.snapshot(Timestamp::UNIX_EPOCH).validators;
    assert_eq!(validators[0].seed_held_by.as_deref(), Some("b"));
    // A pod of a deleted validator; another network has a validator of the same name.
    let pod = json!({
        "metadata": {
            "name": "b-0", "namespace": "n", "labels": { labels::INSTANCE: "b" },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "b", "uid": "set-before", "controller": true,
            }],
        },
        "spec": seed("new"),
    });
    let objects = Objects {
        nodes: vec![node("a", "new", "testnet"), node("b", "new", "futurenet")],
        pods: vec![Arc::new(serde_json::from_value(pod).unwrap())],
        ..Objects::default()
    };
    let validators = objects.snapshot(Timestamp::UNIX_EPOCH).validators;
    assert_eq!(validators[0].seed_held_by.as_deref(), Some("b-0"));
}
