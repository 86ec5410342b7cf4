use super::groups::{Group, abandoned, form};
use super::lists::{ListAction, data_of};
use crate::controller::model::options::{AddressMode, Options};
use crate::controller::model::snapshot::{PublishedList, SlotLease, Snapshot, Validator};
use crate::controller::samples::*;
use crate::crd::{Network, PeerGroup};
use crate::labels;
use crate::peers::{NodeId, PeerList};

fn addresses(group: &Group<'_>) -> Vec<String> {
    group.list.addresses()
}

fn only(snapshot: &Snapshot, check: impl FnOnce(&Group<'_>)) {
    let groups = form(snapshot, &Options::default());
    assert_eq!(groups.len(), 1);
    check(&groups[0]);
}

#[test]
fn who_is_in_the_list() {
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
fn an_address_that_kubernetes_gave_to_another_pod_is_that_pods() {
    let mut gone = member("b", "10.0.0.2");
    gone.pod = None;
    only(&snapshot(vec![member("a", "10.0.0.2"), gone]), |group| {
        assert_eq!(addresses(group), ["10.0.0.2:11625"]);
        assert_eq!(group.list.members.len(), 2);
    });
}

#[test]
fn names_as_addresses_hold_from_the_moment_of_the_stateful_set() {
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
        // c is gone for good: it can be read that it is not there.
        assert_eq!(addresses(group), ["10.0.0.1:11625", "10.0.0.2:11625"]);
    });
}

