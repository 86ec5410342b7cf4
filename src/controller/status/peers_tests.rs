use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kube::core::DeserializeGuard;
use serde_json::json;
use stellar_strkey::ed25519::PublicKey;

use crate::controller::discovery::decide::decide;
use crate::controller::discovery::shared_seeds;
use crate::controller::exclusivity::shared_keys::SharedKey;
use crate::controller::model::conditions::{ConditionType, Finding, SeedInUse};
use crate::controller::model::options::{Options, RestartMode};
use crate::controller::model::snapshot::{LastRestart, SlotLease, Snapshot, Validator};
use crate::controller::observe::assemble::Objects;
use crate::controller::samples;
use crate::crd::{Network, StellarNode};
use crate::labels;
use crate::peers::{NodeId, PeerList, Report};
use crate::util::clock;

/// Two validators of one list: `a` on testnet, and the younger `b` on mainnet. Both templates are those of an older
/// spec.
fn two_networks() -> Snapshot {
    let keys = [1, 2, 3, 4].map(|number| PublicKey([number; 32]).to_string().as_str().to_owned());
    let quorum_set = format!("[QUORUM_SET]\nTHRESHOLD_PERCENT=67\nVALIDATORS={keys:?}\n");
    let node = |name: &str, network: &str, created: &str| -> StellarNode {
        serde_json::from_value(json!({
            "apiVersion": labels::API_VERSION,
            "kind": labels::KIND,
            "metadata": { "name": name, "namespace": "n", "uid": name, "creationTimestamp": created },
            "spec": {
                "nodeType": "Validator", "network": network, "version": "1",
                "validatorConfig": { "seedSecretRef": name, "quorumSet": quorum_set },
            },
        }))
        .unwrap()
    };
    let nodes = [
        node("a", "testnet", "2026-01-01T00:00:00Z"),
        node("b", "mainnet", "2026-01-02T00:00:00Z"),
    ];
    let workload = |name: &str| {
        serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "n", "uid": format!("set-{name}"), "resourceVersion": "1",
                "labels": { labels::INSTANCE: name, labels::MANAGED_BY: labels::OPERATOR },
            },
            "spec": {
                "serviceName": "", "selector": { "matchLabels": { labels::INSTANCE: name } },
                "template": { "metadata": { "annotations": { labels::SPEC_HASH: "older" } } },
                "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": {} }],
            },
        }))
        .unwrap()
    };
    let objects = Objects {
        nodes: nodes
            .into_iter()
            .map(|node| Arc::new(DeserializeGuard(Ok(node))))
            .collect(),
        stateful_sets: ["a", "b"].map(workload).map(Arc::new).into(),
        ..Objects::default()
    };
    objects.snapshot(clock::now())
}

fn reasons(snapshot: &Snapshot, name: &str) -> BTreeMap<&'static str, (bool, &'static str)> {
    let plan = decide(snapshot, &Options::default());
    let report = &plan.reports[&NodeId::new("n", name)];
    let conditions = report.conditions.iter();
    conditions
        .map(|found| (found.condition().as_str(), (found.status, found.reason.as_str())))
        .collect()
}

#[test]
fn a_validator_of_another_network_reports_its_own_slots() {
    let mut snapshot = two_networks();
    let conditions = reasons(&snapshot, "b");
    assert_eq!(conditions["PeersReady"], (false, "NetworkConflict"));
    assert_eq!(conditions["UpdatePending"], (true, "WaitsForTurn"));
    assert_eq!(conditions["Voting"], (false, "PodNotReady"));
    assert!(
        !conditions.contains_key("Joined") && !conditions.contains_key("RolloutStalled"),
        "{conditions:?}"
    );

    // It got its slot, and its rollout does not finish.
    let plan = decide(&snapshot, &Options::default());
    let network = Network::parse("mainnet").short_hash();
    let mut slots = plan.slots[&network].write.clone().unwrap().slots;
    slots[0].since = Timestamp::UNIX_EPOCH;
    let lease = SlotLease {
        resource_version: Some("1".to_owned()),
        readable: true,
        slots,
        ..SlotLease::default()
    };
    snapshot.slots.insert(network, lease);
    let conditions = reasons(&snapshot, "b");
    assert_eq!(conditions["UpdatePending"], (true, "Rolling"));
    assert_eq!(conditions["RolloutStalled"], (true, "DeadlineExceeded"));
}

