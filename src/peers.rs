//! The list of known peers, the views that validators take of it, and what a pod reports to have loaded.
//!
//! The controller writes the list and reads the reports; `render-config`, inside the validators' pods, reads the list
//! and writes the reports. Both sides live here so that they cannot drift apart. Old init images live for months: fields
//! are only ever added to either format.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest;

/// Version of the format of `peers.json`.
const LIST_FORMAT: u32 = 1;
/// In front of what a view hash is taken over; a new meaning of *view* gets a new one.
const VIEW_FORMAT: &str = "view 1";
/// First word of a report in the one format there is.
const REPORT_FORMAT: &str = "1";
/// The kubelet shares 12,288 bytes among all containers of a pod and cuts the tail silently; this much always fits.
pub const REPORT_LIMIT: usize = 1024;
/// Hexadecimal characters of one peer in a report.
const PEER_HASH_LENGTH: usize = 8;

/// Why a list or a report could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// `peers.json` is not the JSON that it should be.
    #[error("peers.json cannot be read")]
    List(#[from] serde_json::Error),
    /// `peers.json` is of a format that this program does not know.
    #[error("peers.json has format {0}, this program reads format {LIST_FORMAT}")]
    Format(u32),
    /// A node is not written as `namespace/name`.
    #[error("{0:?} is not of the form namespace/name")]
    Node(String),
}

/// Which validator: namespace and name of its StellarNode, written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId {
    /// Namespace of the StellarNode.
    pub namespace: String,
    /// Name of the StellarNode.
    pub name: String,
}

impl NodeId {
    /// The validator of that name in that namespace.
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

/// One member of a peer group, as `peers.json` holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRecord {
    /// The member.
    pub node: NodeId,
    /// Its peer port.
    pub port: u16,
    /// Where to dial it, `host:port`; absent once it has had no pod for longer than the grace period.
    pub address: Option<String>,
    /// Since when it is dialled there.
    pub since: Timestamp,
}

/// The content of `peers.json`: the members of a peer group, sorted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerList {
    /// Format of the document, 1.
    pub format: u32,
    /// When this content was first written; it grows with each change and changes with nothing else.
    pub version: Timestamp,
    /// The members, sorted by node.
    pub members: Vec<PeerRecord>,
}

impl PeerList {
    /// The list of these members, sorted.
    pub fn new(version: Timestamp, mut members: Vec<PeerRecord>) -> Self {
        members.sort_by(|a, b| a.node.cmp(&b.node));
        Self {
            format: LIST_FORMAT,
            version,
            members,
        }
    }

    /// Reads `peers.json`.
    ///
    /// # Errors
    /// When it is not JSON of that shape, or of a format that this program does not know.
    pub fn parse(json: &str) -> Result<Self, PeersError> {
        let list: Self = serde_json::from_str(json)?;
        if list.format == LIST_FORMAT {
            Ok(list)
        } else {
            Err(PeersError::Format(list.format))
        }
    }

    /// The text of `peers.json`: the same bytes for the same list.
    pub fn to_json(&self) -> String {
        // A struct of strings and numbers always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The addresses of all members that have one, sorted, each once.
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

    /// The view that `node` has of this list.
    pub fn view_of(&self, node: &NodeId) -> View {
        View::of(self.others(node).map(|member| (&member.node, member.port)))
    }

    /// The view of every member, by its node: the same as [`Self::view_of`] for each, and cheaper than that.
    pub fn views(&self) -> BTreeMap<NodeId, View> {
        let mut lines: Vec<(String, &NodeId)> = self
            .members
            .iter()
            .map(|member| (View::line(&member.node, member.port), &member.node))
            .collect();
        lines.sort();
        let without = |node: &NodeId| {
            View::of_sorted(
                lines
                    .iter()
                    .filter(|(_, other)| *other != node)
                    .map(|(line, _)| line.as_str()),
            )
        };
        self.members
            .iter()
            .map(|member| (member.node.clone(), without(&member.node)))
            .collect()
    }
}

/// Hash of the *identities* of the other members of a group: who they are and their ports, never their addresses.
///
/// Restarting a validator changes its address and nobody's view: that is what makes restarts converge (rule R2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct View(String);

impl View {
    /// The view of these members, given in any order.
    pub fn of<'a>(members: impl Iterator<Item = (&'a NodeId, u16)>) -> Self {
        let mut lines: Vec<String> = members.map(|(node, port)| Self::line(node, port)).collect();
        lines.sort();
        Self::of_sorted(lines.iter().map(String::as_str))
    }

    fn line(node: &NodeId, port: u16) -> String {
        format!("{node}:{port}")
    }

    fn of_sorted<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let text = lines.fold(VIEW_FORMAT.to_owned(), |mut text, line| {
            text.push('\n');
            text.push_str(line);
            text
        });
        Self(digest::sha256_hex(text.as_bytes()))
    }

    /// The view of somebody who knows nobody.
    pub fn empty() -> Self {
        Self::of(std::iter::empty())
    }

    /// The hash, 64 hexadecimal characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A short hash of one peer and the address at which it is dialled.