#[test]
fn what_becomes_of_the_config_map() {
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
fn a_list_of_an_earlier_program_gets_its_network_once_and_keeps_its_version() {
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
fn times_of_an_edited_list_are_not_taken_over() {
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
fn the_networks_of_one_config_map() {
    let on = |mut validator: Validator, network: &str, created: i64| {
        validator.network = Network::parse(network);
        validator.created = at(created);
        validator
    };
    let young_testnet = || on(member("a", "10.0.0.1"), "testnet", 9);
    let old_mainnet = || on(member("b", "10.0.0.2"), "mainnet", 1);
    let elected = |snapshot: &Snapshot| {
        let groups = form(snapshot, &Options::default());
        assert_eq!(groups.len(), 1, "networks never share a list");
        let members: Vec<_> = groups[0]
            .members
            .iter()
            .map(|one| one.validator.network.clone())
            .collect();
        assert!(members.iter().all(|network| *network == groups[0].network));
        groups[0].network.display_name()
    };
    let mainnet = Network::parse("mainnet").display_name();
    let testnet = Network::parse("testnet").display_name();
    // Nothing recorded: most members, then the oldest.
    assert_eq!(elected(&snapshot(vec![young_testnet(), old_mainnet()])), mainnet);
    let second = on(member("c", "10.0.0.3"), "testnet", 10);
    assert_eq!(
        elected(&snapshot(vec![young_testnet(), old_mainnet(), second.clone()])),
        testnet
    );
    // Recorded: it stays while anybody of it is there, suspended or not.
    let recorded = |mut testnet_node: Validator| {
        testnet_node.suspended = true;
        let more = on(member("d", "10.0.0.4"), "mainnet", 2);
        with_list(
            snapshot(vec![testnet_node, old_mainnet(), more]),
            published(&[("a", "10.0.0.1")]),
        )
    };
    assert_eq!(elected(&recorded(young_testnet())), testnet);
    let gone = with_list(snapshot(vec![old_mainnet()]), published(&[("a", "10.0.0.1")]));
    assert_eq!(elected(&gone), mainnet);
}

#[test]
fn a_list_goes_when_nobody_refers_to_it_and_everybody_can_be_read() {
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

/// A member in a namespace that asks to be joined with others under a name.
fn asking(namespace: &str, name: &str, group: &str, others: &[&str]) -> Validator {
    let mut validator = member(name, &format!("10.0.{}.1", name.len()));
    validator.id = NodeId::new(namespace, name);
    validator.uid = format!("{namespace}/{name}");
    validator.list = list_id(namespace);
    validator.peer_group = Some(PeerGroup {
        name: group.to_owned(),
        namespaces: others.iter().map(|other| (*other).to_owned()).collect(),
    });
    validator
}

/// The members of each namespace's list.
fn members(validators: Vec<Validator>, enabled: bool) -> Vec<(String, Vec<String>)> {
    let options = Options {
        cross_namespace_groups: enabled,
        ..Options::default()
    };
    let snapshot = snapshot(validators);
    let groups = form(&snapshot, &options);
    let names = |group: &Group<'_>| group.members.iter().map(|one| one.validator.id.to_string()).collect();
    groups
        .iter()
        .map(|group| (group.id.namespace.clone(), names(group)))
        .collect()
}

#[test]
fn namespaces_are_joined_only_where_both_ask_for_it() {
    let alone = || {
        vec![
            ("n".to_owned(), vec!["n/v".to_owned()]),
            ("o".to_owned(), vec!["o/w".to_owned()]),
        ]
    };
    let both = || {
        let all = vec!["n/v".to_owned(), "o/w".to_owned()];
        vec![("n".to_owned(), all.clone()), ("o".to_owned(), all)]
    };
    let other_network = || {
        let mut validator = asking("o", "w", "g", &["n"]);
        validator.network = Network::parse("mainnet");
        validator
    };
    let silent = || {
        let mut validator = asking("o", "w", "g", &["n"]);
        validator.peer_group = None;
        validator
    };
    let ours = || asking("n", "v", "g", &["o"]);
    for (what, theirs, enabled, expected) in [
        ("both", asking("o", "w", "g", &["n"]), true, both()),
        ("switched off", asking("o", "w", "g", &["n"]), false, alone()),
        ("another name", asking("o", "w", "h", &["n"]), true, alone()),
        ("they list others", asking("o", "w", "g", &["m"]), true, alone()),
        ("they say nothing", silent(), true, alone()),
        ("another network", other_network(), true, alone()),
    ] {
        assert_eq!(members(vec![ours(), theirs], enabled), expected, "{what}");
    }
}

#[test]
fn a_newcomer_that_says_nothing_tears_no_group_apart() {
    let mut forgetful = member("x", "10.0.9.1");
    forgetful.id = NodeId::new("n", "x");
    forgetful.list = list_id("n");
    let found = members(
        vec![asking("n", "v", "g", &["o"]), forgetful, asking("o", "w", "g", &["n"])],
        true,
    );
    let all = vec!["n/v".to_owned(), "n/x".to_owned(), "o/w".to_owned()];
    assert_eq!(found, [("n".to_owned(), all.clone()), ("o".to_owned(), all)]);
}

#[test]
fn the_network_of_one_that_cannot_be_read_stays_that_of_its_list() {
    let mut other = member("b", "10.0.0.2");
    other.network = Network::parse("mainnet");
    let of = |unreadable: &[&str]| {
        let mut snapshot = with_list(snapshot(vec![other.clone()]), published(&[("a", "10.0.0.1")]));
        snapshot.unreadable = unreadable.iter().map(|name| NodeId::new("stellar", *name)).collect();
        let group = form(&snapshot, &Options::default()).remove(0);
        (
            group.network.display_name(),
            group.other_network.len(),
            addresses(&group),
        )
    };
    assert_eq!(of(&["a"]), ("testnet".to_owned(), 1, vec!["10.0.0.1:11625".to_owned()]));
    assert_eq!(
        of(&[]),
        ("mainnet".to_owned(), 0, vec!["10.0.0.2:11625".to_owned()]),
        "a is gone"
    );
}

#[test]
fn a_group_does_not_fall_apart_because_who_asked_for_it_cannot_be_read() {
    let options = Options {
        cross_namespace_groups: true,
        ..Options::default()
    };
    let mut silent = asking("o", "x", "g", &[]);
    silent.peer_group = None;
    let all = || {
        vec![
            asking("n", "v", "g", &["o"]),
            asking("o", "w", "g", &["n"]),
            silent.clone(),
        ]
    };
    let together = form(&snapshot(all()), &options).remove(0).list;
    assert_eq!(together.members.len(), 3);
    let left = |unreadable: bool| {
        let mut seen = snapshot(all().into_iter().filter(|one| one.id.name != "w").collect());
        for namespace in ["n", "o"] {
            seen.lists.insert(list_id(namespace), published_as(together.clone()));
        }
        if unreadable {
            seen.unreadable.insert(NodeId::new("o", "w"));
        }
        let lease = SlotLease {
            readable: true,
            joined: [(list_id("n"), list_id("o"))].into(),
            ..SlotLease::default()
        };
        let network = Network::parse("testnet").short_hash();
        seen.slots.insert(network, lease);
        let groups = form(&seen, &options);
        let count = |group: &Group<'_>| group.list.members.len();
        (count(&groups[0]), count(&groups[1]))
    };
    assert_eq!(left(true), (3, 3));
    assert_eq!(
        left(false),
        (1, 1),
        "it is gone, and nobody in its namespace asks for it"
    );
}

#[test]
fn what_a_list_says_joins_nobody_with_a_namespace_that_did_not_ask() {
    let options = Options {
        cross_namespace_groups: true,
        ..Options::default()
    };
    let mut asked = member("v", "10.0.0.1");
    asked.id = NodeId::new("n", "v");
    asked.list = list_id("n");
    let theirs = asking("o", "x", "g", &["n"]);
    // Somebody with rights in o made one of its StellarNodes unreadable, and wrote n's validator into its list.
    let mut forged = published(&[("v", "10.0.0.1"), ("w", "10.0.0.9")]).list.unwrap();
    for (record, namespace) in forged.members.iter_mut().zip(["n", "o"]) {
        namespace.clone_into(&mut record.node.namespace);
    }
    let mut seen = snapshot(vec![asked, theirs]);
    seen.lists.insert(list_id("o"), published_as(forged));
    seen.unreadable.insert(NodeId::new("o", "w"));
    let groups = form(&seen, &options);
    assert!(groups.iter().all(|group| group.joined.is_empty()), "{groups:#?}");
    // Nor where one of n cannot be read either: that n ever asked is on no record of ours.
    let mut both = seen.clone();
    both.unreadable.insert(NodeId::new("n", "y"));
    assert!(form(&both, &options).iter().all(|group| group.joined.is_empty()));
    // Nor does a record of ours keep one joined that can be read and asks no more.
    let lease = SlotLease {
        readable: true,
        joined: [(list_id("n"), list_id("o"))].into(),
        ..SlotLease::default()
    };
    seen.slots.insert(Network::parse("testnet").short_hash(), lease);
    assert!(form(&seen, &options).iter().all(|group| group.joined.is_empty()));
}

#[test]
fn one_of_another_namespace_that_cannot_be_read_does_not_fix_the_network_of_a_list() {
    let mut own = member("b", "10.0.0.2");
    own.network = Network::parse("mainnet");
    let mut list = published(&[("a", "10.0.0.1")]).list.unwrap();
    list.members[0].node = NodeId::new("elsewhere", "a");
    let mut seen = with_list(snapshot(vec![own]), published_as(list));
    seen.unreadable.insert(NodeId::new("elsewhere", "a"));
    assert_eq!(form(&seen, &Options::default())[0].network.display_name(), "mainnet");
}