#[test]
fn a_validator_catches_up_until_the_next_checkpoint_was_due() {
    let mut validators = [("a", "10.0.0.1"), ("b", "10.0.0.2")].map(|(name, ip)| samples::member(name, ip));
    samples::pod(&mut validators[1]).voting_since = Some(samples::at(10));
    let list = samples::published(&[("a", "10.0.0.1"), ("b", "10.0.0.2")]);
    let snapshot = samples::with_list(samples::snapshot(validators.into()), list);
    let voting = |change: fn(&mut Validator)| {
        let mut snapshot = snapshot.clone();
        change(&mut snapshot.validators[0]);
        let report = decide(&snapshot, &Options::default());
        let wake = report.wake;
        let conditions = report.reports[&NodeId::new("stellar", "a")].conditions.clone();
        let found = conditions
            .into_iter()
            .find(|found| found.condition().as_str() == "Voting")
            .unwrap();
        (found.reason.as_str(), found.message, wake)
    };
    // The time is second 1000.
    let (reason, message, wake) = voting(|node| samples::pod(node).started = Some(samples::at(641)));
    assert_eq!(reason, "CatchingUp");
    assert!(
        message.contains("checkpoint") && message.contains(&samples::at(1001).to_string()),
        "{message}"
    );
    assert_eq!(wake, Some(samples::at(1001)), "no event reports its end");
    let reason = |change| voting(change).0;
    assert_eq!(
        reason(|node| samples::pod(node).started = Some(samples::at(640))),
        "PodNotReady"
    );
    assert_eq!(
        reason(|node| {
            samples::pod(node).started = Some(samples::at(999));
            samples::pod(node).ready = false;
        }),
        "PodNotReady",
        "it does not serve"
    );
    assert_eq!(reason(|node| node.pod = None), "PodNotReady");
    assert_eq!(
        reason(|node| samples::pod(node).voting_since = Some(samples::at(999))),
        "PodReady"
    );
}

/// Description, start of its core, time since which its pod is not Ready, other changes, expected reason, and the next
/// wake-up.
type LeftBehind = (
    &'static str,
    i64,
    Option<i64>,
    fn(&mut Snapshot),
    &'static str,
    Option<i64>,
);

#[test]
fn a_validator_left_behind_reports_causes_and_a_way_out() {
    let mut validators = [("a", "10.0.0.1"), ("b", "10.0.0.2")].map(|(name, ip)| samples::member(name, ip));
    samples::pod(&mut validators[1]).voting_since = Some(samples::at(10));
    let list = samples::published(&[("a", "10.0.0.1"), ("b", "10.0.0.2")]);
    let snapshot = samples::with_list(samples::snapshot(validators.into()), list);
    // The time is second 1000, and a checkpoint is due within 360 s.
    let (left_behind, other) = ("LeftBehind", "PodNotReady");
    let rows: [LeftBehind; 9] = [
        ("it serves for 720 s", 280, None, |_| {}, left_behind, None),
        ("it serves for 719 s", 281, None, |_| {}, other, Some(1001)),
        ("its pod was never Ready", 280, Some(270), |_| {}, left_behind, None),
        ("it voted until 720 s ago", 0, Some(280), |_| {}, left_behind, None),
        ("it voted until 719 s ago", 0, Some(281), |_| {}, other, Some(1001)),
        (
            "no member votes: no quorum",
            0,
            None,
            |all| samples::pod(&mut all.validators[1]).voting_since = None,
            other,
            None,
        ),
        (
            "the voting one is on another network",
            0,
            None,
            |all| all.validators[1].network = Network::parse("x"),
            other,
            None,
        ),
        (
            "it does not serve",
            0,
            None,
            |all| samples::pod(&mut all.validators[0]).ready = false,
            other,
            None,
        ),
        (
            "it has no pod",
            0,
            None,
            |all| all.validators[0].pod = None,
            other,
            None,
        ),
    ];
    for (what, started, silent, change, reason, wake) in rows {
        let mut snapshot = snapshot.clone();
        samples::pod(&mut snapshot.validators[0]).started = Some(samples::at(started));
        samples::pod(&mut snapshot.validators[0]).silent_since = silent.map(samples::at);
        change(&mut snapshot);
        let plan = decide(&snapshot, &Options::default());
        let conditions = &plan.reports[&NodeId::new("stellar", "a")].conditions;
        let found = conditions.iter().find(|found| found.condition().as_str() == "Voting");
        let found = found.unwrap();
        assert_eq!(found.reason.as_str(), reason, "{what}: {}", found.message);
        assert_eq!(found.warns, reason == left_behind, "{what}");
        if let Some(wake) = wake {
            assert_eq!(plan.wake, Some(samples::at(wake)), "{what}: no event reports its end");
        }
        for cause in [
            "no archive that it reads",
            "quorum set",
            "wipe its volume",
            "docs/archives.md",
        ] {
            assert_eq!(
                found.message.contains(cause),
                reason == left_behind,
                "{what}: {}",
                found.message
            );
        }
    }
}

