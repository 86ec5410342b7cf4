//! Tests: conversion of objects, and forged values.

use crate::controller::observe::convert::*;
use serde_json::{Value, json};

fn node(validator_config: &Value) -> StellarNode {
    serde_json::from_value(json!({
        "apiVersion": labels::API_VERSION,
        "kind": labels::KIND,
        "metadata": { "name": "validator-1", "namespace": "stellar", "uid": "1" },
        "spec": {
            "nodeType": "Validator", "network": "testnet", "version": "26.0.1", "validatorConfig": validator_config,
        },
    }))
    .unwrap()
}

#[test]
fn an_invalid_spec_takes_no_slot() {
    let validator = |config: &Value| {
        let node = node(config);
        validator(&node, resources::spec_hash(&node.spec), None, None).unwrap()
    };
    let good = validator(&json!({ "seedSecretRef": "seed" }));
    assert!(good.spec_hash.is_some());
    for bad in [
        json!({ "seedSecretRef": "seed", "peerPort": 11626 }),
        json!({ "seedSecretRef": "seed", "quorumSet": "[QUORUM_SET" }),
    ] {
        assert_eq!(validator(&bad).spec_hash, None, "{bad}");
    }
}

#[test]
fn a_report_counts_only_from_before_the_core_container() {
    let statuses = |exit_code: i32, finished: &str| -> Vec<ContainerStatus> {
        serde_json::from_value(json!([{
            "name": labels::RENDER_CONTAINER, "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "state": { "terminated": {
                "exitCode": exit_code, "finishedAt": finished, "message": Report::of_nothing().to_message("G"),
            } },
        }]))
        .unwrap()
    };
    let started: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
    let counts = |exit_code, finished, core| loaded(&statuses(exit_code, finished), core).is_some();
    assert!(counts(0, "2026-01-01T00:00:09Z", Some(started)));
    assert!(
        counts(0, "2026-01-01T00:00:10Z", Some(started)),
        "kubelets give whole seconds"
    );
    assert!(counts(0, "2026-01-01T00:00:09Z", None));
    assert!(
        !counts(0, "2026-01-01T00:00:11Z", Some(started)),
        "an old message with a new sandbox"
    );
    assert!(!counts(1, "2026-01-01T00:00:09Z", Some(started)));
}

