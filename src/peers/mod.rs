//! The list of known peers, each validator's view of it, and the report of what a pod loaded.
//!
//! The controller writes the list and reads the reports. `render-config`, inside the validators' pods, reads the list
//! and writes the reports. Both sides share this module, so the formats cannot drift apart. Init images stay in use for
//! months, so either format only ever gains fields.

#![warn(missing_docs)]

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod address;
mod report;
mod view;

pub use address::port_of_address;
pub use report::{REPORT_LIMIT, Report, peer_hash, reported_public_key};
use view::Sum;
pub use view::View;

/// Version of the `peers.json` format.
const LIST_FORMAT: u32 = 1;

/// A list or a report is invalid.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// `peers.json` is not JSON of the expected shape.
    #[error("peers.json cannot be read")]
    List(#[from] serde_json::Error),
    /// `peers.json` has a format that this program does not know.
    #[error("peers.json has format {0}, this program reads format {LIST_FORMAT}")]
    Format(u32),
    /// A node is not in the form `namespace/name`.
    #[error("{0:?} is not of the form namespace/name")]
    Node(String),
}

/// A validator: namespace and name of its StellarNode, written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId {
    /// Namespace of the StellarNode.
    pub namespace: String,
    /// Name of the StellarNode.
    pub name: String,
}

impl NodeId {
    /// The validator `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for NodeId {
    type Err = PeersError;

    fn from_str(text: &str) -> Result<Self, PeersError> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::new(namespace, name))
            }
            _ => Err(PeersError::Node(text.to_owned())),
        }
    }
}

impl TryFrom<String> for NodeId {
    type Error = PeersError;

    fn try_from(text: String) -> Result<Self, PeersError> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(node: NodeId) -> Self {
        node.to_string()
    }
}

/// One member of a peer group in `peers.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRecord {
    /// The validator.
    pub node: NodeId,
    /// Peer port of the validator.
    pub port: u16,
    /// Peer address, `host:port`. It is absent once the validator has had no pod for longer than the grace period.
    pub address: Option<String>,
    /// Since when the member has this address.
    pub since: Timestamp,
    /// Port of the pod's history archive; absent if the pod serves none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<u16>,
}

impl PeerRecord {
    /// Whether the operator could have written this record.
    fn is_sound(&self) -> bool {
        self.port != 0 && self.history != Some(0) && self.address.as_ref().is_none_or(|address| self.is_at(address))
    }

    fn is_at(&self, address: &str) -> bool {
        port_of_address(&self.node, address) == Some(self.port)
    }

    /// Drops the fields that the operator cannot have written. The member stays in the list without them.
    fn believed(self) -> Self {
        Self {
            address: self.address.clone().filter(|address| self.is_at(address)),
            history: self.history.filter(|port| *port != 0),
            ..self
        }
    }
}

/// The content of `peers.json`: the members of a peer group, sorted. Each address has a form that the operator writes,
/// or is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerList<M = PeerRecord> {
    /// Format of the document, 1.
    pub format: u32,
    /// Time of the first write of this content. It grows with each change of the content and only then.
    pub version: Timestamp,
    /// Passphrase of the members' network; absent in lists of older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The members, sorted by node.
    pub members: Vec<M>,
}

impl PeerList {
    /// A list of these members, sorted and without duplicates, without a network. Drops addresses of any other form.
    pub fn new(version: Timestamp, members: Vec<PeerRecord>) -> Self {
        let mut members: Vec<PeerRecord> = members.into_iter().map(PeerRecord::believed).collect();
        members.sort_by(|a, b| a.node.cmp(&b.node));
        members.dedup_by(|a, b| a.node == b.node);
        Self {
            format: LIST_FORMAT,
            version,
            network: None,
            members,
        }
    }

    /// The network of this list, if it differs from `passphrase`: a validator of that network must ignore the list.
    pub fn other_network(&self, passphrase: &str) -> Option<&str> {
        self.network.as_deref().filter(|network| *network != passphrase)
    }

    /// Parses `peers.json` and drops everything that the operator cannot have written. Fails if the text is not JSON of
    /// that shape, or has a format that this program does not know.
    pub fn parse(json: &str) -> Result<Self, PeersError> {
        Ok(Self::parse_noting(json)?.0)
    }

