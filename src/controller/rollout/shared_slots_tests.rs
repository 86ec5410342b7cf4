//! Tests: several namespaces share the slots of one network. No namespace blocks the others, and no more validators are
//! down than allowed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::plan::{PlannedSlots, SlotPlan};
use crate::controller::discovery::decide::decide;
use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{Cause, Slot, SlotLease, Snapshot, Validator};
use crate::controller::samples::{at, list_id, member, pod, snapshot, workload};
use crate::crd::PeerGroup;
use crate::peers::NodeId;

/// A voting validator in this namespace with a changed spec.
fn changes(namespace: &str, name: &str) -> Validator {
    let mut validator = member(name, "10.0.0.1");
    validator.id = NodeId::new(namespace, name);
    validator.uid = format!("{namespace}-{name}");
    validator.list = list_id(namespace);
    validator.spec_hash = Some("new".to_owned());
    workload(&mut validator).spec_hash = Some("old".to_owned());
    pod(&mut validator).uid = format!("{namespace}-{name}-pod");
    pod(&mut validator).voting_since = Some(at(10));
    validator
}

/// The same validator, with a pod of its new spec that does not vote.
fn down(namespace: &str, name: &str) -> Validator {
    let mut validator = changes(namespace, name);
    workload(&mut validator).spec_hash = Some("new".to_owned());
    workload(&mut validator).update_revision = Some("2".to_owned());
    pod(&mut validator).revision = Some("2".to_owned());
    pod(&mut validator).uid.push_str("-2");
    pod(&mut validator).voting_since = None;
    validator
}

fn slot(validator: &Validator, since: i64, voting: bool) -> Slot {
    Slot {
        node: validator.id.clone(),
        uid: validator.uid.clone(),
        group: validator.list.clone(),
        since: at(since),
        began: None,
        cause: Cause::SpecChanged,
        spec_hash: Some("new".to_owned()),
        pod_uid: Some("the pod before".to_owned()),
        voting,
    }
}

fn options() -> Options {
    Options {
        rollout_deadline: Duration::from_secs(600),
        ..Options::default()
    }
}

fn seen(validators: Vec<Validator>, lease: SlotLease) -> Snapshot {
    let network = validators[0].network.short_hash();
    let mut snapshot = snapshot(validators);
    snapshot.slots.insert(
        network,
        SlotLease {
            readable: true,
            ..lease
        },
    );
    snapshot
}

fn plan(snapshot: &Snapshot) -> SlotPlan {
    decide(snapshot, &options()).slots.into_values().next().unwrap()
}

fn with_slots(validators: Vec<Validator>, slots: Vec<Slot>) -> SlotPlan {
    let lease = SlotLease {
        slots,
        ..SlotLease::default()
    };
    plan(&seen(validators, lease))
}

fn holders(write: Option<&PlannedSlots>) -> Vec<String> {
    let slots = write.iter().flat_map(|write| &write.slots);
    slots.map(|slot| slot.node.to_string()).collect()
}

#[test]
fn repeated_changes_of_a_spec_do_not_reset_its_deadline() {
    let mut again = down("b", "v");
    again.spec_hash = Some("newer".to_owned());
    // The time is second 1000, and its slot began at 500.
    let plan = with_slots(vec![again.clone()], vec![slot(&again, 500, true)]);
    let renewed = &plan.write.unwrap().slots[0];
    assert_eq!((renewed.since, renewed.began()), (at(1000), at(500)));
    assert_eq!(renewed.spec_hash.as_deref(), Some("newer"));
    // At 1100 its deadline has passed, although its slot was renewed at 1000.
    let renewed = renewed.clone();
    let lease = SlotLease {
        slots: vec![renewed],
        ..SlotLease::default()
    };
    let mut later = seen(vec![again, changes("a", "v")], lease);
    later.now = at(1101);
    assert_eq!(self::plan(&later).stalled.len(), 1);
}

#[test]
fn the_namespace_whose_last_slot_is_the_longest_ago_goes_first() {
    // Validators that do not vote go first, but not repeatedly before those of another namespace.
    let silent = |namespace: &str| {
        let mut validator = changes(namespace, "v");
        pod(&mut validator).voting_since = None;
        validator
    };
    let given = |served: &[(&str, i64)]| {
        let served = served
            .iter()
            .map(|(namespace, second)| ((*namespace).to_owned(), at(*second)));
        let lease = SlotLease {
            served: served.collect(),
            ..SlotLease::default()
        };
        let plan = plan(&seen(vec![changes("a", "v"), silent("b"), changes("c", "v")], lease));
        let write = plan.write.unwrap();
        assert_eq!(write.served.get(&write.slots[0].node.namespace), Some(&at(1000)));
        holders(Some(&write))
    };
    assert_eq!(given(&[]), ["b/v"], "it costs no vote");
    assert_eq!(given(&[("b", 990)]), ["a/v"]);
    assert_eq!(given(&[("b", 990), ("a", 995)]), ["c/v"]);
    assert_eq!(given(&[("b", 990), ("a", 995), ("c", 999)]), ["b/v"]);
    assert_eq!(given(&[("b", 5_000)]), ["b/v"], "by a clock that was wrong");
    assert_eq!(given(&[("b", -4_000)]), ["b/v"], "long ago");
}

