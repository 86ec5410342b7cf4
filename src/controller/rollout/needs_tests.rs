use super::needs::{Need, loaded_view, of_group};
use crate::controller::model::options::{AddressMode, Options, RestartMode};
use crate::controller::model::snapshot::{AssumedLoad, Cause, LastRestart, Snapshot, Validator};
use crate::controller::peering::groups::form;
use crate::controller::samples::{at, member, pod, published, record, snapshot, with_list, workload};
use crate::peers::{NodeId, Report, View};

const FOUR: [(&str, &str); 4] = [
    ("a", "10.0.0.1"),
    ("b", "10.0.0.2"),
    ("c", "10.0.0.3"),
    ("d", "10.0.0.4"),
];

/// A group of four that lost itself: each found no list when it started, and the list has long been right since.
fn lost() -> Snapshot {
    let members = FOUR.map(|(name, ip)| {
        let mut validator = member(name, ip);
        pod(&mut validator).rendered = Some(at(0));
        pod(&mut validator).report = Some(Report::of_nothing());
        validator
    });
    with_list(snapshot(members.into()), published(&FOUR))
}

fn options() -> Options {
    Options {
        restart: RestartMode::Unlinked,
        ..Options::default()
    }
}

/// The need of a validator to be restarted for links, which it has.
fn for_links(snapshot: &Snapshot, name: &str) -> Need {
    let options = options();
    let groups = form(snapshot, &options);
    let mut needs = of_group(snapshot, &options, &groups[0]);
    let needs = needs.remove(&NodeId::new("stellar", name)).unwrap();
    needs.into_iter().find(|need| need.cause == Cause::NotLinked).unwrap()
}

/// What a need waits for, in words.
fn waits(need: &Need) -> Option<String> {
    need.wait.as_ref().map(|wait| wait.reason().to_owned())
}

#[test]
fn linking_waits_for_a_pod_that_is_on_its_way_and_for_no_container_that_crashes() {
    type Change = fn(&mut Validator);
    let on_its_way = Some("it waits for stellar/d, whose pod is on its way");
    let calm = Some("all must be unchanged for the propagation time");
    let cases: &[(&str, Change, Option<&str>)] = &[
        ("nothing", |_| {}, None),
        (
            "its core container is between two runs",
            |node| {
                pod(node).started = None;
                pod(node).ready = false;
            },
            None,
        ),
        (
            "its core container runs again, for a moment",
            |node| pod(node).started = Some(at(999)),
            None,
        ),
        ("its pod is ending", |node| pod(node).deleting = true, on_its_way),
        ("its pod has no address", |node| pod(node).ip = None, on_its_way),
        ("its pod does not run yet", |node| pod(node).running = false, on_its_way),
        (
            "its pod has not read the list yet",
            |node| {
                let pod = pod(node);
                (pod.rendered, pod.started, pod.report) = (None, None, None);
            },
            on_its_way,
        ),
        ("it has no pod", |node| node.pod = None, on_its_way),
        (
            "it has had no pod for longer than the grace period",
            |node| {
                node.pod = None;
                let record = workload(node).member.as_mut().unwrap();
                record.lost = Some(at(600));
            },
            // The list is to lose its address first.
            Some("its list is not written yet"),
        ),
        (
            "its pod read the list a moment ago",
            |node| pod(node).rendered = Some(at(990)),
            calm,
        ),
        (
            "its kubelet's clock is an hour ahead",
            |node| pod(node).rendered = Some(at(4600)),
            None,
        ),
        (
            "its kubelet's clock is a little ahead",
            |node| pod(node).rendered = Some(at(1005)),
            calm,
        ),
        (
            "we did not build its pod, which crashes",
            |node| {
                workload(node).reports = false;
                let pod = pod(node);
                (pod.rendered, pod.started, pod.report) = (None, None, None);
            },
            None,
        ),
        (
            "we did not build its pod, whose container started a moment ago",
            |node| {
                workload(node).reports = false;
                let pod = pod(node);
                (pod.rendered, pod.started, pod.report) = (None, Some(at(999)), None);
            },
            None,
        ),
    ];
    for (what, change, expected) in cases {
        let mut snapshot = lost();
        change(&mut snapshot.validators[3]);
        assert_eq!(waits(&for_links(&snapshot, "a")).as_deref(), *expected, "{what}");
    }
}

