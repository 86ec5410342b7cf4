//! Tests: restarts for a changed spec and for peers.

use super::needs::{Need, loaded_view, of_group};
use crate::controller::model::options::{AddressMode, Options, RestartMode};
use crate::controller::model::snapshot::{AssumedLoad, Cause, Snapshot, Validator};
use crate::controller::peering::groups::form;
use crate::controller::samples::{at, member, pod, published, record, snapshot, with_list, workload};
use crate::peers::{NodeId, Report, View};

pub(super) const FOUR: [(&str, &str); 4] = [
    ("a", "10.0.0.1"),
    ("b", "10.0.0.2"),
    ("c", "10.0.0.3"),
    ("d", "10.0.0.4"),
];

/// A split group of four: each member found no list at its start, and the list has been complete for long since.
pub(super) fn lost() -> Snapshot {
    let members = FOUR.map(|(name, ip)| {
        let mut validator = member(name, ip);
        pod(&mut validator).rendered = Some(at(0));
        pod(&mut validator).report = Some(Report::of_nothing());
        validator
    });
    with_list(snapshot(members.into()), published(&FOUR))
}

pub(super) fn options() -> Options {
    Options {
        restart: RestartMode::Unlinked,
        ..Options::default()
    }
}

/// The description of a need's wait.
pub(super) fn waits(need: &Need) -> Option<String> {
    need.wait.as_ref().map(|wait| wait.reason().to_owned())
}

#[test]
fn the_loaded_view_is_the_report_or_the_assumed_load_of_this_pod() {
    let noted = |pod_uid: &str| AssumedLoad {
        pod_uid: pod_uid.to_owned(),
        view: View::empty(),
    };
    let mut validator = member("a", "10.0.0.1");
    workload(&mut validator).assumed = Some(noted("a-pod"));
    assert_eq!(loaded_view(&validator), None, "it can report, and has not");
    pod(&mut validator).report = Some(Report::of_nothing());
    assert_eq!(loaded_view(&validator), Some(&View::empty()));
    pod(&mut validator).report = Some(Report::Unreadable);
    assert_eq!(loaded_view(&validator), None);
    workload(&mut validator).reports = false;
    assert_eq!(loaded_view(&validator), Some(&View::empty()));
    workload(&mut validator).assumed = Some(noted("the pod before"));
    assert_eq!(loaded_view(&validator), None);
    workload(&mut validator).assumed = Some(noted("a-pod"));
    pod(&mut validator).deleting = true;
    assert_eq!(loaded_view(&validator), None);
}

#[test]
fn dns_addresses_keep_their_port_without_a_pod() {
    let options = Options {
        address_mode: AddressMode::Dns,
        ..Options::default()
    };
    let port = |change: fn(&mut Validator)| {
        let mut validator = member("a", "10.0.0.1");
        validator.spec_port = 11700;
        change(&mut validator);
        let snapshot = snapshot(vec![validator]);
        form(&snapshot, &options)[0].members[0].record.port
    };
    assert_eq!(port(|_| {}), 11625, "that of the pod");
    assert_eq!(port(|node| node.pod = None), 11625, "that of the pod that was lost");
    assert_eq!(
        port(|node| pod(node).port = None),
        11700,
        "that of the spec, where the pod declares none"
    );
    let joins = |node: &mut Validator| {
        node.pod = None;
        workload(node).member = None;
    };
    assert_eq!(port(joins), 11700, "that of the spec, before there was a pod");
}

#[test]
fn the_grace_period_ends_where_only_the_status_remembers() {
    let options = Options::default();
    let members = |second: Option<i64>| {
        let mut foreign = member("b", "10.0.0.2");
        foreign.pod = None;
        workload(&mut foreign).ours = false;
        workload(&mut foreign).member = None;
        foreign.mirror = Some(record("10.0.0.2"));
        foreign.mirror.as_mut().unwrap().lost = second.map(at);
        let snapshot = snapshot(vec![member("a", "10.0.0.1"), foreign]);
        let group = form(&snapshot, &options).remove(0);
        let lost = group.members[1].record.lost;
        (lost, group.list.addresses().len(), group.list.members.len())
    };
    let lost_in_status = |ours: bool| {
        let mut foreign = member("b", "10.0.0.2");
        foreign.pod = None;
        workload(&mut foreign).ours = ours;
        let plan = crate::controller::discovery::decide::decide(&snapshot(vec![foreign.clone()]), &options);
        let lost = plan.reports[&foreign.id].peers.lost.clone();
        lost.map(|lost| (lost.address, lost.since.0))
    };
    assert_eq!(lost_in_status(false), Some(("10.0.0.2:11625".to_owned(), at(1000))));
    assert_eq!(lost_in_status(true), None, "its StatefulSet remembers");
    assert_eq!(members(None), (Some(at(1000)), 2, 2), "it begins");
    assert_eq!(members(Some(800)), (Some(at(800)), 2, 2), "it lasts");
    assert_eq!(members(Some(700)), (Some(at(700)), 1, 2), "it is over");
    assert_eq!(
        members(Some(4600)),
        (Some(at(1000)), 2, 2),
        "by a wrong clock: it starts again"
    );
}

