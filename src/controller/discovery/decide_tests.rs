use super::decide::{RecordWrite, decide};
use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{AssumedLoad, Cause, LastRestart, Slot, SlotLease, Snapshot, Validator};
use crate::controller::rollout::progress::is_triggered;
use crate::controller::samples::{at, list_id, member, pod, published, snapshot, with_list, workload};
use crate::peers::{NodeId, View};

type Change = Box<dyn Fn(&mut Snapshot)>;

/// The view that validator a should have: b at its port.
fn present() -> View {
    published(&[("a", "10.0.0.1"), ("b", "10.0.0.2")])
        .list
        .unwrap()
        .view_of(&NodeId::new("stellar", "a"))
}

/// Two members. The pod of a does not report what it loaded; its container started at second 500, and the list is from
/// second 0.
fn silent() -> Snapshot {
    let mut a = member("a", "10.0.0.1");
    workload(&mut a).reports = false;
    pod(&mut a).started = Some(at(500));
    with_list(
        snapshot(vec![a, member("b", "10.0.0.2")]),
        published(&[("a", "10.0.0.1"), ("b", "10.0.0.2")]),
    )
}

fn record(snapshot: &Snapshot) -> Option<RecordWrite> {
    let records = decide(snapshot, &Options::default()).records;
    assert!(records.len() <= 1, "only a has something to be noted");
    records.into_iter().next()
}