#[test]
fn a_list_of_the_future_holds_nobody_back() {
    for (second, expected) in [
        (0, None),
        (990, Some("all must be unchanged for the propagation time")),
        (1010, Some("all must be unchanged for the propagation time")),
        (4600, None),
        (400_000_000, None),
    ] {
        let mut snapshot = lost();
        for published in snapshot.lists.values_mut() {
            let list = published.list.as_mut().unwrap();
            list.version = at(second);
            published.data = crate::controller::peering::lists::data_of(list, &snapshot.validators[0].network);
        }
        assert_eq!(
            waits(&for_links(&snapshot, "a")).as_deref(),
            expected,
            "second {second}"
        );
    }
}

#[test]
fn a_pod_that_does_not_serve_is_not_restarted_for_its_peers_and_keeps_nobody_else_from_it() {
    let mut snapshot = lost();
    pod(&mut snapshot.validators[0]).ready = false;
    let reason = waits(&for_links(&snapshot, "a"));
    assert_eq!(reason.as_deref(), Some("its pod does not serve its peer port"));
    assert_eq!(waits(&for_links(&snapshot, "b")), None);

    let options = Options::default();
    let groups = form(&snapshot, &options);
    let mut needs = of_group(&snapshot, &options, &groups[0]);
    let mut for_peers = |name: &str| {
        let needs = needs.remove(&NodeId::new("stellar", name)).unwrap();
        let need = needs.into_iter().find(|need| need.cause == Cause::PeersChanged);
        waits(&need.unwrap())
    };
    assert_eq!(for_peers("a").as_deref(), Some("its pod does not serve its peer port"));
    assert_eq!(for_peers("b"), None);
}

