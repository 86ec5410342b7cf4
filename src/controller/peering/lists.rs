//! The content of a group's peer list, and the write that its ConfigMap needs.
//!
//! Pure. A StellarNode that cannot be parsed keeps its published entry (rule R5). Equal input gives equal bytes (rule
//! R6).

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

/// An environment variable is limited to 128 KiB (`MAX_ARG_STRLEN`). Above this limit the list has no environment form.
const KNOWN_PEERS_LIMIT: usize = 96 * 1024;

/// The write that a ConfigMap needs to hold its group's list.
#[derive(Clone, Debug, PartialEq)]
pub enum ListAction {
    /// None: the ConfigMap is up to date, or there is nothing to publish yet.
    Keep,
    /// Replace its data.
    Write {
        data: BTreeMap<String, String>,
        /// Whether the ConfigMap was changed by others: its data is not what we write for any list.
        repair: bool,
    },
    /// The ConfigMap is not ours and stays untouched.
    NotOurs,
}

/// Builds the list of these members, as the successor of the published one.
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
                // Without its StatefulSet, the published port stays.
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
        // The members are the same, so the version stays.
        Some(before) if before.members == list.members && !contradicted => PeerList {
            version: before.version,
            ..list
        },
        _ => list,
    }
}

/// Whether the version, which is written twice, was edited in one place.
fn contradicts_itself(published: &PublishedList) -> bool {
    let metadata = published.data.get(labels::DISCOVERY_METADATA);
    let metadata: Option<Value> = metadata.and_then(|json| serde_json::from_str(json).ok());
    let written = metadata
        .as_ref()
        .and_then(|metadata| metadata["discovered_at"].as_str());
    let version = published.list.as_ref().map(|list| list.version.to_string());
    written.is_some() && version.as_deref() != written
}

/// The write that the ConfigMap needs to hold this list.
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
    // Earlier versions wrote no network: that is no damage.
    let damaged = |before: &PeerList| {
        before.other_network(network.passphrase()).is_some() || data_of(before, network) != published.data
    };
    let repair = published
        .list
        .as_ref()
        .is_none_or(|before| before == list || (of_network && damaged(before)));
    ListAction::Write { data, repair }
}

/// `KNOWN_PEERS` for stellar-core's config: a TOML array is the only form that it accepts (`Config.cpp`).
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