#[test]
fn the_status_remembers_a_member_and_since_when_its_address_is_lost() {
    let mirrored = |peers: Value| {
        let mut node = node(&json!({ "seedSecretRef": "seed" }));
        let joined = json!({
            "type": "Joined", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        node.status = serde_json::from_value(json!({ "conditions": [joined], "peers": peers })).unwrap();
        mirror(&node, &NodeId::new("stellar", "validator-1"))
            .map(|record| (record.address, record.port, record.lost.map(|time| time.to_string())))
    };
    let address = "10.0.0.1:11700".to_owned();
    let dialled = mirrored(json!({ "address": address }));
    assert_eq!(dialled, Some((address.clone(), 11700, None)));
    // After the grace period the address is dropped, and the member stays.
    let lost = mirrored(json!({ "lost": { "address": address, "since": "2026-01-01T01:00:00Z" } }));
    assert_eq!(lost, Some((address, 11700, Some("2026-01-01T01:00:00Z".to_owned()))));
    assert_eq!(mirrored(json!({})), None);
}

/// A validator with this address and port in its StatefulSet, and this address in its status.
fn remembered(address: &str, port: u16, in_status: &str) -> Validator {
    let mut node = node(&json!({ "seedSecretRef": "seed" }));
    let time = "2026-01-01T00:00:00Z";
    let joined = json!({ "type": "Joined", "status": "True", "lastTransitionTime": time });
    let peers = json!({ "address": in_status });
    node.status = serde_json::from_value(json!({ "conditions": [joined], "peers": peers })).unwrap();
    let record = json!({ "joined": time, "port": port, "address": address, "since": time });
    let set = json!({ "metadata": {
        "name": "validator-1", "annotations": { labels::MEMBER: record.to_string() },
    } });
    let set: StatefulSet = serde_json::from_value(set).unwrap();
    validator(&node, String::new(), Some(&set), None).unwrap()
}

#[test]
fn a_recorded_address_counts_only_in_our_own_form() {
    let name = "validator-1-0.validator-1-headless.stellar.svc.cluster.local:11625";
    let believed = |address: &str, port| {
        let validator = remembered(address, port, address);
        (validator.workload.unwrap().member.is_some(), validator.mirror.is_some())
    };
    for good in ["10.0.0.1:11625", name] {
        assert_eq!(believed(good, 11625), (true, true), "{good}");
    }
    assert_eq!(believed("10.0.0.1:11625", 11700), (false, true));
    for bad in [
        "x y\"]\nNODE_SEED=1:11625",
        "core.example:11625",
        "10.0.0.1:11625 10.0.0.2:11625",
        &name.replace("validator-1", "validator-2"),
        &format!("{}:11625", "a".repeat(1 << 20)),
    ] {
        assert_eq!(believed(bad, 11625), (false, false), "{}", &bad[..20]);
    }
}

proptest::proptest! {
    #[test]
    fn no_forged_address_gets_into_a_list(
        address in "(\\PC|[\\x00-\\x1f]){0,40}(:[0-9]{1,6})?", text in proptest::arbitrary::any::<String>(), port: u16,
    ) {
        use crate::controller::peering::groups;
        use crate::controller::model::options::Options;
        use crate::controller::samples;
        for forged in [address, text] {
            let snapshot = samples::snapshot(vec![remembered(&forged, port, &forged)]);
            let groups = groups::form(&snapshot, &Options::default());
            for group in groups {
                for address in group.list.addresses() {
                    proptest::prop_assert!(port_of_address(&snapshot.validators[0].id, &address).is_some());
                }
            }
        }
    }
}

#[test]
fn ready_is_the_core_container_in_pods_that_we_build_and_the_pod_itself_in_others() {
    let ready = |ours: bool, core: bool, pod: bool| {
        let init = if ours { labels::RENDER_CONTAINER } else { "other" };
        let object = serde_json::from_value(json!({
            "spec": { "initContainers": [{ "name": init }], "containers": [{ "name": "stellar-core" }] },
            "status": {
                "containerStatuses": [
                    { "name": "stellar-core", "image": "", "imageID": "", "ready": core, "restartCount": 0 },
                ],
                "conditions": [{ "type": "Ready", "status": if pod { "True" } else { "False" } }],
            },
        }));
        convert_pod(&object.unwrap(), 11625).ready
    };
    for (ours, core, pod, expected) in [
        (true, true, false, true),
        (true, false, false, false),
        (false, true, false, false),
        (false, true, true, true),
    ] {
        assert_eq!(ready(ours, core, pod), expected, "ours {ours}, core {core}, pod {pod}");
    }
}

#[test]
fn a_dual_stack_pod_contributes_its_ipv4_address() {
    let status = |json: Value| serde_json::from_value(json).unwrap();
    let both = json!({ "podIP": "fd00::1", "podIPs": [{ "ip": "fd00::1" }, { "ip": "10.0.0.1" }] });
    assert_eq!(ipv4(&status(both)).as_deref(), Some("10.0.0.1"));
    assert_eq!(ipv4(&status(json!({ "podIP": "fd00::1" }))), None);
}

#[test]
fn a_record_longer_than_ours_is_ignored() {
    let believed = |spaces: usize| {
        let record = json!({
            "joined": "2026-01-01T00:00:00Z", "port": 11625, "address": "10.0.0.1:11625", "since": "2026-01-01T00:00:00Z",
        });
        let text = record.to_string() + &" ".repeat(spaces);
        let annotations = BTreeMap::from([(labels::MEMBER.to_owned(), text)]);
        member(&annotations, &NodeId::new("stellar", "validator-1")).is_some()
    };
    assert!(believed(0) && !believed(LONGEST_RECORD));
}

#[test]
fn the_lease_of_the_slots_is_read_with_many_namespaces() {
    let list = |number: usize| ListId {
        namespace: format!("namespace-{number}"),
        name: "stellar-peers".to_owned(),
    };
    let joined: std::collections::BTreeSet<_> = (0..60).map(|number| (list(number), list(number + 100))).collect();
    let served: BTreeMap<_, _> = (0..60)
        .map(|number| (format!("namespace-{number}"), Timestamp::UNIX_EPOCH))
        .collect();
    let lease = json!({ "metadata": {
        "labels": { labels::MANAGED_BY: labels::OPERATOR },
        "annotations": {
            labels::JOINED_LISTS: json!(joined).to_string(), labels::SLOTS_SERVED: json!(served).to_string(),
        },
    } });
    let read = slot_lease(&serde_json::from_value(lease).unwrap());
    assert!(read.readable);
    assert_eq!((read.joined, read.served), (joined, served));
}
