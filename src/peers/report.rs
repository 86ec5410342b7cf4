//! What a pod reports to have loaded at its start, in 1,024 bytes.

use jiff::Timestamp;

use super::{NodeId, PeerList, View};
use crate::util::digest;

/// First word of a report in the one format there is.
const REPORT_FORMAT: &str = "1";
/// The kubelet shares 12,288 bytes among all containers of a pod and cuts the tail silently; this much always fits.
pub const REPORT_LIMIT: usize = 1024;
/// The kubelet keeps no longer message of one container (`MaxContainerTerminationMessageLength`).
const MESSAGE_LIMIT: usize = 4096;
/// Hexadecimal characters of one peer in a report.
const PEER_HASH_LENGTH: usize = 8;
/// Hexadecimal characters of a view.
const VIEW_LENGTH: usize = 64;
/// Characters of a public key (SEP-23).
const KEY_LENGTH: usize = 56;

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

    /// The termination message, with the validator's public key: at most [`REPORT_LIMIT`] bytes; the peers are left out
    /// where they do not fit.
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

    /// Reads a termination message. `None` when it was cut off or is of a format that this program does not know: such
    /// a report restarts nobody.
    pub fn parse(message: &str) -> Option<Self> {
        let [view, version, peers, ..] = words(message)?[..] else {
            return None;
        };
        if view == "-" {
            return Some(Self::Unreadable);
        }
        // A pod writes what it likes: no other text is a view.
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

/// The public key in a termination message; `None` where it was cut off, or written before keys were reported.
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

/// The words after format and length, of a message that was not cut off. Later programs may add words at the end.
fn words(message: &str) -> Option<Vec<&str>> {
    if message.len() > MESSAGE_LIMIT {
        return None;
    }
    let mut words = message.split(' ');
    let whole = words.next() == Some(REPORT_FORMAT) && words.next()?.parse() == Ok(message.len());
    whole.then(|| words.collect())
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