/// Changes the spec of a validator.
fn changed(validator: &mut Validator) {
    validator.spec_hash = Some("new".to_owned());
    workload(validator).spec_hash = Some("old".to_owned());
}

pub(super) fn needs_of(snapshot: &Snapshot, options: &Options, name: &str) -> Vec<(Cause, Option<String>)> {
    let groups = form(snapshot, options);
    let mut needs = of_group(snapshot, options, &groups[0]);
    let needs = needs.remove(&NodeId::new("stellar", name)).unwrap();
    needs.iter().map(|need| (need.cause, waits(need))).collect()
}

#[test]
fn a_spec_waits_for_a_seed_that_another_pod_still_runs_with() {
    let mut snapshot = lost();
    changed(&mut snapshot.validators[0]);
    assert_eq!(needs_of(&snapshot, &options(), "a")[0], (Cause::SpecChanged, None));
    snapshot.validators[0].seed_held_by = Some("b-0".to_owned());
    let held = Some("another validator's pod, or its stored pod template, still has its new seed".to_owned());
    assert_eq!(needs_of(&snapshot, &options(), "a")[0], (Cause::SpecChanged, held));
    // A restart for its peers keeps its template.
    workload(&mut snapshot.validators[0]).spec_hash = Some("new".to_owned());
    assert_eq!(needs_of(&snapshot, &options(), "a"), [(Cause::NotLinked, None)]);
}

#[test]
fn a_pod_that_mounts_another_list_is_not_restarted_to_read_that_again() {
    for options in [options(), Options::default()] {
        let mut snapshot = lost();
        assert_ne!(needs_of(&snapshot, &options, "a"), []);
        pod(&mut snapshot.validators[0]).list = Some("stellar-peers".to_owned());
        assert_ne!(needs_of(&snapshot, &options, "a"), []);
        pod(&mut snapshot.validators[0]).list = Some("another".to_owned());
        assert_eq!(needs_of(&snapshot, &options, "a"), []);
        assert_ne!(needs_of(&snapshot, &options, "b"), []);
        changed(&mut snapshot.validators[0]);
        assert_eq!(needs_of(&snapshot, &options, "a"), [(Cause::SpecChanged, None)]);
    }
}

#[test]
fn a_list_that_cannot_be_written_delays_a_new_version_only_for_a_while() {
    let options = Options::default();
    for (second, expected) in [(960, Some("its list is not written yet".to_owned())), (300, None)] {
        let mut snapshot = lost();
        snapshot.lists.values_mut().for_each(|list| {
            list.data.clear();
            list.list = None;
        });
        for validator in &mut snapshot.validators {
            changed(validator);
            validator.changed = Some(at(second));
            pod(validator).voting_since = Some(at(0));
        }
        assert_eq!(needs_of(&snapshot, &options, "a")[0], (Cause::SpecChanged, expected));
    }
}

#[test]
fn an_approval_is_for_one_exact_change() {
    let manual = Options {
        restart: RestartMode::Manual,
        ..Options::default()
    };
    let mut snapshot = lost();
    changed(&mut snapshot.validators[0]);
    let need = |snapshot: &Snapshot| {
        let groups = form(snapshot, &manual);
        let mut needs = of_group(snapshot, &manual, &groups[0]);
        needs.remove(&NodeId::new("stellar", "a")).unwrap().remove(0)
    };
    assert!(need(&snapshot).wait.is_some());
    snapshot.validators[0].approved = Some("forged".to_owned());
    assert!(need(&snapshot).wait.is_some());
    snapshot.validators[0].approved = Some(need(&snapshot).hash);
    assert_eq!(need(&snapshot).wait, None);
}

#[test]
fn a_new_validator_that_waits_for_a_seed_blocks_no_other() {
    let mut snapshot = lost();
    changed(&mut snapshot.validators[0]);
    pod(&mut snapshot.validators[0]).voting_since = Some(at(0));
    let mut comes = member("e", "10.0.0.5");
    comes.created = at(999);
    comes.pod = None;
    comes.workload = None;
    snapshot.validators.push(comes);
    let waits = |snapshot: &Snapshot| needs_of(snapshot, &Options::default(), "a")[0].1.clone();
    let expected = "it waits for stellar/e, which has not joined its group yet";
    assert_eq!(waits(&snapshot).as_deref(), Some(expected));
    snapshot.validators[4].seed_held_by = Some("a-0".to_owned());
    assert_eq!(waits(&snapshot), None);
}
