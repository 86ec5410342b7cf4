//! Validators and snapshots for unit tests.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::model::snapshot::{ListId, MemberRecord, Pod, PublishedList, Snapshot, Validator, Workload};
use super::peering::lists::data_of;
use crate::crd::Network;
use crate::labels;
use crate::peers::{NodeId, PeerList, PeerRecord};

/// So many seconds after an arbitrary moment.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).unwrap()
}

pub(super) fn list_id(namespace: &str) -> ListId {
    ListId {
        namespace: namespace.to_owned(),
        name: labels::DEFAULT_PEERS_CONFIG_MAP.to_owned(),
    }
}

/// A validator that is ready at this address, and was not a member yet.
pub(super) fn newcomer(name: &str, ip: &str) -> Validator {
    let pod = Pod {
        resource_version: "1".to_owned(),
        uid: format!("{name}-pod"),
        name: format!("{name}-0"),
        deleting: false,
        running: true,
        ip: Some(ip.to_owned()),
        port: Some(11625),
        revision: None,
        list: None,
        rendered: None,
        started: Some(at(0)),
        ready: true,
        voting_since: None,
        silent_since: None,
        voted_for: None,
        report: None,
        blocked: None,
    };
    let workload = Workload {
        name: name.to_owned(),
        resource_version: "1".to_owned(),
        ours: true,
        replicas: 1,
        observed: true,
        update_revision: None,
        waits_for_person: false,
        convertible: true,
        reports: true,
        history: None,
        spec_hash: None,
        member: None,
        last_restart: None,
        given_back: None,
        assumed: None,
        refused: None,
    };
    Validator {
        id: NodeId::new("stellar", name),
        uid: name.to_owned(),
        created: at(0),
        network: Network::parse("testnet"),
        list: list_id("stellar"),
        peer_group: None,
        spec_port: 11625,
        suspended: false,
        deleting: false,
        paused: false,
        approved: None,
        changed: None,
        spec_hash: None,
        seed_held_by: None,
        mirror: None,
        workload: Some(workload),
        pod: Some(pod),
    }
}

/// The same, a member since second 0.
pub(super) fn member(name: &str, ip: &str) -> Validator {
    let mut validator = newcomer(name, ip);
    workload(&mut validator).member = Some(record(ip));
    validator
}

pub(super) fn record(ip: &str) -> MemberRecord {
    MemberRecord {
        joined: at(0),
        port: 11625,
        address: format!("{ip}:11625"),
        since: at(0),
        lost: None,
        never_voted: false,
    }
}

pub(super) fn workload(validator: &mut Validator) -> &mut Workload {
    validator.workload.as_mut().unwrap()
}

pub(super) fn pod(validator: &mut Validator) -> &mut Pod {
    validator.pod.as_mut().unwrap()
}

pub(super) fn snapshot(validators: Vec<Validator>) -> Snapshot {
    Snapshot {
        now: at(1000),
        validators,
        unreadable: BTreeSet::new(),
        lists: BTreeMap::new(),
        budgets: BTreeMap::new(),
        slots: BTreeMap::new(),
        paused_namespaces: BTreeSet::new(),
    }
}

/// The list of these, as it was published.
pub(super) fn published(members: &[(&str, &str)]) -> PublishedList {
    let network = Network::parse("testnet");
    let records = members.iter().map(|(name, ip)| PeerRecord {
        node: NodeId::new("stellar", *name),
        port: 11625,
        address: Some(format!("{ip}:11625")),
        since: at(0),
        history: None,
    });
    let list = PeerList::new(at(0), records.collect());
    published_as(PeerList {
        network: Some(network.passphrase().to_owned()),
        ..list
    })
}

/// A list as it was published.
pub(super) fn published_as(list: PeerList) -> PublishedList {
    let network = Network::parse("testnet");
    PublishedList {
        uid: "list".to_owned(),
        resource_version: "1".to_owned(),
        ours: true,
        network: Some(network.short_hash()),
        data: data_of(&list, &network),
        list: Some(list),
    }
}

pub(super) fn with_list(mut snapshot: Snapshot, list: PublishedList) -> Snapshot {
    snapshot.lists.insert(list_id("stellar"), list);
    snapshot
}
