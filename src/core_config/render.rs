//! Base config, seed and peers → `stellar-core.cfg`.
//!
//! Pure: same input, same bytes. The text that comes out holds the seed; nothing else here does.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use toml::{Table, Value};

use super::address::{self, normal_form};
use super::check::check_document;
use super::consensus::{drop_own_entry, mentions};
use super::{ConfigError, Seed, document};
use crate::crd::PeersAs;
use crate::labels;
use crate::peers::{NodeId, PeerList};

/// What a pod says of its config beside the base config, the seed and the peers.
#[derive(Default)]
pub struct Choices<'a> {
    /// As what the peers are written.
    pub peers_as: PeersAs,
    /// stellar-core's `DATABASE` in place of the base config's. It may hold a password: nothing that is said quotes it.
    pub database: Option<&'a str>,
}

impl fmt::Debug for Choices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Choices");
        shown.field("peers_as", &self.peers_as).finish_non_exhaustive()
    }
}

/// The finished config of `node`.
///
/// `own_peers` are the user's own, `list` the discovered ones; the validator itself is left out of both, known by its
/// record in the list, its name in the cluster, or `pod_ip`. One base config serves a whole group: the validator's own
/// `[[VALIDATORS]]` entry is dropped here, and `$self` becomes an alias of the seed where it is used.
///
/// # Errors
/// When stellar-core would refuse the result; no error holds the seed.
pub fn render(
    base: &str,
    seed: &Seed,
    own_peers: &[String],
    list: Option<&PeerList>,
    node: &NodeId,
    pod_ip: Option<Ipv4Addr>,
    choices: &Choices<'_>,
) -> Result<String, ConfigError> {
    let base = document::parse("the base config", base)?;
    let own = seed.public_key();
    let (mut config, dropped) = drop_own_entry(&base, own);
    if let Some(name) = dropped {
        substitute(&mut config, &format!("${name}"), own);
    }
    let peers_key = peers_key(choices.peers_as);
    let mut problems: Vec<String> = ["NODE_SEED", labels::KNOWN_PEERS, peers_key]
        .into_iter()
        .filter(|key| config.contains_key(*key))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|key| format!("the base config holds {key}, which render-config adds itself: remove it there"))
        .collect();
    let peers = known_peers(own_peers, list, node, pod_ip);
    problems.extend(peers.iter().filter_map(|peer| address::problem(peer)));
    if let Some(database) = choices.database {
        problems.extend(database_problem(database));
        config.insert("DATABASE".to_owned(), Value::String(database.to_owned()));
    }
    if !problems.is_empty() {
        return Err(ConfigError::Refused(problems));
    }
    if !peers.is_empty() {
        let peers = peers.into_iter().map(Value::String).collect();
        config.insert(peers_key.to_owned(), Value::Array(peers));
    }
    // stellar-core refuses to name one key twice: where the text names ours already, `$self` becomes the key itself.
    if is_named(&config, own) {
        substitute(&mut config, "$self", own);
    }
    let alias = if mentions(&config, "$self") { " self" } else { "" };
    config.insert(
        "NODE_SEED".to_owned(),
        Value::String(format!("{}{alias}", seed.expose())),
    );
    let problems = check_document(&config, Some(own));
    if problems.is_empty() {
        Ok(document::write(&config))
    } else {
        Err(ConfigError::Refused(problems))
    }
}

/// The key below which the peers are written.
pub(super) fn peers_key(peers_as: PeersAs) -> &'static str {
    match peers_as {
        PeersAs::Known => labels::KNOWN_PEERS,
        PeersAs::Preferred => "PREFERRED_PEERS",
    }
}

/// What is wrong with a `DATABASE`, which is not quoted: it may hold a password (`DatabaseImpl`: soci's backends are
/// `sqlite3` and `postgresql`).
fn database_problem(database: &str) -> Option<String> {
    let known = ["postgresql://", "sqlite3://"];
    if !known.iter().any(|backend| database.starts_with(backend)) {
        return Some(
            "the database's connection string names no database that stellar-core knows: write for example \
             postgresql://dbname=core host=db user=core password=… into the Secret"
                .to_owned(),
        );
    }
    database.contains(char::is_control).then(|| {
        "the database's connection string holds a line break or another control character: write it on one line into the \
         Secret"
            .to_owned()
    })
}

/// The user's peers and the discovered ones, without the validator itself, sorted, each once.
fn known_peers(own_peers: &[String], list: Option<&PeerList>, node: &NodeId, pod_ip: Option<Ipv4Addr>) -> Vec<String> {
    let own_record = list
        .into_iter()
        .flat_map(|list| &list.members)
        .find(|member| member.node == *node)
        .and_then(|member| member.address.as_deref())
        .map(normal_form);
    let is_own = |address: &str| {
        let normal = normal_form(address);
        Some(&normal) == own_record.as_ref()
            || pod_ip.is_some_and(|ip| normal.0 == ip.to_string())
            || is_own_name(&normal.0, node)
    };
    let discovered = list
        .into_iter()
        .flat_map(|list| list.others(node))
        .filter_map(|member| member.address.as_ref());
    let mut peers: Vec<String> = own_peers
        .iter()
        .chain(discovered)
        .filter(|address| !is_own(address))
        .cloned()
        .collect();
    peers.sort();
    peers.dedup_by(|a, b| normal_form(a) == normal_form(b));
    peers
}

/// Whether a host is the validator's own name in the cluster: its pod behind its headless Service, or that Service.
fn is_own_name(host: &str, node: &NodeId) -> bool {
    let service = labels::headless_service_name(&node.name);
    [
        format!("{}-0.{service}.{}", node.name, node.namespace),
        format!("{service}.{}", node.namespace),
    ]
    .iter()
    .any(|name| {
        host == name
            || host
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.starts_with(".svc"))
    })
}

/// Whether some string gives this key a name, as in `G… name`, or an entry of `[[VALIDATORS]]` does.
fn is_named(config: &Table, key: &str) -> bool {
    fn inside(value: &Value, key: &str) -> bool {
        match value {
            Value::String(text) => {
                let mut words = text.split_ascii_whitespace();
                words.next() == Some(key) && words.next().is_some()
            }
            Value::Array(items) => items.iter().any(|item| inside(item, key)),
            Value::Table(table) => is_named(table, key),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => false,
        }
    }
    config.values().any(|value| inside(value, key))
}

/// Replaces every string that is `from`.
fn substitute(config: &mut Table, from: &str, to: &str) {
    fn inside(value: &mut Value, from: &str, to: &str) {
        match value {
            Value::String(text) if text == from => to.clone_into(text),
            Value::Array(items) => items.iter_mut().for_each(|item| inside(item, from, to)),
            Value::Table(table) => substitute(table, from, to),
            Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
        }
    }
    for (_, value) in config.iter_mut() {
        inside(value, from, to);
    }
}
