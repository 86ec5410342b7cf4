//! What one reconcile of a validator writes and reports, state by state.

use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use super::decide::Built;
use super::fixtures::*;
use super::stored::{Orphan, Stored};
use super::write::Change;
use crate::controller::exclusivity::{Contest, Exclusive};
use crate::labels;

#[test]
fn each_state_of_a_validator_has_its_writes_and_its_reasons() {
    let new_spec = json!({ "spec": { "validatorConfig": { "coreConfig": "MAX_CONCURRENT_SUBPROCESSES=8" } } });
    let suspended = json!({ "spec": { "suspended": true } });
    let not_ours = json!({ "metadata": { "labels": { labels::MANAGED_BY: "another" } } });
    let stopped = json!({ "spec": { "replicas": 0 }, "status": { "replicas": 0, "readyReplicas": 0 } });
    let invalid = json!({ "spec": { "validatorConfig": { "peerPort": 11626 } } });
    let everything = ["Service", "ConfigMap", "StatefulSet"].as_slice();
    let rest = ["PodReady", "RolloutComplete"].as_slice();
    let away = ["PodNotReady", "Creating"].as_slice();
    let in_the_way = ["Degraded", "NotOurs"].as_slice();
    type Change = Box<dyn Fn(&mut Stored)>;
    let as_it_is = || -> Change { Box::new(|_| {}) };
    let set = |changes: &Value| -> Change {
        let changes = changes.clone();
        Box::new(move |stored| changed(&mut stored.stateful_set, &changes))
    };
    let both = |one: Change, other: Change| -> Change {
        Box::new(move |stored| {
            one(stored);
            other(stored);
        })
    };
    let service = |changes: &Value| -> Change {
        let changes = changes.clone();
        Box::new(move |stored| changed(&mut stored.service, &changes))
    };
    let nothing = || -> Change { Box::new(|stored| *stored = Stored::default()) };
    let none = json!({});
    for (what, spec, stored, writes, reasons) in [
        ("new", &none, nothing(), everything, away),
        (
            "created suspended",
            &suspended,
            nothing(),
            everything,
            &["Suspended", "Creating"],
        ),
        ("at rest", &none, as_it_is(), &[], rest),
        (
            "its Service is gone",
            &none,
            Box::new(|stored: &mut Stored| stored.service = None),
            &["Service"],
            rest,
        ),
        (
            "its Service was changed",
            &none,
            service(&json!({ "spec": { "clusterIP": "10.0.0.1" } })),
            &["Service"],
            rest,
        ),
        (
            "its template is held back",
            &new_spec,
            as_it_is(),
            &[],
            &["PodReady", "WaitsForTurn"],
        ),
        (
            "stopped, with a newer spec",
            &new_spec,
            set(&stopped),
            &["ConfigMap", "StatefulSet"],
            &["PodNotReady", "RollingOut"],
        ),
        (
            "comes back",
            &none,
            set(&stopped),
            &["StatefulSet to 1"],
            &["PodNotReady", "RollingOut"],
        ),
        (
            "is to stop",
            &suspended,
            as_it_is(),
            &["StatefulSet to 0"],
            &["Suspended", "RollingOut"],
        ),
        (
            "is to stop, and its Service is not ours",
            &suspended,
            service(&not_ours),
            &["StatefulSet to 0"],
            in_the_way,
        ),
        (
            "is to stop, with a spec that cannot be built",
            &json!({ "spec": { "suspended": true, "validatorConfig": { "peerPort": 11626 } } }),
            as_it_is(),
            &["StatefulSet to 0"],
            &["ConfigInvalid", "Refused"],
        ),
        (
            "a spec that cannot be built",
            &invalid,
            as_it_is(),
            &[],
            &["ConfigInvalid", "Refused"],
        ),
        (
            "the same, and never created",
            &invalid,
            nothing(),
            &[],
            &["ConfigInvalid", "Refused"],
        ),
        (
            "scaled by hand",
            &none,
            set(&json!({ "spec": { "replicas": 3 } })),
            &["StatefulSet to 1"],
            rest,
        ),
        ("its StatefulSet is not ours", &none, set(&not_ours), &[], in_the_way),
        (
            "its StatefulSet is another's",
            &none,
            set(&owned_by_another()),
            &[],
            in_the_way,
        ),
        (
            "the same, and suspended",
            &suspended,
            both(set(&owned_by_another()), service(&not_ours)),
            &[],
            in_the_way,
        ),
        (
            "handed over",
            &new_spec,
            set(&json!({ "metadata": { "ownerReferences": null } })),
            &["StatefulSet owner"],
            &["PodReady", "WaitsForTurn"],
        ),
        (
            "its config is not ours",
            &none,
            Box::new(move |stored: &mut Stored| changed(&mut stored.config_map, &not_ours.clone())),
            &[],
            in_the_way,
        ),
    ] {
        let mut state = at_rest(&node(&json!({})));
        stored(&mut state);
        let decision = decided(&node(spec), &state);
        let (wrote, said) = told(&decision);
        assert_eq!(
            (&wrote[..], &said[..]),
            (
                &writes.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()[..],
                reasons
            ),
            "{what}"
        );
        assert_eq!(decision.again, wrote == ["StatefulSet owner"], "{what}");
    }
}