#[test]
fn a_namespace_goes_last_after_a_slot_without_success() {
    let mut gone = down("b", "v");
    gone.suspended = true;
    let held = slot(&gone, 900, true);
    let plan = with_slots(vec![gone, changes("b", "w"), changes("c", "v")], vec![held]);
    assert_eq!(holders(plan.write.as_ref()), ["c/v"]);
    let expected = ["b", "c"].map(|namespace| (namespace.to_owned(), at(1000)));
    assert_eq!(plan.write.unwrap().served, BTreeMap::from(expected));
}

#[test]
fn a_voter_that_is_not_back_after_its_slot_counts_as_down_for_the_network() {
    let mut stuck = down("a", "v");
    pod(&mut stuck).ready = false;
    let held = |voting: bool| slot(&stuck, 300, voting);
    let waits = |plan: &SlotPlan| plan.waiting.get(&NodeId::new("b", "v")).cloned();
    let plan = with_slots(vec![stuck.clone(), changes("b", "v")], vec![held(true)]);
    assert_eq!(plan.write, None, "no validator gets a slot");
    let expected = "it waits for a/v, whose restart has not ended within its deadline";
    assert_eq!(waits(&plan).as_deref(), Some(expected));
    // A holder that never voted blocks no other namespace beyond its deadline.
    let plan = with_slots(vec![stuck.clone(), changes("b", "v")], vec![held(false)]);
    assert_eq!(holders(plan.write.as_ref()), ["a/v", "b/v"]);
    // A validator that does not vote may still be repaired.
    let mut silent = changes("b", "v");
    pod(&mut silent).voting_since = None;
    let plan = with_slots(vec![stuck.clone(), silent], vec![held(true)]);
    assert_eq!(holders(plan.write.as_ref()), ["a/v", "b/v"]);
}

#[test]
fn a_pod_about_to_be_replaced_without_a_known_slot_counts_as_down() {
    let with_lease_since = |created: Option<i64>, change: fn(&mut Validator)| {
        let mut other = changes("a", "v");
        workload(&mut other).spec_hash = Some("new".to_owned());
        workload(&mut other).update_revision = Some("2".to_owned());
        pod(&mut other).revision = Some("2".to_owned());
        change(&mut other);
        let lease = SlotLease {
            created: created.map(at),
            ..SlotLease::default()
        };
        let plan = plan(&seen(vec![other, changes("a", "w"), changes("b", "v")], lease));
        (
            holders(plan.write.as_ref()),
            plan.waiting.get(&NodeId::new("b", "v")).cloned(),
        )
    };
    let about_to_go = |change| with_lease_since(None, change);
    assert_eq!(about_to_go(|_| {}).0, ["a/w"], "it has what it is to have");
    let pending: [fn(&mut Validator); 2] = [
        |other| workload(other).observed = false,
        |other| pod(other).revision = Some("1".to_owned()),
    ];
    for pending in pending {
        let (given, waits) = about_to_go(pending);
        assert_eq!(given, [] as [&str; 0]);
        assert_eq!(
            waits.as_deref(),
            Some("it waits for a/v, whose pod is about to be replaced")
        );
    }
    let (given, _) = about_to_go(|other| {
        pod(other).revision = Some("1".to_owned());
        workload(other).waits_for_person = true;
    });
    assert_eq!(given, ["a/w"], "when it goes is up to a person");
    // An unsettled StatefulSet blocks its own namespace, and others only while the Lease is new.
    let (given, _) = with_lease_since(Some(401), pending[0]);
    assert_eq!(given, [] as [&str; 0]);
    let (given, _) = with_lease_since(Some(400), pending[0]);
    assert_eq!(given, ["b/v"]);
}