pub fn peer_hash(node: &NodeId, address: &str) -> String {
    digest::short_hex(format!("{node} {address}").as_bytes(), PEER_HASH_LENGTH)
}

/// What a pod loaded at its start, as its `render-config` init container tells in its termination message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It loaded a list, or found none.
    Loaded {
        /// The view that it took of the list; [`View::empty`] when there was none.
        view: View,
        /// The list's version; `None` when there was no list.
        version: Option<Timestamp>,
        /// [`peer_hash`] of each peer that it loaded; `None` when they did not fit.
        peers: Option<Vec<String>>,
    },
    /// The list was there and could not be read; it went on with the user's own peers.
    Unreadable,
}

impl Report {
    /// What `node` reports of having loaded this list.
    pub fn of_list(list: &PeerList, node: &NodeId) -> Self {
        let peers = list
            .others(node)
            .filter_map(|member| Some(peer_hash(&member.node, member.address.as_deref()?)))
            .collect();
        Self::Loaded {
            view: list.view_of(node),
            version: Some(list.version),
            peers: Some(peers),
        }
    }

    /// What a node reports that found no list.
    pub fn of_nothing() -> Self {
        Self::Loaded {
            view: View::empty(),
            version: None,
            peers: Some(Vec::new()),
        }
    }

    /// The termination message: at most [`REPORT_LIMIT`] bytes; the peers are left out where they do not fit.
    pub fn to_message(&self) -> String {
        let (view, version, peers) = match self {
            Self::Unreadable => ("-".to_owned(), "-".to_owned(), "-".to_owned()),
            Self::Loaded { view, version, peers } => (
                view.0.clone(),
                version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
                peers
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |peers| format!("={}", peers.concat())),
            ),
        };
        let with_peers = framed(&format!("{view} {version} {peers}"));
        if with_peers.len() <= REPORT_LIMIT {
            with_peers
        } else {
            framed(&format!("{view} {version} -"))
        }
    }

    /// Reads a termination message. `None` when it was cut off or is of a format that this program does not know: such a
    /// report restarts nobody.
    pub fn parse(message: &str) -> Option<Self> {
        let words: Vec<&str> = message.split(' ').collect();
        let [REPORT_FORMAT, length, view, version, peers] = words[..] else {
            return None;
        };
        if length.parse() != Ok(message.len()) {
            return None;
        }
        if view == "-" {
            return Some(Self::Unreadable);
        }
        let version = match version {
            "-" => None,
            text => Some(text.parse().ok()?),
        };
        let peers = match peers.strip_prefix('=') {
            None => None,
            Some(text) if text.is_ascii() && text.len().is_multiple_of(PEER_HASH_LENGTH) => Some(
                text.as_bytes()
                    .chunks(PEER_HASH_LENGTH)
                    .map(|hash| String::from_utf8_lossy(hash).into_owned())
                    .collect(),
            ),
            Some(_) => return None,
        };
        Some(Self::Loaded {
            view: View(view.to_owned()),
            version,
            peers,
        })
    }
}

/// Puts format and total length in front, so that a message that was cut off is known as such.
fn framed(body: &str) -> String {
    let rest = REPORT_FORMAT.len() + 1 + 1 + body.len();
    // The length counts its own digits: at most one step, for adding digits grows it by less than a power of ten.
    let mut length = rest + rest.to_string().len();
    length = rest + length.to_string().len();
    format!("{REPORT_FORMAT} {length} {body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(members: usize) -> PeerList {
        let since = Timestamp::UNIX_EPOCH;
        let members = (0..members)
            .map(|i| PeerRecord {
                node: NodeId::new("stellar", format!("validator-{i}")),
                port: 11625,
                address: Some(format!("10.244.{}.{}:11625", i / 250, i % 250)),
                since,
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
    fn a_report_survives_the_way_at_any_number_of_peers() {
        let node = NodeId::new("stellar", "validator-0");
        for members in [1, 2, 9, 12, 13, 100, 101, 115, 116, 117, 120, 1000] {
            let report = Report::of_list(&list(members), &node);
            let message = report.to_message();
            assert!(message.len() <= REPORT_LIMIT, "{members}: {}", message.len());
            let Some(Report::Loaded { view, version, peers }) = Report::parse(&message) else {
                panic!("{members}: {message}")
            };
            assert_eq!(view, list(members).view_of(&node));
            assert_eq!(version, Some(list(members).version));
            assert!(peers.is_none_or(|peers| peers.len() == members - 1), "{members}");
        }
        for report in [Report::of_nothing(), Report::Unreadable] {
            assert_eq!(Report::parse(&report.to_message()), Some(report));
        }
    }

    #[test]
    fn a_report_that_was_cut_off_is_no_report() {
        let message = Report::of_list(&list(20), &NodeId::new("stellar", "validator-0")).to_message();
        for length in 0..message.len() {
            assert_eq!(Report::parse(&message[..length]), None, "{length}");
        }
        assert_eq!(Report::parse("2 7 later"), None);
        assert_eq!(Report::parse("Error: cannot read"), None);
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
}
