//! The report of what a pod loaded at its start, in at most 1,024 bytes.

use jiff::Timestamp;

use super::{NodeId, PeerList, View};
use crate::util::digest;

/// First word of a report. There is only one format.
const REPORT_FORMAT: &str = "1";
/// Longest report. The kubelet shares 12,288 bytes among all containers of a pod and truncates silently; this length
/// always fits.
pub const REPORT_LIMIT: usize = 1024;
/// Longest message that the kubelet keeps of one container (`MaxContainerTerminationMessageLength`).
const MESSAGE_LIMIT: usize = 4096;
/// Hexadecimal characters of a peer's hash.
const PEER_HASH_LENGTH: usize = 8;
/// Hexadecimal characters of a view.
const VIEW_LENGTH: usize = 64;
/// Characters of a public key (SEP-23).
const KEY_LENGTH: usize = 56;

/// A short hash of one peer and its address.
pub fn peer_hash(node: &NodeId, address: &str) -> String {
    digest::short_hex(format!("{node} {address}").as_bytes(), PEER_HASH_LENGTH)
}

/// What a pod loaded at its start. Its `render-config` init container writes this as its termination message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The pod loaded a list, or found none.
    Loaded {
        /// View of the list; [`View::empty`] without a list.
        view: View,
        /// Version of the list; `None` without a list.
        version: Option<Timestamp>,
        /// [`peer_hash`] of each loaded peer; `None` if the hashes did not fit.
        peers: Option<Vec<String>>,
    },
    /// The list was unreadable. The pod started with the user's own peers only.
    Unreadable,
}

impl Report {
    /// The report of `node` after it loaded this list.
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

    /// The report of a node that found no list.
    pub fn of_nothing() -> Self {
        Self::Loaded {
            view: View::empty(),
            version: None,
            peers: Some(Vec::new()),
        }
    }

    /// The termination message, with the validator's public key, in at most [`REPORT_LIMIT`] bytes. Leaves out the
    /// peers if they do not fit.
    pub fn to_message(&self, public_key: &str) -> String {
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
        let with_peers = framed(&format!("{view} {version} {peers} {public_key}"));
        if with_peers.len() <= REPORT_LIMIT {
            with_peers
        } else {
            framed(&format!("{view} {version} - {public_key}"))
        }
    }

    /// Parses a termination message. `None` for a truncated message or an unknown format; such a report causes no
    /// restart.
    pub fn parse(message: &str) -> Option<Self> {
        let [view, version, peers, ..] = words(message)?[..] else {
            return None;
        };
        if view == "-" {
            return Some(Self::Unreadable);
        }
        // A pod can write any text.
        if view.len() != VIEW_LENGTH || !is_hex(view) {
            return None;
        }
        let version = match version {
            "-" => None,
            text => Some(text.parse().ok()?),
        };
        let peers = match peers.strip_prefix('=') {
            None => None,
            Some(text) if is_hex(text) && text.len().is_multiple_of(PEER_HASH_LENGTH) => Some(
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

/// The public key in a termination message; `None` if the message is truncated or comes from a program that reported no
/// key.
pub fn reported_public_key(message: &str) -> Option<&str> {
    let key = words(message)?.get(3).copied()?;
    let is_key = key.len() == KEY_LENGTH
        && key
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    is_key.then_some(key)
}

fn is_hex(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.bytes().all(is_digit)
}

/// The words after format and length of a message that is not truncated. Later programs may append words.
fn words(message: &str) -> Option<Vec<&str>> {
    if message.len() > MESSAGE_LIMIT {
        return None;
    }
    let mut words = message.split(' ');
    let whole = words.next() == Some(REPORT_FORMAT) && words.next()?.parse() == Ok(message.len());
    whole.then(|| words.collect())
}

/// Prepends format and total length, so that a reader detects a truncated message.
fn framed(body: &str) -> String {
    let rest = REPORT_FORMAT.len() + 1 + 1 + body.len();
    // The length includes its own digits. One correction is enough: adding a digit never adds a second one.
    let mut length = rest + rest.to_string().len();
    length = rest + length.to_string().len();
    format!("{REPORT_FORMAT} {length} {body}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::tests::list;

    const KEY: &str = "GDKXE2OZMJIPOSLNA6N6F2BVCI3O777I2OOC4BV7VOYUEHYX7RTRYA7Y";

    #[test]
    fn a_report_survives_the_way_at_any_number_of_peers() {
        let node = NodeId::new("stellar", "validator-0");
        for members in [1, 2, 9, 12, 13, 100, 101, 115, 116, 117, 120, 1000] {
            let report = Report::of_list(&list(members), &node);
            let message = report.to_message(KEY);
            assert_eq!(reported_public_key(&message), Some(KEY));
            assert!(message.len() <= REPORT_LIMIT, "{members}: {}", message.len());
            let Some(Report::Loaded { view, version, peers }) = Report::parse(&message) else {
                panic!("{members}: {message}")
            };
            assert_eq!(view, list(members).view_of(&node));
            assert_eq!(version, Some(list(members).version));
            assert!(peers.is_none_or(|peers| peers.len() == members - 1), "{members}");
        }
        for report in [Report::of_nothing(), Report::Unreadable] {
            assert_eq!(Report::parse(&report.to_message(KEY)), Some(report));
        }
    }

    #[test]
    fn reports_of_earlier_and_of_later_programs_are_read() {
        let before = framed("- - -");
        assert_eq!(Report::parse(&before), Some(Report::Unreadable));
        assert_eq!(reported_public_key(&before), None);
        let later = framed(&format!("- - - {KEY} more"));
        assert_eq!(Report::parse(&later), Some(Report::Unreadable));
        assert_eq!(reported_public_key(&later), Some(KEY));
    }

    #[test]
    fn what_is_no_view_or_no_key_is_none() {
        let view = "0".repeat(VIEW_LENGTH);
        assert!(Report::parse(&framed(&format!("{view} - - {KEY}"))).is_some());
        for forged in ["x".repeat(VIEW_LENGTH), "0".repeat(VIEW_LENGTH - 1), "0".repeat(2_000)] {
            assert_eq!(Report::parse(&framed(&format!("{forged} - - {KEY}"))), None);
        }
        for forged in ["", "G", &KEY.to_lowercase(), "\u{1b}[2J", &KEY.repeat(2)] {
            assert_eq!(reported_public_key(&framed(&format!("- - - {forged}"))), None);
        }
    }

    #[test]
    fn a_report_that_was_cut_off_is_no_report() {
        let message = Report::of_list(&list(20), &NodeId::new("stellar", "validator-0")).to_message(KEY);
        for length in 0..message.len() {
            assert_eq!(Report::parse(&message[..length]), None, "{length}");
            assert_eq!(reported_public_key(&message[..length]), None, "{length}");
        }
        assert_eq!(Report::parse("2 7 later"), None);
        assert_eq!(Report::parse("Error: cannot read"), None);
    }
}
