//! Tests: the members of a group, the entries of its list, and the write that its ConfigMap needs.

use super::groups::{Group, abandoned, form};
use super::lists::{ListAction, data_of};
use crate::controller::model::options::{AddressMode, Options};
use crate::controller::model::snapshot::{PublishedList, Snapshot, Validator};
use crate::controller::samples::*;
use crate::crd::Network;
use crate::labels;
use crate::peers::{NodeId, PeerList};

pub(super) fn addresses(group: &Group<'_>) -> Vec<String> {
    group.list.addresses()
}

fn only(snapshot: &Snapshot, check: impl FnOnce(&Group<'_>)) {
    let groups = form(snapshot, &Options::default());
    assert_eq!(groups.len(), 1);
    check(&groups[0]);
}

#[test]
fn the_entries_of_a_list() {
    type Change = fn(&mut Validator);
    let cases: &[(&str, Change, &[&str])] = &[
        ("ready", |_| {}, &["10.0.0.1:11625", "10.0.0.2:11625"]),
        ("never ready", |node| pod(node).ready = false, &["10.0.0.1:11625"]),
        (
            "not ready any more, and a member",
            |node| {
                pod(node).ready = false;
                workload(node).member = Some(record("10.0.0.2"));
            },
            &["10.0.0.1:11625", "10.0.0.2:11625"],
        ),
        ("suspended", |node| node.suspended = true, &["10.0.0.1:11625"]),
        ("being deleted", |node| node.deleting = true, &["10.0.0.1:11625"]),
        ("scaled to 0", |node| workload(node).replicas = 0, &["10.0.0.1:11625"]),
        (
            "its pod has no address",
            |node| pod(node).ip = None,
            &["10.0.0.1:11625"],
        ),
        (
            "a member between two pods keeps its last address",
            |node| {
                node.pod = None;
                workload(node).member = Some(record("10.0.0.9"));
            },
            &["10.0.0.1:11625", "10.0.0.9:11625"],
        ),
        (
            "a member whose pod is ending, too",
            |node| {
                pod(node).deleting = true;
                workload(node).member = Some(record("10.0.0.2"));
            },
            &["10.0.0.1:11625", "10.0.0.2:11625"],
        ),
        (
            "its StatefulSet was deleted by hand: its status remembers",
            |node| {
                node.workload = None;
                node.pod = None;
                node.mirror = Some(record("10.0.0.8"));
            },
            &["10.0.0.1:11625", "10.0.0.8:11625"],
        ),
        (
            "the port is that of the running pod, whatever the spec asks for",
            |node| node.spec_port = 11700,
            &["10.0.0.1:11625", "10.0.0.2:11625"],
        ),
        (
            "a pod that declares no port has that of the spec",
            |node| {
                pod(node).port = None;
                node.spec_port = 11700;
            },
            &["10.0.0.1:11625", "10.0.0.2:11700"],
        ),
    ];
    for (what, change, expected) in cases {
        let mut other = newcomer("b", "10.0.0.2");
        change(&mut other);
        only(&snapshot(vec![member("a", "10.0.0.1"), other]), |group| {
            assert_eq!(addresses(group), *expected, "{what}");
        });
    }
}

#[test]
fn after_the_grace_period_the_address_goes_and_the_member_stays() {
    let lost_at = |second: i64| {
        let mut gone = member("b", "10.0.0.2");
        gone.pod = None;
        workload(&mut gone).member.as_mut().unwrap().lost = Some(at(second));
        snapshot(vec![member("a", "10.0.0.1"), gone])
    };
    only(&lost_at(701), |group| assert_eq!(addresses(group).len(), 2));
    only(&lost_at(700), |group| {
        assert_eq!(addresses(group), ["10.0.0.1:11625"]);
        assert_eq!(group.list.members.len(), 2, "its record stays");
        let without = snapshot(vec![member("a", "10.0.0.1")]);
        let alone = form(&without, &Options::default());
        assert_ne!(
            group.views[&NodeId::new("stellar", "a")],
            alone[0].views[&NodeId::new("stellar", "a")],
            "and with it the view"
        );
    });
}

#[test]
fn a_reused_address_belongs_to_the_running_pod() {
    let mut gone = member("b", "10.0.0.2");
    gone.pod = None;
    only(&snapshot(vec![member("a", "10.0.0.2"), gone]), |group| {
        assert_eq!(addresses(group), ["10.0.0.2:11625"]);
        assert_eq!(group.list.members.len(), 2);
    });
}

#[test]
fn dns_names_are_published_once_the_stateful_set_exists() {
    let mut young = newcomer("b", "10.0.0.2");
    young.pod = None;
    let options = Options {
        address_mode: AddressMode::Dns,
        cluster_domain: "example.org".to_owned(),
        ..Options::default()
    };
    let snapshot = snapshot(vec![young]);
    let groups = form(&snapshot, &options);
    assert_eq!(addresses(&groups[0]), ["b-0.b-headless.stellar.svc.example.org:11625"]);
}

#[test]
fn a_node_that_cannot_be_read_neither_joins_nor_leaves() {
    let mut unreadable = with_list(
        snapshot(vec![member("a", "10.0.0.1")]),
        published(&[("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "10.0.0.3")]),
    );
    unreadable.unreadable = ["b", "d"].map(|name| NodeId::new("stellar", name)).into();
    only(&unreadable, |group| {
        // c was deleted, and no unreadable node has its name.
        assert_eq!(addresses(group), ["10.0.0.1:11625", "10.0.0.2:11625"]);
    });
}

#[test]
fn the_write_that_a_config_map_needs() {
    let two = || vec![member("a", "10.0.0.1"), member("b", "10.0.0.2")];
    let right = || published(&[("a", "10.0.0.1"), ("b", "10.0.0.2")]);
    let action = |list: PublishedList| {
        let snapshot = with_list(snapshot(two()), list);
        form(&snapshot, &Options::default()).remove(0).action
    };
    let is_repair =
        |action: &ListAction, wanted: bool| matches!(action, ListAction::Write { repair, .. } if *repair == wanted);

    assert_eq!(action(right()), ListAction::Keep, "same input, nothing written");
    let mut foreign = right();
    foreign.ours = false;
    assert_eq!(action(foreign), ListAction::NotOurs);
    assert!(
        is_repair(&action(published(&[("a", "10.0.0.1")])), false),
        "a member more"
    );
    let mut edited = right();
    edited.data.insert(labels::KNOWN_PEERS.to_owned(), String::new());
    assert!(is_repair(&action(edited), true), "edited by hand");
    let mut broken = right();
    broken.list = None;
    broken.data.insert(labels::PEERS_JSON.to_owned(), "{".to_owned());
    assert!(is_repair(&action(broken), true), "broken by hand");
    let mut shortened = right();
    let list = shortened.list.as_mut().unwrap();
    list.members.remove(0);
    shortened.data.insert(labels::PEERS_JSON.to_owned(), list.to_json());
    assert!(
        is_repair(&action(shortened), true),
        "edited by hand so that it can be read"
    );
    let mut extended = right();
    extended.data.insert("mine".to_owned(), "too".to_owned());
    assert!(is_repair(&action(extended), true), "a key more");
    only(&snapshot(two()), |group| {
        assert!(is_repair(&group.action, false), "there is none");
    });
    only(&snapshot(vec![]).clone_with(newcomer_without_pod()), |group| {
        assert_eq!(group.action, ListAction::Keep, "an empty list is not written");
    });
}

#[test]
fn a_list_of_an_earlier_version_gets_its_network_and_keeps_its_version() {
    let right = published(&[("a", "10.0.0.1")]);
    let earlier = PeerList {
        network: None,
        ..right.list.clone().unwrap()
    };
    only(
        &with_list(snapshot(vec![member("a", "10.0.0.1")]), published_as(earlier)),
        |group| {
            let data = right.data.clone();
            assert_eq!(group.action, ListAction::Write { data, repair: false });
        },
    );
}

#[test]
fn times_of_an_edited_list_are_ignored() {
    let future = at(500_000);
    let edited = |edit: fn(&mut PeerList), metadata_too: bool| {
        let mut published = published(&[("a", "10.0.0.1")]);
        let list = published.list.as_mut().unwrap();
        edit(list);
        if metadata_too {
            published.data = data_of(list, &Network::parse("testnet"));
        } else {
            published.data.insert(labels::PEERS_JSON.to_owned(), list.to_json());
        }
        with_list(snapshot(vec![member("a", "10.0.0.1")]), published)
    };
    let by_hand = edited(|list| list.version = at(500_000), false);
    only(&by_hand, |group| {
        assert_eq!(
            group.list.version, by_hand.now,
            "peers.json contradicts discovery_metadata"
        );
        assert!(matches!(group.action, ListAction::Write { repair: true, .. }));
    });
    let by_clock = edited(|list| list.version = at(500_000), true);
    only(&by_clock, |group| {
        assert_eq!(group.action, ListAction::Keep, "a clock that jumps back writes nothing");
        assert_eq!(group.list.version, future);
    });
    let mut changed = by_clock.clone();
    changed.validators.push(member("b", "10.0.0.2"));
    only(&changed, |group| {
        assert_eq!(group.list.version, changed.now, "the next change puts it right");
    });
    only(&edited(|list| list.members[0].since = at(500_000), true), |group| {
        assert_eq!(group.list.members[0].since, at(0));
        assert!(matches!(group.action, ListAction::Write { .. }));
    });
}

fn newcomer_without_pod() -> Validator {
    let mut young = newcomer("a", "10.0.0.1");
    young.pod = None;
    young
}

impl Snapshot {
    fn clone_with(&self, validator: Validator) -> Self {
        let mut other = self.clone();
        other.validators.push(validator);
        other
    }
}

#[test]
fn a_list_is_abandoned_without_references_and_unreadable_nodes() {
    let empty = with_list(snapshot(vec![]), published(&[("a", "10.0.0.1")]));
    assert_eq!(abandoned(&empty).len(), 1);
    let mut unreadable = empty.clone();
    unreadable.unreadable.insert(NodeId::new("stellar", "a"));
    assert_eq!(abandoned(&unreadable).len(), 0, "its validator may still be there");
    let mut foreign = empty.clone();
    foreign.lists.values_mut().for_each(|list| list.ours = false);
    assert_eq!(abandoned(&foreign).len(), 0);
    let used = empty.clone_with(member("a", "10.0.0.1"));
    assert_eq!(abandoned(&used).len(), 0);
}