#[test]
fn a_slot_ends_only_after_this_process_saw_its_holder_vote_long_enough() {
    let ends = |voted_for: Option<u64>| {
        let mut back = down("a", "v");
        // By its node's clock, it has voted for hours.
        pod(&mut back).voting_since = Some(at(-7_200));
        pod(&mut back).voted_for = voted_for.map(Duration::from_secs);
        let held = slot(&back, 900, true);
        let plan = with_slots(vec![back], vec![held]);
        (plan.write.is_some(), plan.wake)
    };
    let needed = options().min_ready.as_secs();
    assert!(ends(Some(needed)).0);
    assert!(ends(None).0, "without a measurement");
    let (ended, wake) = ends(Some(needed - 3));
    assert_eq!((ended, wake), (false, Some(at(1003))), "nothing else may wake it");
}

#[test]
fn joined_lists_are_written_into_the_lease() {
    let asks = |namespace: &str, other: &str| {
        let mut validator = member("v", "10.0.0.1");
        validator.id = NodeId::new(namespace, "v");
        validator.uid = namespace.to_owned();
        validator.list = list_id(namespace);
        validator.peer_group = Some(PeerGroup {
            name: "g".to_owned(),
            namespaces: vec![other.to_owned()],
        });
        validator
    };
    let options = Options {
        cross_namespace_groups: true,
        ..options()
    };
    let snapshot = seen(vec![asks("a", "b"), asks("b", "a")], SlotLease::default());
    let plan = decide(&snapshot, &options).slots.into_values().next().unwrap();
    assert_eq!(plan.write.unwrap().joined, [(list_id("a"), list_id("b"))].into());
}

#[test]
fn an_unreadable_holder_counts_as_down_only_in_its_own_namespace() {
    let gone = down("a", "v");
    let lease = || SlotLease {
        slots: vec![slot(&gone, 300, true)],
        ..SlotLease::default()
    };
    let mut snapshot = seen(vec![changes("a", "w"), changes("b", "v")], lease());
    snapshot.unreadable.insert(gone.id.clone());
    assert_eq!(holders(plan(&snapshot).write.as_ref()), ["a/v", "b/v"]);
    snapshot.validators.pop();
    assert_eq!(plan(&snapshot).write, None);
}

/// The plan where two may be down at once.
fn plan_for_two(snapshot: &Snapshot) -> SlotPlan {
    let options = Options {
        max_unavailable: 2,
        ..options()
    };
    decide(snapshot, &options).slots.into_values().next().unwrap()
}

#[test]
fn members_not_back_and_members_not_voting_are_added_up() {
    let mut stuck = down("a", "v");
    pod(&mut stuck).ready = false;
    let lease = || SlotLease {
        slots: vec![slot(&stuck, 300, true)],
        ..SlotLease::default()
    };
    let mut silent = member("w", "10.0.0.2");
    silent.id = NodeId::new("b", "w");
    silent.list = list_id("b");
    let mut all = vec![stuck.clone(), changes("b", "v"), silent];
    assert_eq!(plan_for_two(&seen(all.clone(), lease())).write, None, "two are down");
    pod(&mut all[2]).voting_since = Some(at(10));
    assert_eq!(
        holders(plan_for_two(&seen(all, lease())).write.as_ref()),
        ["a/v", "b/v"]
    );
}

#[test]
fn a_holder_about_to_be_replaced_counts_once() {
    let mut goes = changes("a", "v");
    workload(&mut goes).spec_hash = Some("new".to_owned());
    workload(&mut goes).update_revision = Some("2".to_owned());
    pod(&mut goes).revision = Some("1".to_owned());
    let lease = SlotLease {
        slots: vec![slot(&goes, 990, true)],
        ..SlotLease::default()
    };
    let plan = plan_for_two(&seen(vec![goes, changes("b", "v")], lease));
    assert_eq!(holders(plan.write.as_ref()), ["a/v", "b/v"]);
}

#[test]
fn a_missing_lease_is_created_so_that_its_age_ends_the_wait() {
    let written = |version: Option<&str>| {
        let mut goes = changes("a", "v");
        workload(&mut goes).spec_hash = Some("new".to_owned());
        workload(&mut goes).observed = false;
        let lease = SlotLease {
            resource_version: version.map(str::to_owned),
            ..SlotLease::default()
        };
        plan(&seen(vec![goes, changes("b", "v")], lease)).write.is_some()
    };
    assert!(written(None));
    assert!(!written(Some("1")));
}

#[test]
fn a_pod_that_does_not_vote_blocks_no_other_namespace() {
    let mut goes = changes("a", "v");
    workload(&mut goes).spec_hash = Some("new".to_owned());
    workload(&mut goes).observed = false;
    pod(&mut goes).voting_since = None;
    let plan = plan(&seen(vec![goes, changes("b", "v")], SlotLease::default()));
    assert_eq!(holders(plan.write.as_ref()), ["b/v"]);
}
