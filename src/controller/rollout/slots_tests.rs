use std::time::Duration;

use crate::controller::discovery::decide::{Plan, decide};
use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{Cause, MemberRecord, Slot, SlotLease, Snapshot, Validator};
use crate::controller::samples::{at, member, newcomer, pod, published, snapshot, with_list, workload};
use crate::peers::NodeId;

const FIVE: [(&str, &str); 5] = [
    ("a", "10.0.0.1"),
    ("b", "10.0.0.2"),
    ("c", "10.0.0.3"),
    ("d", "10.0.0.4"),
    ("e", "10.0.0.5"),
];

/// Five members, each with a change of its spec; all but the last vote.
fn the_fifth_does_not_vote() -> Vec<Validator> {
    let members = FIVE.map(|(name, ip)| {
        let mut validator = member(name, ip);
        validator.spec_hash = Some("new".to_owned());
        workload(&mut validator).spec_hash = Some("old".to_owned());
        pod(&mut validator).voting_since = Some(at(10)).filter(|_| name != "e");
        validator
    });
    members.into()
}

/// Like [`the_fifth_does_not_vote`], without a change of the fifth itself.
fn the_others_change() -> Vec<Validator> {
    let mut all = the_fifth_does_not_vote();
    workload(&mut all[4]).spec_hash = Some("new".to_owned());
    all
}

fn seen(validators: Vec<Validator>, slots: Vec<Slot>) -> Snapshot {
    let network = validators[0].network.short_hash();
    let mut snapshot = with_list(snapshot(validators), published(&FIVE));
    let lease = SlotLease {
        readable: true,
        slots,
        ..SlotLease::default()
    };
    snapshot.slots.insert(network, lease);
    snapshot
}

fn plan(snapshot: &Snapshot) -> Plan {
    decide(snapshot, &Options::default())
}

/// The holders of new slots, and the wait of the first voting validator.
fn given(snapshot: &Snapshot) -> (Vec<String>, Option<String>) {
    let slots = plan(snapshot).slots.into_values().next().unwrap();
    let names = slots
        .write
        .into_iter()
        .flat_map(|write| write.slots)
        .map(|slot| slot.node.name);
    (
        names.collect(),
        slots.waiting.get(&NodeId::new("stellar", "b")).cloned(),
    )
}

fn record(validator: &mut Validator) -> &mut MemberRecord {
    workload(validator).member.as_mut().unwrap()
}

#[test]
fn others_wait_for_a_member_that_voted_once() {
    // Its record was written by a version without `neverVoted`.
    let (given, waits) = given(&seen(the_others_change(), Vec::new()));
    assert_eq!(given, [] as [&str; 0]);
    assert_eq!(
        waits.as_deref(),
        Some("it waits for stellar/e, which does not vote: the others cannot spare two")
    );
}

#[test]
fn others_wait_for_a_member_that_catches_up() {
    let mut all = the_others_change();
    pod(&mut all[4]).started = Some(at(900));
    let (given, waits) = given(&seen(all, Vec::new()));
    assert_eq!(given, [] as [&str; 0]);
    let expected = "it waits for stellar/e, which does not vote and may be catching up: the others cannot spare two";
    assert_eq!(waits.as_deref(), Some(expected));
}

#[test]
fn others_wait_a_limited_time_for_a_member_that_never_voted() {
    let with = |joined: i64| {
        let mut all = the_others_change();
        record(&mut all[4]).never_voted = true;
        record(&mut all[4]).joined = at(joined);
        seen(all, Vec::new())
    };
    let (holders, waits) = given(&with(401));
    assert_eq!(holders, [] as [&str; 0]);
    let expected = format!(
        "it waits for stellar/e, which joined and has not voted yet, until {} at the latest: the others cannot spare two",
        at(1001)
    );
    assert_eq!(waits, Some(expected));
    assert_eq!(plan(&with(401)).wake, Some(at(1001)), "nothing else may wake it");
    assert_eq!(given(&with(400)).0, ["a"]);
    assert_eq!(given(&with(4_600)).0, ["a"], "a clock was an hour ahead when it joined");
}

#[test]
fn a_member_that_does_not_vote_gets_the_slot_first() {
    let mut all = the_others_change();
    record(&mut all[4]).never_voted = true;
    pod(&mut all[3]).voting_since = None;
    let (given, waits) = given(&seen(all, Vec::new()));
    // A change of a validator that does not vote costs no vote.
    assert_eq!(given, ["d"]);
    assert_eq!(waits.as_deref(), Some("it is the slot of stellar/d"));
}

