//! What the list of a group says, and what has to be done for its ConfigMap to say it.
//!
//! Pure. Who cannot be read stays as published (rule R5), and equal input gives equal bytes (rule R6).

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::groups::Member;
use crate::controller::model::snapshot::{PublishedList, Snapshot};
use crate::controller::model::times::is_credible;
use crate::core_config::quoted;
use crate::crd::Network;
use crate::labels;
use crate::peers::{NodeId, PeerList, PeerRecord};

/// One environment string is limited to 128 KiB (`MAX_ARG_STRLEN`); above this the env form of the list is left out.
const KNOWN_PEERS_LIMIT: usize = 96 * 1024;

/// What has to be done for a ConfigMap to hold its group's list.
#[derive(Clone, Debug, PartialEq)]
pub enum ListAction {
    /// Nothing: it does, or there is nothing to publish yet.
    Keep,
    /// Its data is to become this.
    Write {
        /// The data, whole.
        data: BTreeMap<String, String>,
        /// Whether somebody else changed the ConfigMap: it does not hold what we write for any list.
        repair: bool,
    },
    /// The ConfigMap belongs to somebody else: it is left alone.
    NotOurs,
}

/// The list of these members, after the one that is published.
pub(crate) fn next(
    snapshot: &Snapshot,
    network: &Network,
    members: &[Member<'_>],
    published: Option<&PublishedList>,
) -> PeerList {
    let before = published.and_then(|published| published.list.as_ref());
    let published_records: BTreeMap<&NodeId, &PeerRecord> = before
        .iter()
        .flat_map(|list| &list.members)
        .map(|record| (&record.node, record))
        .collect();
    let mut records: Vec<PeerRecord> = members
        .iter()
        .map(|member| {
            let node = &member.validator.id;
            let history = match &member.validator.workload {
                Some(workload) => workload.history,
                // One that is missing says nothing.
                None => published_records.get(node).and_then(|record| record.history),
            };
            let unchanged = published_records
                .get(node)
                .copied()
                .filter(|record| record.port == member.record.port && record.address == member.address)
                .filter(|record| record.history == history)
                .filter(|record| is_credible(record.since, snapshot.now));
            unchanged.cloned().unwrap_or_else(|| PeerRecord {
                node: node.clone(),
                port: member.record.port,
                address: member.address.clone(),
                since: member.record.since,
                history,
            })
        })
        .collect();
    // A StellarNode that cannot be parsed neither joins nor leaves.
    records.extend(
        published_records
            .values()
            .filter(|record| snapshot.unreadable.contains(&record.node))
            .map(|record| (*record).clone()),
    );
    let contradicted = published.is_some_and(contradicts_itself);
    let version = before
        .map(|before| before.version)
        .filter(|version| !contradicted && is_credible(*version, snapshot.now))
        .and_then(|version| version.checked_add(SignedDuration::from_micros(1)).ok())
        .map_or(snapshot.now, |next| next.max(snapshot.now));
    let list = PeerList {
        network: Some(network.passphrase().to_owned()),
        ..PeerList::new(version, records)
    };
    match before {
        // Who has read it knows the same members: the version stays.
        Some(before) if before.members == list.members && !contradicted => PeerList {
            version: before.version,
            ..list
        },
        _ => list,
    }
}

/// Whether somebody changed the version of a list, which is written twice.
fn contradicts_itself(published: &PublishedList) -> bool {
    let metadata = published.data.get(labels::DISCOVERY_METADATA);
    let metadata: Option<Value> = metadata.and_then(|json| serde_json::from_str(json).ok());
    let written = metadata
        .as_ref()
        .and_then(|metadata| metadata["discovered_at"].as_str());
    let version = published.list.as_ref().map(|list| list.version.to_string());
    written.is_some() && version.as_deref() != written
}

/// What has to be done for the ConfigMap to hold this list.
pub(crate) fn action(list: &PeerList, network: &Network, published: Option<&PublishedList>) -> ListAction {
    let Some(published) = published else {
        return match list.members.is_empty() {
            true => ListAction::Keep,
            false => ListAction::Write {
                data: data_of(list, network),
                repair: false,
            },
        };
    };
    if !published.ours {
        return ListAction::NotOurs;
    }
    let data = data_of(list, network);
    let of_network = published.network.as_deref() == Some(network.short_hash().as_str());
    if of_network && data == published.data {
        return ListAction::Keep;
    }
    // An earlier program wrote no network: that is no damage.
    let damaged = |before: &PeerList| {
        before.other_network(network.passphrase()).is_some() || data_of(before, network) != published.data
    };
    let repair = published
        .list
        .as_ref()
        .is_none_or(|before| before == list || (of_network && damaged(before)));
    ListAction::Write { data, repair }
}

/// Addresses as stellar-core's config takes them: a TOML array is the only form (`Config.cpp`, `KNOWN_PEERS`).
pub fn known_peers(addresses: &[String]) -> String {
    let quoted: Vec<String> = addresses.iter().map(|address| quoted(address)).collect();
    format!("KNOWN_PEERS=[{}]", quoted.join(","))
}

/// The data of the ConfigMap: a pure function of the list and its network (rule R6).
pub fn data_of(list: &PeerList, network: &Network) -> BTreeMap<String, String> {
    let addresses = list.addresses();
    let metadata = json!({
        "discovered_at": list.version.to_string(),
        "peer_count": addresses.len(),
        "active_validators": list.members.len(),
        "network": network.passphrase(),
    });
    let mut data = BTreeMap::from([
        (
            labels::KNOWN_PEERS_CFG.to_owned(),
            format!("{}\n", known_peers(&addresses)),
        ),
        (labels::PEERS_JSON.to_owned(), list.to_json()),
        (labels::DISCOVERY_METADATA.to_owned(), metadata.to_string()),
    ]);
    let lines = addresses.join("\n");
    if lines.len() <= KNOWN_PEERS_LIMIT {
        data.insert(labels::KNOWN_PEERS.to_owned(), lines);
    }
    data
}