#[test]
fn the_loaded_view_is_what_the_pod_tells_or_what_is_noted_of_this_very_pod() {
    let noted = |pod_uid: &str| AssumedLoad {
        pod_uid: pod_uid.to_owned(),
        view: View::empty(),
    };
    let mut validator = member("a", "10.0.0.1");
    workload(&mut validator).assumed = Some(noted("a-pod"));
    assert_eq!(loaded_view(&validator), None, "it can tell, and has not");
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
fn names_as_addresses_keep_their_port_while_there_is_no_pod() {
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
    let told = |ours: bool| {
        let mut foreign = member("b", "10.0.0.2");
        foreign.pod = None;
        workload(&mut foreign).ours = ours;
        let plan = crate::controller::discovery::decide::decide(&snapshot(vec![foreign.clone()]), &options);
        let lost = plan.reports[&foreign.id].peers.lost.clone();
        lost.map(|lost| (lost.address, lost.since.0))
    };
    assert_eq!(told(false), Some(("10.0.0.2:11625".to_owned(), at(1000))));
    assert_eq!(told(true), None, "its StatefulSet remembers");
    assert_eq!(members(None), (Some(at(1000)), 2, 2), "it begins");
    assert_eq!(members(Some(800)), (Some(at(800)), 2, 2), "it lasts");
    assert_eq!(members(Some(700)), (Some(at(700)), 1, 2), "it is over");
    assert_eq!(
        members(Some(4600)),
        (Some(at(1000)), 2, 2),
        "by a wrong clock: it begins anew"
    );
}

/// A spec that changed, which nothing else holds back.
fn changed(validator: &mut Validator) {
    validator.spec_hash = Some("new".to_owned());
    workload(validator).spec_hash = Some("old".to_owned());
}

fn needs_of(snapshot: &Snapshot, options: &Options, name: &str) -> Vec<(Cause, Option<String>)> {
    let groups = form(snapshot, options);
    let mut needs = of_group(snapshot, options, &groups[0]);
    let needs = needs.remove(&NodeId::new("stellar", name)).unwrap();
    needs.iter().map(|need| (need.cause, waits(need))).collect()
}

#[test]
fn nobody_gets_a_seed_that_another_pod_still_runs_with() {
    let mut snapshot = lost();
    changed(&mut snapshot.validators[0]);
    assert_eq!(needs_of(&snapshot, &options(), "a")[0], (Cause::SpecChanged, None));
    snapshot.validators[0].seed_held_by = Some("b-0".to_owned());
    let held = Some("another validator's pod, or its stored pod template, still has its new seed".to_owned());
    assert_eq!(needs_of(&snapshot, &options(), "a")[0], (Cause::SpecChanged, held));
    // For its peers it comes back as it is.
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
fn a_list_that_cannot_be_written_holds_a_new_version_back_for_a_while_only() {
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
fn nobody_is_restarted_to_be_linked_while_all_vote_and_only_who_does_not_otherwise() {
    let linked = |snapshot: &Snapshot, name: &str| {
        let needs = needs_of(snapshot, &options(), name);
        needs.iter().all(|(cause, _)| *cause != Cause::NotLinked)
    };
    let mut snapshot = lost();
    for validator in &mut snapshot.validators {
        pod(validator).voting_since = Some(at(100));
    }
    assert!(
        FOUR.iter().all(|(name, _)| linked(&snapshot, name)),
        "consensus connects them"
    );
    pod(&mut snapshot.validators[2]).voting_since = None;
    assert_eq!(needs_of(&snapshot, &options(), "c"), [(Cause::NotLinked, None)]);
    assert!(["a", "b", "d"].iter().all(|name| linked(&snapshot, name)), "they vote");
}

#[test]
fn whoever_was_restarted_lately_to_be_linked_says_so_and_keeps_nobody_else_waiting() {
    let mut snapshot = lost();
    let view = snapshot.lists.values().next().unwrap().list.as_ref().unwrap();
    let view = view.view_of(&NodeId::new("stellar", "a"));
    workload(&mut snapshot.validators[0]).last_restart = Some(LastRestart {
        at: at(900),
        view,
        pod_uid: None,
    });
    let fuse = Some("it was restarted for the same members before".to_owned());
    assert_eq!(needs_of(&snapshot, &options(), "a"), [(Cause::NotLinked, fuse)]);
    assert_eq!(needs_of(&snapshot, &options(), "b"), [(Cause::NotLinked, None)]);
    let second = Some("stellar/b comes first".to_owned());
    assert_eq!(needs_of(&snapshot, &options(), "c"), [(Cause::NotLinked, second)]);
    snapshot.now = at(1501);
    assert_eq!(needs_of(&snapshot, &options(), "a"), [(Cause::NotLinked, None)]);
}

#[test]
fn whoever_was_restarted_before_the_others_moved_may_be_linked_again_at_once() {
    let fuse = || Some("it was restarted for the same members before".to_owned());
    let mut snapshot = lost();
    let list = snapshot.lists.values().next().unwrap().list.clone().unwrap();
    for (validator, second) in snapshot.validators.iter_mut().zip([900, 910, 920, 930]) {
        let view = list.view_of(&validator.id);
        let last = LastRestart {
            at: at(second),
            view,
            pod_uid: Some("the pod before".to_owned()),
        };
        workload(validator).last_restart = Some(last);
    }
    let waits = |snapshot: &Snapshot, name: &str| needs_of(snapshot, &options(), name)[0].1.clone();
    assert_eq!(waits(&snapshot, "d"), fuse());
    // A power cut: all are elsewhere. The last that was restarted goes first, and the first stays out: the others came
    // up again after its restart because of ours.
    let mut cut = snapshot.clone();
    for validator in &mut cut.validators {
        workload(validator).member.as_mut().unwrap().since = at(940);
    }
    assert_eq!(waits(&cut, "b"), None);
    assert_eq!(waits(&cut, "a"), fuse());
    // Somebody alone that is where it was keeps its fuse, though its own address is new.
    workload(&mut snapshot.validators[3]).member.as_mut().unwrap().since = at(940);
    assert_eq!(waits(&snapshot, "d"), fuse());
    // The pod that was to go was never replaced.
    let pod_uid = pod(&mut snapshot.validators[2]).uid.clone();
    workload(&mut snapshot.validators[2])
        .last_restart
        .as_mut()
        .unwrap()
        .pod_uid = Some(pod_uid);
    assert_eq!(waits(&snapshot, "c"), None);
}

#[test]
fn an_approval_is_of_the_very_change_that_waits() {
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
fn a_newcomer_that_waits_for_a_seed_keeps_nobody_waiting() {
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

#[test]
fn an_address_that_is_dated_in_the_future_blows_no_fuse() {
    let mut snapshot = lost();
    let list = snapshot.lists.values().next().unwrap().list.clone().unwrap();
    let last = LastRestart {
        at: at(900),
        view: list.view_of(&snapshot.validators[0].id),
        pod_uid: None,
    };
    workload(&mut snapshot.validators[0]).last_restart = Some(last);
    workload(&mut snapshot.validators[1]).member.as_mut().unwrap().since = at(5_000);
    let fuse = Some("it was restarted for the same members before".to_owned());
    assert_eq!(needs_of(&snapshot, &options(), "a"), [(Cause::NotLinked, fuse)]);
}
