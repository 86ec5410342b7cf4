//! Base config, seed and peers → `stellar-core.cfg`.
//!
//! Pure: same input, same bytes. Only the resulting text contains the seed.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use toml::{Table, Value};

use super::address::{self, absolute, normal_form};
use super::check::{check_document, set_postgres};
use super::quorum::{drop_own_entry, mentions};
use super::{ConfigError, GroupArchives, Keys, Seed, archives, document};
use crate::crd::PeersAs;
use crate::labels;
use crate::peers::{NodeId, PeerList};

/// The source of stellar-core's `DATABASE`.
#[derive(Clone, Copy, Default)]
pub enum Database<'a> {
    /// The database on the validator's volume, from the base config.
    #[default]
    OnVolume,
    /// A connection string from a Secret. No message quotes it, since it may contain a password.
    Given(&'a str),
    /// A connection string that only the pod may read.
    Withheld,
}

impl fmt::Debug for Database<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnVolume => "OnVolume",
            Self::Given(_) => "Given",
            Self::Withheld => "Withheld",
        })
    }
}

/// The inputs of a config, except the seed.
#[derive(Debug)]
pub struct Sources<'a> {
    pub base: &'a str,
    pub node: &'a NodeId,
    pub own_peers: &'a [String],
    /// The discovered peers, if there is a list.
    pub list: Option<&'a PeerList>,
    /// IP of the validator's pod, to keep the validator out of its own list of peers.
    pub pod_ip: Option<Ipv4Addr>,
    pub peers_as: PeersAs,
    pub database: Database<'a>,
    pub keys: Keys,
    /// The archives of its group, if it uses them.
    pub archives: Option<GroupArchives<'a>>,
}

/// Renders the complete config of a validator.
///
/// The validator's own address is removed from the peers, both the user's and the discovered ones: by its record in the
/// list, its DNS name, or its pod's IP. One base config serves a whole group, so the validator's own `[[VALIDATORS]]`
/// entry is dropped, and `$self` becomes an alias of the seed if it is used. Fails if stellar-core would refuse the
/// result; no error contains the seed.
pub fn render(sources: &Sources<'_>, seed: &Seed) -> Result<String, ConfigError> {
    let own = seed.public_key();
    let mut config = compose(sources, Some(own))?;
    let alias = if mentions(&config, "$self") { " self" } else { "" };
    config.insert(
        "NODE_SEED".to_owned(),
        Value::String(format!("{}{alias}", seed.expose())),
    );
    checked(&config, Some(own), sources.keys)?;
    Ok(document::write(&config))
}

/// The same file without `NODE_SEED`, for readers without access to the seed. Without the public key, the validator's
/// own `[[VALIDATORS]]` entry stays in it.
pub fn preview(sources: &Sources<'_>, public_key: Option<&str>) -> Result<String, ConfigError> {
    let mut config = compose(sources, public_key)?;
    let withheld = matches!(sources.database, Database::Withheld);
    if withheld {
        set_postgres(&mut config);
    }
    checked(&config, public_key, sources.keys)?;
    if withheld {
        config.remove("DATABASE");
    }
    Ok(document::write(&config))
}

/// Builds everything except the seed.
fn compose(sources: &Sources<'_>, own: Option<&str>) -> Result<Table, ConfigError> {
    let mut config = document::parse("the base config", sources.base)?;
    if let Some(own) = own {
        let dropped;
        (config, dropped) = drop_own_entry(&config, own);
        if let Some(name) = dropped {
            substitute(&mut config, &format!("${name}"), own);
        }
    }
    let peers_key = peers_key(sources.peers_as);
    let mut problems: Vec<String> = ["NODE_SEED", labels::KNOWN_PEERS, peers_key]
        .into_iter()
        .filter(|key| config.contains_key(*key))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|key| format!("the base config holds {key}, which render-config adds itself: remove it there"))
        .collect();
    let peers = known_peers(sources);
    problems.extend(sources.own_peers.iter().filter_map(|peer| address::problem(peer)));
    if let Database::Given(database) = sources.database {
        problems.extend(database_problem(database));
        config.insert("DATABASE".to_owned(), Value::String(database.to_owned()));
    }
    if !problems.is_empty() {
        return Err(ConfigError::Refused(problems));
    }
    if let Some(group) = sources.archives {
        archives::add_of_group(&mut config, group, sources.node, sources.list);
    }
    if !peers.is_empty() {
        let peers = peers.into_iter().map(Value::String).collect();
        config.insert(peers_key.to_owned(), Value::Array(peers));
    }
    // stellar-core refuses two names for one key. If the text already names this key, the key itself replaces `$self`.
    if let Some(own) = own
        && is_named(&config, own)
    {
        substitute(&mut config, "$self", own);
    }
    Ok(config)
}

fn checked(config: &Table, own: Option<&str>, keys: Keys) -> Result<(), ConfigError> {
    let mut problems = check_document(config, own, keys).into_vec();
    problems.extend(archives::none_readable(config).map(str::to_owned));
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ConfigError::Refused(problems))
    }
}

/// The key that lists the peers.
pub(super) fn peers_key(peers_as: PeersAs) -> &'static str {
    match peers_as {
        PeersAs::Known => labels::KNOWN_PEERS,
        PeersAs::Preferred => "PREFERRED_PEERS",
    }
}

/// The problem of a `DATABASE`, without a quote, since it may contain a password (`DatabaseImpl`: soci's backends are
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

/// The user's and the discovered peers, without the validator itself, sorted and without duplicates.
fn known_peers(sources: &Sources<'_>) -> Vec<String> {
    let &Sources { node, list, pod_ip, .. } = sources;
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
        .filter_map(|member| member.address.as_ref())
        // stellar-core would fail on an unreadable address.
        .filter(|address| address::problem(address).is_none())
        .map(|address| absolute(address));
    let mut peers: Vec<String> = sources
        .own_peers
        .iter()
        .cloned()
        .chain(discovered)
        .filter(|address| !is_own(address))
        .collect();
    // IP addresses sort before names, whose lookup takes time.
    peers.sort();
    let mut seen = BTreeSet::new();
    peers.retain(|peer| seen.insert(normal_form(peer)));
    peers
}

/// Whether a host is the validator's own DNS name: its pod behind its headless Service, or that Service.
fn is_own_name(host: &str, node: &NodeId) -> bool {
    let service = labels::headless_service_name(&node.name);
    [
        labels::pod_host(&node.name, &node.namespace),
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

/// Whether a string names this key, as in `G… name`.
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

/// Replaces every string equal to `from`.
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