#[test]
fn a_changed_spec_of_a_running_validator_changes_neither_template_nor_config() {
    let state = at_rest(&node(&json!({})));
    let mut spec = node(&json!({ "spec": { "version": "26.1.0", "suspended": true } }));
    let suspended = decided(&spec, &state);
    assert_eq!(told(&suspended).0, ["StatefulSet to 0"], "also while it is stopped");
    spec.spec.suspended = false;
    assert!(decided(&spec, &state).writes.is_empty());
}

#[test]
fn a_new_stateful_set_gets_the_template_of_its_running_pod() {
    let old = node(&json!({}));
    let Built::Validator(objects) = Built::of(&old, &settings().0) else {
        panic!("it is not a validator");
    };
    let template = objects.stateful_set["spec"]["template"].clone();
    let orphan = |orphan: Orphan, version: &str| {
        let stored = Stored {
            orphan: Some(orphan),
            ..Stored::default()
        };
        let decision = decided(&node(&json!({ "spec": { "version": version } })), &stored);
        let Change::Apply(set, ..) = &decision.writes.last().unwrap().change else {
            panic!("{decision:?}");
        };
        (told(&decision).0, set["spec"]["template"] == template)
    };
    let without_config = vec!["Service".to_owned(), "StatefulSet".to_owned()];
    let with_config = ["Service", "ConfigMap", "StatefulSet"].map(str::to_owned).to_vec();
    let known = || Orphan::Template(template.clone());
    assert_eq!(
        orphan(known(), "26.1.0"),
        (without_config, true),
        "its config waits for its slot"
    );
    assert_eq!(orphan(known(), "26.0.1"), (with_config.clone(), true));
    assert_eq!(orphan(Orphan::Unknown, "26.1.0"), (with_config, false));
}

#[test]
fn a_validator_is_not_started_with_what_another_uses() {
    let mine = node(&json!({ "metadata": { "creationTimestamp": "2026-01-02T00:00:00Z" } }));
    let elder = node(&json!({ "metadata": { "name": "elder", "uid": "elder" } }));
    let nodes = [&mine, &elder].map(|node| std::sync::Arc::new(DeserializeGuard(Ok(node.clone()))));
    let contest = |is_under_way, nodes: &[_]| Stored {
        contest: Contest {
            kinds: vec![Exclusive::Seed],
            is_under_way,
            nodes: nodes.to_vec(),
            ..Contest::default()
        },
        ..Stored::default()
    };
    let free = decided(&mine, &contest(false, &nodes[..1]));
    assert!(free.starts && told(&free).0.contains(&"StatefulSet".to_owned()));
    let used = decided(&mine, &contest(false, &nodes));
    assert_eq!(told(&used), (vec!["Service".to_owned()], vec!["SeedInUse"]));
    assert!(!used.starts);
    let mut blocked = contest(false, &nodes[..1]);
    let foreign = json!({ "metadata": { "labels": { labels::MANAGED_BY: "another" } } });
    blocked.config_map = read(&json!({ "metadata": { "name": "a-config" } }), &foreign);
    let blocked = decided(&mine, &blocked);
    assert_eq!(
        told(&blocked),
        (vec!["Service".to_owned()], vec!["Degraded", "NotOurs"])
    );
    assert!(!blocked.starts, "it claims nothing that it is not started with");
    let under_way = decided(&mine, &contest(true, &nodes[..1]));
    assert_eq!(
        told(&under_way),
        (vec!["Service".to_owned()], vec![]),
        "the status stays as it is"
    );
    assert!(under_way.report.is_none() && !under_way.starts);
}

#[test]
fn a_volume_that_is_to_stay_is_released_before_everything_else() {
    let owner = json!({ "apiVersion": "v1", "kind": "StellarNode", "name": "a", "uid": "node" });
    for (spec, writes) in [
        (json!({}), &["PersistentVolumeClaim owner"][..]),
        (
            json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
            &["PersistentVolumeClaim owner"],
        ),
        (
            json!({ "spec": { "validatorConfig": { "peerPort": 11626 } } }),
            &["PersistentVolumeClaim owner"],
        ),
    ] {
        let mut state = at_rest(&node(&json!({})));
        changed(&mut state.claim, &json!({ "metadata": { "ownerReferences": [owner] } }));
        let node = node(&spec);
        let decision = decided(&node, &state);
        assert_eq!(
            told(&decision),
            (writes.iter().map(|word| (*word).to_owned()).collect(), vec![])
        );
        assert_eq!(decision.again, node.metadata.deletion_timestamp.is_none());
        changed(&mut state.claim, &json!({ "metadata": { "ownerReferences": null } }));
        assert!(decided(&node, &state).writes.is_empty());
    }
}

#[test]
fn a_write_names_what_was_read() {
    let state = at_rest(&node(&json!({})));
    let decision = decided(&node(&json!({ "spec": { "suspended": true } })), &state);
    let [write] = &decision.writes[..] else {
        panic!("{decision:?}");
    };
    assert_eq!((&*write.resource.kind, &*write.name), ("StatefulSet", "a"));
    assert!(matches!(&write.change, Change::Apply(_, labels::MANAGER_REPLICAS, Some(version)) if version == "5"));
}