#[test]
fn a_changed_view_alone_restarts_no_member_while_none_votes() {
    let mut all = the_others_change();
    for (index, validator) in all.iter_mut().enumerate() {
        workload(validator).spec_hash = Some("new".to_owned());
        record(validator).never_voted = true;
        pod(validator).rendered = Some(at(1));
        let known = published(&FIVE).list.unwrap();
        let report = crate::peers::Report::of_list(&known, &validator.id);
        pod(validator).report = Some(match report {
            // It found all of the others, at another port.
            crate::peers::Report::Loaded { peers, version, .. } => crate::peers::Report::Loaded {
                view: crate::peers::View::empty(),
                peers,
                version,
            },
            crate::peers::Report::Unreadable => crate::peers::Report::Unreadable,
        });
        pod(validator).voting_since = Some(at(10)).filter(|_| index == 3);
    }
    let snapshot = seen(all.clone(), Vec::new());
    assert_eq!(given(&snapshot).0, ["a"], "one of them votes");
    pod(&mut all[3]).voting_since = None;
    let (given, waits) = given(&seen(all, Vec::new()));
    assert_eq!(given, [] as [&str; 0]);
    assert_eq!(
        waits.as_deref(),
        Some("it waits until another member of its group votes")
    );
}

#[test]
fn never_voted_is_recorded_at_the_join_and_cleared_at_the_first_vote() {
    let written = |validator: Validator| {
        let records = plan(&seen(vec![validator], Vec::new())).records;
        records.first().map(|write| write.member.clone().unwrap().never_voted)
    };
    let joins = newcomer("a", "10.0.0.1");
    assert_eq!(written(joins.clone()), Some(true));
    let mut votes = joins;
    pod(&mut votes).voting_since = Some(at(10));
    assert_eq!(written(votes), Some(false));
    let mut first = member("a", "10.0.0.1");
    record(&mut first).never_voted = true;
    assert_eq!(written(first.clone()), None, "nothing is new");
    pod(&mut first).voting_since = Some(at(10));
    assert_eq!(written(first), Some(false));
    // An upgrade writes nothing, and an old record counts as that of a member that voted.
    assert_eq!(written(member("a", "10.0.0.1")), None);
    let before =
        r#"{"joined":"2026-01-01T00:00:00Z","port":11625,"address":"10.0.0.1:11625","since":"2026-01-01T00:00:00Z"}"#;
    let record: MemberRecord = serde_json::from_str(before).unwrap();
    assert!(!record.never_voted);
    assert_eq!(serde_json::to_string(&record).unwrap(), before);
}

#[test]
fn catching_up_extends_a_slot_once() {
    let options = Options {
        rollout_deadline: Duration::from_secs(300),
        ..Options::default()
    };
    let stalls = |since: i64, started: i64, change: fn(&mut Validator)| {
        let mut all = the_others_change();
        let holder = &mut all[4];
        workload(holder).update_revision = Some("2".to_owned());
        pod(holder).revision = Some("2".to_owned());
        pod(holder).started = Some(at(started));
        change(holder);
        let slot = Slot {
            node: holder.id.clone(),
            uid: holder.uid.clone(),
            group: holder.list.clone(),
            since: at(since),
            began: None,
            cause: Cause::SpecChanged,
            spec_hash: Some("new".to_owned()),
            pod_uid: Some("the pod before".to_owned()),
            voting: true,
        };
        let plan = decide(&seen(all, vec![slot]), &options);
        let slots = plan.slots.into_values().next().unwrap();
        (!slots.stalled.is_empty(), slots.wake)
    };
    // The time is second 1000.
    assert!(!stalls(701, 690, |_| {}).0, "its deadline is not over");
    assert_eq!(
        stalls(600, 641, |_| {}),
        (false, Some(at(1001))),
        "its stellar-core runs for 359 s"
    );
    assert!(stalls(600, 640, |_| {}).0, "for 360 s");
    assert!(stalls(600, 900, |node| pod(node).ready = false).0, "it does not serve");
    let old: fn(&mut Validator) = |node| pod(node).revision = Some("1".to_owned());
    assert!(stalls(600, 900, old).0, "its pod is the one that is to go");
    assert!(stalls(340, 999, |_| {}).0, "it was started again and again");
    assert!(!stalls(341, 999, |_| {}).0);
}
