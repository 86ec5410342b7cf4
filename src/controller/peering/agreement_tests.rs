//! Tests: the network of a list, and lists that are joined across namespaces.

use super::groups::{Group, form};
use super::groups_tests::addresses;
use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{SlotLease, Snapshot, Validator};
use crate::controller::samples::*;
use crate::crd::{Network, PeerGroup};
use crate::peers::NodeId;

#[test]
fn one_config_map_has_one_network() {
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
    // Without a record: most members, then the oldest.
    assert_eq!(elected(&snapshot(vec![young_testnet(), old_mainnet()])), mainnet);
    let second = on(member("c", "10.0.0.3"), "testnet", 10);
    assert_eq!(
        elected(&snapshot(vec![young_testnet(), old_mainnet(), second.clone()])),
        testnet
    );
    // The recorded network stays while any validator of it exists, suspended or not.
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

/// A member in a namespace that asks to be joined with others under a group name.
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
        ("they make no request", silent(), true, alone()),
        ("another network", other_network(), true, alone()),
    ] {
        assert_eq!(members(vec![ours(), theirs], enabled), expected, "{what}");
    }
}

#[test]
fn a_new_validator_without_peer_group_splits_no_group() {
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
fn an_unreadable_node_keeps_the_network_of_its_list() {
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
fn an_unreadable_node_splits_no_group() {
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
        "it is deleted, and no other validator of its namespace asks for it"
    );
}

#[test]
fn a_forged_list_joins_no_namespace_that_did_not_ask() {
    let options = Options {
        cross_namespace_groups: true,
        ..Options::default()
    };
    let mut asked = member("v", "10.0.0.1");
    asked.id = NodeId::new("n", "v");
    asked.list = list_id("n");
    let theirs = asking("o", "x", "g", &["n"]);
    // A user with rights in o made one of its StellarNodes unreadable, and wrote n's validator into its list.
    let mut forged = published(&[("v", "10.0.0.1"), ("w", "10.0.0.9")]).list.unwrap();
    for (record, namespace) in forged.members.iter_mut().zip(["n", "o"]) {
        namespace.clone_into(&mut record.node.namespace);
    }
    let mut seen = snapshot(vec![asked, theirs]);
    seen.lists.insert(list_id("o"), published_as(forged));
    seen.unreadable.insert(NodeId::new("o", "w"));
    let groups = form(&seen, &options);
    assert!(groups.iter().all(|group| group.joined.is_empty()), "{groups:#?}");
    // An unreadable node in n changes nothing: no record of ours says that n ever asked.
    let mut both = seen.clone();
    both.unreadable.insert(NodeId::new("n", "y"));
    assert!(form(&both, &options).iter().all(|group| group.joined.is_empty()));
    // Our record keeps no readable list joined that asks no more.
    let lease = SlotLease {
        readable: true,
        joined: [(list_id("n"), list_id("o"))].into(),
        ..SlotLease::default()
    };
    seen.slots.insert(Network::parse("testnet").short_hash(), lease);
    assert!(form(&seen, &options).iter().all(|group| group.joined.is_empty()));
}

#[test]
fn an_unreadable_node_of_another_namespace_does_not_fix_the_network_of_a_list() {
    let mut own = member("b", "10.0.0.2");
    own.network = Network::parse("mainnet");
    let mut list = published(&[("a", "10.0.0.1")]).list.unwrap();
    list.members[0].node = NodeId::new("elsewhere", "a");
    let mut seen = with_list(snapshot(vec![own]), published_as(list));
    seen.unreadable.insert(NodeId::new("elsewhere", "a"));
    assert_eq!(form(&seen, &Options::default())[0].network.display_name(), "mainnet");
}