#[test]
fn what_a_pod_that_cannot_tell_is_taken_to_have_loaded() {
    let restarted = |view: View, second: i64| {
        Some(LastRestart {
            at: at(second),
            view,
            pod_uid: None,
        })
    };
    let set_version = |snapshot: &mut Snapshot, second: i64| {
        let published = snapshot.lists.get_mut(&list_id("stellar")).unwrap();
        let list = published.list.as_mut().unwrap();
        list.version = at(second);
        published.data = crate::controller::peering::lists::data_of(list, &snapshot.validators[0].network);
    };
    let cases: Vec<(&str, Change, View)> = vec![
        ("the list was there long before", Box::new(|_| {}), present()),
        (
            "the list was there just long enough for kubelets to have it",
            Box::new(move |all| set_version(all, 470)),
            present(),
        ),
        (
            "the list came a moment before, and kubelets cache",
            Box::new(move |all| set_version(all, 471)),
            View::empty(),
        ),
        (
            "the list came later",
            Box::new(move |all| set_version(all, 501)),
            View::empty(),
        ),
        ("there is no list yet", Box::new(|all| all.lists.clear()), View::empty()),
        (
            "the list is another by now",
            Box::new(|all| {
                let others = [("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "10.0.0.3")];
                all.lists.insert(list_id("stellar"), published(&others));
            }),
            View::empty(),
        ),
        (
            "we restarted it for this view",
            Box::new(move |all| {
                set_version(all, 499);
                workload(&mut all.validators[0]).last_restart = restarted(present(), 498);
            }),
            present(),
        ),
        (
            "we restarted it for another view",
            Box::new(move |all| {
                set_version(all, 499);
                workload(&mut all.validators[0]).last_restart = restarted(View::empty(), 498);
            }),
            View::empty(),
        ),
        (
            "we restart it, and this is the pod before",
            Box::new(move |all| {
                set_version(all, 499);
                workload(&mut all.validators[0]).last_restart = restarted(present(), 501);
            }),
            View::empty(),
        ),
    ];
    for (what, change, expected) in cases {
        let mut snapshot = silent();
        change(&mut snapshot);
        let assumed = record(&snapshot).and_then(|record| record.assumed);
        let expected = AssumedLoad {
            pod_uid: "a-pod".to_owned(),
            view: expected,
        };
        assert_eq!(assumed, Some(expected), "{what}");
    }
}

#[test]
fn it_is_settled_once_in_the_life_of_a_pod() {
    let noted = |pod_uid: &str| {
        Some(AssumedLoad {
            pod_uid: pod_uid.to_owned(),
            view: View::empty(),
        })
    };
    let mut snapshot = silent();
    workload(&mut snapshot.validators[0]).assumed = noted("a-pod");
    assert_eq!(record(&snapshot), None, "of this pod it is known");
    // A restart of the container does not change the record.
    pod(&mut snapshot.validators[0]).started = Some(at(999));
    assert_eq!(record(&snapshot), None);

    workload(&mut snapshot.validators[0]).assumed = noted("the pod before");
    let anew = record(&snapshot).unwrap().assumed.unwrap();
    assert_eq!((anew.pod_uid.as_str(), anew.view), ("a-pod", present()), "another pod");
    pod(&mut snapshot.validators[0]).started = None;
    assert_eq!(
        record(&snapshot),
        None,
        "a pod that has not started has loaded nothing yet"
    );

    workload(&mut snapshot.validators[0]).reports = true;
    let cleared = record(&snapshot).unwrap();
    assert_eq!(cleared.assumed, None, "one that can tell needs no note");
    assert!(cleared.member.is_some());
}

#[test]
fn only_on_a_stateful_set_of_ours() {
    let mut snapshot = silent();
    workload(&mut snapshot.validators[0]).ours = false;
    assert_eq!(record(&snapshot), None);
}

#[test]
fn nobody_that_votes_goes_down_beside_one_whose_node_cannot_be_parsed() {
    let mut a = member("a", "10.0.0.1");
    a.spec_hash = Some("new".to_owned());
    workload(&mut a).spec_hash = Some("old".to_owned());
    pod(&mut a).voting_since = Some(at(0));
    let mut b = member("b", "10.0.0.2");
    pod(&mut b).voting_since = Some(at(0));
    let list = || published(&[("a", "10.0.0.1"), ("b", "10.0.0.2")]);
    let slots = |snapshot: &Snapshot| {
        let plan = decide(snapshot, &Options::default());
        let writes = plan.slots.into_values().filter_map(|slots| slots.write);
        writes.flat_map(|write| write.slots).count()
    };
    let seen = |validators: Vec<Validator>| {
        let mut snapshot = with_list(snapshot(validators), list());
        let lease = SlotLease {
            readable: true,
            ..SlotLease::default()
        };
        snapshot.slots.insert(a.network.short_hash(), lease);
        snapshot
    };
    assert_eq!(slots(&seen(vec![a.clone(), b])), 1, "both vote");
    let mut unreadable = seen(vec![a.clone()]);
    unreadable.unreadable.insert(NodeId::new("stellar", "b"));
    assert_eq!(slots(&unreadable), 0);
}

#[test]
fn a_spec_that_was_changed_back_before_its_pod_was_replaced_ends_its_slot() {
    let mut a = member("a", "10.0.0.1");
    let changed = |validator: &mut Validator, update_revision: &str| {
        let workload = workload(validator);
        (workload.spec_hash, workload.update_revision) = (Some("now".to_owned()), Some(update_revision.to_owned()));
        validator.spec_hash = Some("now".to_owned());
        let pod = pod(validator);
        (pod.revision, pod.voting_since) = (Some("1".to_owned()), Some(at(0)));
    };
    let slot = slot_of(&a, "a-pod");
    for (update_revision, slots_left) in [("2", None), ("1", Some(0))] {
        changed(&mut a, update_revision);
        assert_eq!(slots_written(&a, &slot), slots_left, "revision {update_revision}");
    }
}

/// The slot of a voting validator, for its changed spec, with its pod of that time.
fn slot_of(holder: &Validator, pod_uid: &str) -> Slot {
    Slot {
        node: holder.id.clone(),
        uid: holder.uid.clone(),
        group: holder.list.clone(),
        since: at(990),
        began: None,
        cause: Cause::SpecChanged,
        spec_hash: Some("now".to_owned()),
        pod_uid: Some(pod_uid.to_owned()),
        voting: true,
    }
}

/// How many slots the plan writes for a group of one that holds this slot; `None` without a write.
fn slots_written(alone: &Validator, slot: &Slot) -> Option<usize> {
    let lease = SlotLease {
        readable: true,
        slots: vec![slot.clone()],
        ..SlotLease::default()
    };
    let mut all = with_list(snapshot(vec![alone.clone()]), published(&[("a", "10.0.0.1")]));
    all.slots.insert(alone.network.short_hash(), lease);
    let plan = decide(&all, &Options::default());
    let write = plan.slots.into_values().find_map(|slots| slots.write);
    write.map(|write| write.slots.len())
}

/// The same for a validator that came up after a restart for its spec, with this change.
fn slots_after(change: fn(&mut Validator)) -> Option<usize> {
    let mut a = member("a", "10.0.0.1");
    let slot = slot_of(&a, "the pod before");
    a.spec_hash = Some("now".to_owned());
    (workload(&mut a).spec_hash, workload(&mut a).update_revision) = (Some("now".to_owned()), Some("2".to_owned()));
    (pod(&mut a).revision, pod(&mut a).voting_since) = (Some("2".to_owned()), Some(at(995)));
    change(&mut a);
    slots_written(&a, &slot)
}

#[test]
fn a_used_slot_ends_when_its_holder_votes_for_long_or_is_ours_no_more() {
    assert_eq!(slots_after(|_| {}), None, "it votes for 5 s");
    assert_eq!(slots_after(|node| pod(node).voting_since = Some(at(970))), Some(0));
    let ahead = "its kubelet's clock is an hour ahead: its time says nothing, and nobody waits for it";
    assert_eq!(
        slots_after(|node| pod(node).voting_since = Some(at(4600))),
        Some(0),
        "{ahead}"
    );
    let away: fn(&mut Validator) = |node| {
        pod(node).voting_since = None;
        pod(node).revision = Some("1".to_owned());
    };
    assert_eq!(slots_after(away), None, "it is down");
    let taken: fn(&mut Validator) = |node| {
        pod(node).voting_since = None;
        pod(node).revision = Some("1".to_owned());
        workload(node).ours = false;
    };
    assert_eq!(slots_after(taken), Some(0), "what becomes of it is somebody else's");
}

#[test]
fn a_record_of_another_slot_ends_none() {
    assert_eq!(slots_after(|node| workload(node).given_back = Some(at(980))), None);
    assert_eq!(slots_after(|node| workload(node).given_back = Some(at(990))), Some(0));
    let mut a = member("a", "10.0.0.1");
    let slot = |cause| Slot {
        node: a.id.clone(),
        uid: a.uid.clone(),
        group: a.list.clone(),
        since: at(990),
        began: None,
        cause,
        spec_hash: None,
        pod_uid: None,
        voting: true,
    };
    let slots = [Cause::PeersChanged, Cause::NotLinked].map(slot);
    let mut restarted = |second: i64| {
        let last = LastRestart {
            at: at(second),
            view: View::empty(),
            pod_uid: None,
        };
        workload(&mut a).last_restart = Some(last);
        slots.each_ref().map(|slot| is_triggered(slot, &a))
    };
    assert_eq!(restarted(980), [false; 2]);
    assert_eq!(restarted(990), [true; 2]);
}