#[test]
fn an_unconnected_group_reports_the_next_restart_and_its_wait() {
    let names = [
        ("a", "10.0.0.1"),
        ("b", "10.0.0.2"),
        ("c", "10.0.0.3"),
        ("d", "10.0.0.4"),
    ];
    let lost = names.map(|(name, ip)| {
        let mut validator = samples::member(name, ip);
        samples::pod(&mut validator).report = Some(Report::of_nothing());
        validator
    });
    let mut snapshot = samples::with_list(samples::snapshot(lost.into()), samples::published(&names));
    // A restart would not link the last member: it mounts another list.
    samples::pod(&mut snapshot.validators[3]).list = Some("another".to_owned());
    let said = |snapshot: &Snapshot, restart: RestartMode| {
        let options = Options {
            restart,
            ..Options::default()
        };
        let conditions = decide(snapshot, &options).reports[&NodeId::new("stellar", "d")]
            .conditions
            .clone();
        let found = conditions
            .into_iter()
            .find(|found| found.condition().as_str() == "PeersReady")
            .unwrap();
        assert_eq!(found.reason.as_str(), "NotConnected");
        found.message
    };
    let unlinked = RestartMode::Unlinked;
    let message = said(&snapshot, unlinked);
    assert!(message.ends_with("stellar/a is being restarted for it"), "{message}");
    for validator in &mut snapshot.validators {
        let view = PeerList::new(samples::at(0), Vec::new());
        let view = snapshot
            .lists
            .values()
            .next()
            .and_then(|list| list.list.as_ref())
            .unwrap_or(&view)
            .view_of(&validator.id);
        let last = LastRestart {
            at: samples::at(900),
            view,
            pod_uid: None,
        };
        samples::workload(validator).last_restart = Some(last);
    }
    let message = said(&snapshot, unlinked);
    let fused = "stellar/a is to be restarted for it; it was restarted for the same members before";
    assert!(message.ends_with(fused), "{message}");
    let message = said(&snapshot, RestartMode::Never);
    assert!(
        message.ends_with("no validator is restarted for it, because of --restart never"),
        "{message}"
    );
}

#[test]
fn unreadable_slots_are_a_condition_and_a_metric_of_their_network() {
    let mut snapshot = two_networks();
    let lease = SlotLease {
        resource_version: Some("1".to_owned()),
        readable: false,
        ..SlotLease::default()
    };
    snapshot.slots.insert(Network::parse("testnet").short_hash(), lease);
    assert_eq!(reasons(&snapshot, "a")["RolloutStalled"], (true, "TurnsUnreadable"));
    assert!(
        !reasons(&snapshot, "b").contains_key("RolloutStalled"),
        "its network has a Lease of its own"
    );
    let figures = decide(&snapshot, &Options::default()).group_metrics;
    assert!(figures.iter().all(|group| group.stalled), "{figures:?}");
}

#[test]
fn a_condition_escapes_control_characters() {
    let finding = Finding::new(SeedInUse::SeedInUse, true, "a\u{1b}[2J\nb");
    assert_eq!(finding.message, r"a\u{1b}[2J\nb");
}

#[test]
fn a_shared_key_is_a_warning_and_counted_for_its_list() {
    let snapshot = samples::snapshot(vec![samples::member("a", "10.0.0.1")]);
    let mut plan = decide(&snapshot, &Options::default());
    let id = NodeId::new("stellar", "a");
    let shared = SharedKey {
        key: "G".to_owned(),
        pods: vec!["n/b-0".to_owned()],
    };
    let shared = BTreeMap::from([(id.clone(), shared)]);
    shared_seeds::report(&shared, &snapshot, &mut plan.reports, &mut plan.group_metrics);
    assert_eq!(plan.group_metrics[0].shared_seeds, 1);
    let mut conditions = plan.reports[&id].conditions.iter();
    assert!(conditions.any(|one| one.condition() == ConditionType::SeedInUse && one.status && one.warns));
}
