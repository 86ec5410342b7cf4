//! Tests: restarts that link a split group.

use super::needs::{Need, of_group};
use super::needs_tests::{FOUR, lost, needs_of, options, waits};
use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{Cause, LastRestart, Snapshot, Validator};
use crate::controller::peering::groups::form;
use crate::controller::samples::{at, pod, workload};
use crate::peers::NodeId;

/// The need of a validator to restart for links.
fn for_links(snapshot: &Snapshot, name: &str) -> Need {
    let options = options();
    let groups = form(snapshot, &options);
    let mut needs = of_group(snapshot, &options, &groups[0]);
    let needs = needs.remove(&NodeId::new("stellar", name)).unwrap();
    needs.into_iter().find(|need| need.cause == Cause::NotLinked).unwrap()
}

#[test]
fn linking_waits_for_a_starting_pod_and_for_no_crash_loop() {
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
            // The list must drop its address first.
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
fn a_list_of_the_future_holds_no_restart_back() {
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
fn a_pod_that_does_not_serve_is_not_restarted_for_peers_and_blocks_no_other() {
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
fn only_a_member_that_does_not_vote_is_restarted_for_links() {
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
fn a_recent_restart_for_links_holds_back_only_that_member() {
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
fn a_member_restarted_before_the_others_moved_is_linked_again_at_once() {
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
    // After a power cut all have new addresses. The member that was restarted last goes first. The first one keeps its
    // fuse: the operator restarted the others after it.
    let mut cut = snapshot.clone();
    for validator in &mut cut.validators {
        workload(validator).member.as_mut().unwrap().since = at(940);
    }
    assert_eq!(waits(&cut, "b"), None);
    assert_eq!(waits(&cut, "a"), fuse());
    // A member whose peers did not move keeps its fuse, although its own address is new.
    workload(&mut snapshot.validators[3]).member.as_mut().unwrap().since = at(940);
    assert_eq!(waits(&snapshot, "d"), fuse());
    // The pod that had to be replaced is still there.
    let pod_uid = pod(&mut snapshot.validators[2]).uid.clone();
    workload(&mut snapshot.validators[2])
        .last_restart
        .as_mut()
        .unwrap()
        .pod_uid = Some(pod_uid);
    assert_eq!(waits(&snapshot, "c"), None);
}

#[test]
fn an_address_dated_in_the_future_does_not_reset_the_fuse() {
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