    /// Like [`parse`](Self::parse), with a description of each dropped item.
    pub fn parse_noting(json: &str) -> Result<(Self, Vec<String>), PeersError> {
        let list = match serde_json::from_str::<Self>(json) {
            Ok(list) if list.format != LIST_FORMAT => return Err(PeersError::Format(list.format)),
            Ok(list) if list.is_sound() => return Ok((list, Vec::new())),
            // One bad entry must not cost another one: parse the entries one by one.
            Ok(_) | Err(_) => serde_json::from_str::<PeerList<Value>>(json)?,
        };
        if list.format != LIST_FORMAT {
            return Err(PeersError::Format(list.format));
        }
        let (mut members, mut left_out) = (Vec::new(), Vec::new());
        for entry in list.members {
            let record = serde_json::from_value(entry.clone()).ok();
            match record.filter(|record: &PeerRecord| record.port != 0) {
                Some(record) => {
                    if !record.is_sound() {
                        left_out.push(format!("the address of the entry {}", shown(&entry)));
                    }
                    members.push(record);
                }
                None => left_out.push(format!("the entry {}", shown(&entry))),
            }
        }
        let network = list.network;
        let list = Self {
            network,
            ..Self::new(list.version, members)
        };
        Ok((list, left_out))
    }

    fn is_sound(&self) -> bool {
        let is_sorted = self.members.is_sorted_by(|a, b| a.node < b.node);
        is_sorted && self.members.iter().all(PeerRecord::is_sound)
    }

    /// The text of `peers.json`. Equal lists give equal bytes.
    pub fn to_json(&self) -> String {
        // Serialising a struct of strings and numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// All addresses, sorted and without duplicates.
    pub fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<String> = self
            .members
            .iter()
            .filter_map(|member| member.address.clone())
            .collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }

    /// The members other than `node`.
    pub fn others<'a>(&'a self, node: &'a NodeId) -> impl Iterator<Item = &'a PeerRecord> {
        self.members.iter().filter(move |member| member.node != *node)
    }

    /// Number of members other than `node`.
    pub fn count_others(&self, node: &NodeId) -> usize {
        let is_member = self.members.binary_search_by(|member| member.node.cmp(node)).is_ok();
        self.members.len() - usize::from(is_member)
    }

    /// The view of `node`.
    pub fn view_of(&self, node: &NodeId) -> View {
        View::of(self.others(node).map(|member| (&member.node, member.port)))
    }

    /// The view of every member, by node. Cheaper than [`Self::view_of`] for each.
    pub fn views(&self) -> BTreeMap<NodeId, View> {
        let all = Sum::of(self.members.iter().map(|member| (&member.node, member.port)));
        self.members
            .iter()
            .map(|member| (member.node.clone(), all.without(&member.node, member.port)))
            .collect()
    }
}

/// An entry on one line of bounded length. JSON escapes control characters.
fn shown(entry: &Value) -> String {
    const LONGEST: usize = 120;
    let text: String = entry.to_string().chars().take(LONGEST).collect();
    text.escape_debug().to_string().replace("\\\"", "\"")
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod list_tests;

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn list(members: usize) -> PeerList {
        let since = Timestamp::UNIX_EPOCH;
        let members = (0..members)
            .map(|i| PeerRecord {
                node: NodeId::new("stellar", format!("validator-{i}")),
                port: 11625,
                address: Some(format!("10.244.{}.{}:11625", i / 250, i % 250)),
                since,
                history: None,
            })
            .collect();
        PeerList::new(since, members)
    }

    #[test]
    fn a_view_holds_identities_and_ports_but_no_addresses() {
        let node = NodeId::new("stellar", "validator-0");
        let before = list(4);
        let mut moved = before.clone();
        moved.members[2].address = Some("10.9.9.9:11625".to_owned());
        assert_eq!(before.view_of(&node), moved.view_of(&node));
        let mut other_port = before.clone();
        other_port.members[2].port = 11700;
        assert_ne!(before.view_of(&node), other_port.view_of(&node));
        assert_ne!(before.view_of(&node), list(3).view_of(&node));
        assert_eq!(list(1).view_of(&node), View::empty());
        for (node, view) in before.views() {
            assert_eq!(view, before.view_of(&node));
        }
    }

    #[test]
    fn a_list_is_the_same_bytes_whatever_the_order() {
        let mut shuffled = list(5);
        shuffled.members.reverse();
        assert_eq!(
            PeerList::new(shuffled.version, shuffled.members).to_json(),
            list(5).to_json()
        );
        assert_eq!(PeerList::parse(&list(5).to_json()).unwrap(), list(5));
        assert!(PeerList::parse("{}").is_err());
    }

    #[test]
    fn a_list_without_a_network_is_anybodys_and_its_views_are_those_of_one_that_has_it() {
        let before = list(3);
        assert!(!before.to_json().contains("network"), "as programs wrote it before");
        let after = PeerList {
            network: Some("Private ; 2026".to_owned()),
            ..before.clone()
        };
        assert_eq!(PeerList::parse(&after.to_json()).unwrap(), after);
        assert_eq!(before.views(), after.views());
        assert_eq!(before.other_network("Another ; 2026"), None);
        assert_eq!(after.other_network("Private ; 2026"), None);
        assert_eq!(after.other_network("Another ; 2026"), Some("Private ; 2026"));
    }
}
