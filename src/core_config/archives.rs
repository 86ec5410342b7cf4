//! The history archives of a validator's config: which ones it reads, where it publishes, and whether stellar-core
//! starts with them.
//!
//! stellar-core does not start without a readable archive (`HistoryArchiveManager::checkSensibleConfig`), and a
//! validator catches up after a long absence only through an archive that is really written. SDF's networks have public
//! archives. A validator of a private network that names none publishes to its own volume and reads from the other
//! members of its group.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::captive::history_archives;
use super::problems::Problems;
use super::{Keys, document, pod_paths};
use crate::crd::{HistoryCommands, Network, Publish, ValidatorConfig};
use crate::kubernetes::names::is_dns_label;
use crate::labels;
use crate::peers::{NodeId, PeerList, PeerRecord};

/// The table with a config's archives.
const HISTORY: &str = "HISTORY";
/// Name of the archive on the validator's own volume.
pub const VOLUME: &str = "volume";
/// Name of the archive that `history.commands` writes.
const COMMANDS: &str = "commands";
/// Most archives of other members in a config: one that answers is enough, and stellar-core tries them one by one.
const MOST_MEMBERS: usize = 16;
/// `MAX_SLOTS_TO_REMEMBER` of a private network. Peers resend as many ledgers to a validator that was away, at most
/// 100.
const SLOTS: i64 = 120;
/// The keys of parallel ledger apply, newest name first: a later version may accept and ignore an older name.
const PARALLEL_APPLY: [&str; 2] = ["PARALLEL_LEDGER_APPLY", "EXPERIMENTAL_PARALLEL_LEDGER_APPLY"];

/// A validator's part in the archives of its group.
#[derive(Clone, Copy, Debug)]
pub struct GroupArchives<'a> {
    /// Directory of the archive on the validator's own volume.
    pub dir: &'a str,
    /// The cluster domain, for the names of the other members.
    pub cluster_domain: &'a str,
}

/// Where a validator publishes history, by its settings or by default.
///
/// The default is its own volume on a private network if it names no archive to read from, otherwise nowhere.
pub fn publishes(config: &ValidatorConfig, network: &Network) -> Publish {
    match &config.history {
        Some(history) => history.publish,
        None if network.is_private() && !has_readable(&texts(config)) => Publish::Volume,
        None => Publish::None,
    }
}

/// Names of the archives that a validator writes; each must be initialised once (`stellar-core new-hist`).
pub fn published(config: &ValidatorConfig, network: &Network) -> Vec<String> {
    let own = match publishes(config, network) {
        Publish::Volume => Some(VOLUME.to_owned()),
        Publish::Commands => Some(COMMANDS.to_owned()),
        Publish::None => None,
    };
    let texts = texts(config);
    let given = tables(&texts).filter(|(_, archive)| archive.contains_key("put"));
    own.into_iter().chain(given.map(|(name, _)| name.clone())).collect()
}

/// Whether `coreConfig` uses the name of the archive on the volume for another one.
pub fn takes_name_of_volume(config: &ValidatorConfig) -> bool {
    tables(&texts(config)).any(|(name, _)| name == VOLUME)
}

/// The archives of the settings and the network, as a table `HISTORY`, without those of the pod.
pub(super) fn of_settings(config: &ValidatorConfig, network: &Network) -> Table {
    let mut archives = Table::new();
    if config.enable_history_archive {
        for (number, url) in config.history_archive_urls.iter().enumerate() {
            archives.insert(format!("h{}", number + 1), fetched_from(url));
        }
    }
    if archives.is_empty() && !is_readable_alone(&texts(config)) {
        for (number, url) in history_archives(network).iter().enumerate() {
            archives.insert(format!("sdf{}", number + 1), fetched_from(url));
        }
    }
    let commands = config.history.as_ref().and_then(|history| history.commands.as_ref());
    if let (Some(commands), Publish::Commands) = (commands, publishes(config, network)) {
        archives.insert(COMMANDS.to_owned(), by_commands(commands));
    }
    match archives.is_empty() {
        true => Table::new(),
        false => Table::from_iter([(HISTORY.to_owned(), Value::Table(archives))]),
    }
}

/// Adds the archive on the validator's own volume, and those of other members of its group. An archive of the config
/// with the same name takes precedence.
pub(super) fn add_of_group(config: &mut Table, group: GroupArchives<'_>, node: &NodeId, list: Option<&PeerList>) {
    let taken: Vec<String> = named_by_validators(config).map(str::to_owned).collect();
    let Value::Table(archives) = config
        .entry(HISTORY.to_owned())
        .or_insert_with(|| Value::Table(Table::new()))
    else {
        return;
    };
    let members = list.map(|list| others(list, node)).unwrap_or_default();
    let members = members
        .into_iter()
        .filter_map(|member| of_member(member, node, group.cluster_domain));
    for (name, archive) in std::iter::once((VOLUME.to_owned(), on_volume(group.dir))).chain(members) {
        if !archives.contains_key(&name) && !taken.contains(&name) {
            archives.insert(name, archive);
        }
    }
}

/// Sets keys that let a validator of a private network return after minutes without an archive: it remembers more
/// ledgers and applies them one by one, which is cheap for small ledgers. A key that the user sets stays.
///
/// With parallel ledger apply, a node takes only 12 ledgers at a time from its peers and then waits for an archive
/// (`LedgerApplyManagerImpl`).
pub(super) fn add_memory(config: &mut Table, network: &Network, keys: Keys) {
    if !network.is_private() {
        return;
    }
    let mut default = |key: &str, value: Value| {
        if !config.contains_key(key) {
            config.insert(key.to_owned(), value);
        }
    };
    default("MAX_SLOTS_TO_REMEMBER", Value::Integer(SLOTS));
    if let Some(key) = PARALLEL_APPLY.into_iter().find(|key| keys.knows(key) == Some(true)) {
        default(key, Value::Boolean(false));
    }
}

/// The errors of stellar-core about the archives of a complete config.
pub(super) fn problems(config: &Table) -> Problems {
    let mut problems = Problems::default();
    for (name, archive) in tables(config) {
        let has = |key: &str| {
            archive
                .get(key)
                .and_then(Value::as_str)
                .is_some_and(|text| !text.is_empty())
        };
        if !has("get") {
            problems.push(match has("put") {
                true => format!("[HISTORY.{name}] has put and no get, which stellar-core refuses: add get"),
                false => format!(
                    "[HISTORY.{name}] has neither get nor put, which stellar-core refuses: add get, or remove it"
                ),
            });
        }
        for (key, files) in [("get", 2), ("put", 2), ("mkdir", 1)] {
            if let Some(text) = archive.get(key).and_then(Value::as_str) {
                problems.extend(command_problem(&format!("HISTORY.{name}.{key}"), text, files));
            }
        }
    }
    for entry in validators(config) {
        if let Some(text) = entry.get(HISTORY).and_then(Value::as_str) {
            let name = entry.get("NAME").and_then(Value::as_str).unwrap_or_default();
            problems.extend(command_problem(&format!("HISTORY of VALIDATORS {name:?}"), text, 2));
        }
    }
    let history: BTreeSet<&str> = tables(config).map(|(name, _)| name.as_str()).collect();
    let twice = named_by_validators(config).filter(|name| history.contains(name));
    problems.extend(twice.map(|name| {
        format!("HISTORY.{name} has the name of an entry of VALIDATORS with an archive, which stellar-core refuses: give it another")
    }));
    problems
}

/// The message for a complete config without a readable archive; `None` if it has one.
pub(super) fn none_readable(config: &Table) -> Option<&'static str> {
    let standalone = config.get("RUN_STANDALONE").and_then(Value::as_bool) == Some(true);
    (!standalone && !has_readable(config)).then_some(NONE_READABLE)
}

/// The message for a config without a readable archive.
pub const NONE_READABLE: &str = "no history archive can be read, and stellar-core does not start without one: write \
     historyArchiveUrls with enableHistoryArchive: true, or history.publish: Volume";

/// The problem of a command with the placeholders {0} and {1} for files, in the syntax of fmt (`HistoryArchive.cpp`,
/// `formatString`).
pub fn command_problem(place: &str, text: &str, files: u8) -> Option<String> {
    let known: Vec<String> = (0..files).map(|number| format!("{{{number}}}")).collect();
    let wrong = |what: &str| {
        let known = known.join(" and ");
        Some(format!(
            "{place}: {what}, which stellar-core refuses: write {known} for the files, and {{{{ or }}}} for a brace"
        ))
    };
    if text.chars().any(char::is_control) {
        return Some(format!(
            "{place}: it holds a line break or another control character: write one line"
        ));
    }
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            rest = after;
            continue;
        }
        if rest.starts_with('}') {
            return wrong("it has a } without {");
        }
        let Some((field, after)) = rest[1..].split_once('}') else {
            return wrong("it has a { without }");
        };
        match field.parse::<u8>() {
            Ok(number) if number < files && field.len() == 1 => rest = after,
            _ => return wrong(&format!("it has {{{}}}", field.chars().take(20).collect::<String>())),
        }
    }
    None
}

/// The settings of a validator that can name archives, as one config; empty if they are not TOML.
fn texts(config: &ValidatorConfig) -> Table {
    let parsed = |text: &Option<String>| {
        let text = text.as_deref().filter(|text| text.contains(HISTORY));
        text.and_then(|text| document::parse_given("the text", text).ok())
            .unwrap_or_default()
    };
    let mut all = parsed(&config.quorum_set);
    all.remove(HISTORY);
    if let Some(history) = parsed(&config.core_config).remove(HISTORY) {
        all.insert(HISTORY.to_owned(), history);
    }
    if config.enable_history_archive && !config.history_archive_urls.is_empty() {
        let given = all
            .entry(HISTORY.to_owned())
            .or_insert_with(|| Value::Table(Table::new()));
        if let (Value::Table(given), Some(url)) = (given, config.history_archive_urls.first()) {
            given.insert("h1".to_owned(), fetched_from(url));
        }
    }
    all
}

fn tables(config: &Table) -> impl Iterator<Item = (&String, &Table)> {
    let archives = config.get(HISTORY).and_then(Value::as_table).into_iter().flatten();
    archives.filter_map(|(name, archive)| Some((name, archive.as_table()?)))
}

fn validators(config: &Table) -> impl Iterator<Item = &Table> {
    let entries = config.get("VALIDATORS").and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(Value::as_table)
}

/// Names of the `VALIDATORS` entries with an archive, which are also the names of these archives.
fn named_by_validators(config: &Table) -> impl Iterator<Item = &str> {
    let with_archive = validators(config).filter(|entry| is_text(entry.get(HISTORY)));
    with_archive.filter_map(|entry| entry.get("NAME")?.as_str())
}

fn is_text(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}

fn has_readable(config: &Table) -> bool {
    tables(config).any(|(_, archive)| is_text(archive.get("get"))) || named_by_validators(config).next().is_some()
}

/// Whether the config has a read-only archive, which stellar-core prefers to those that it writes.
fn is_readable_alone(config: &Table) -> bool {
    let read = |archive: &Table| is_text(archive.get("get")) && !is_text(archive.get("put"));
    tables(config).any(|(_, archive)| read(archive)) || named_by_validators(config).next().is_some()
}

fn fetched_from(url: &str) -> Value {
    archive(&[("get", format!("curl -sf {}/{{0}} -o {{1}}", url.trim_end_matches('/')))])
}

fn on_volume(dir: &str) -> Value {
    archive(&[
        ("get", format!("cp {dir}/{{0}} {{1}}")),
        ("put", format!("cp {{0}} {dir}/{{1}}")),
        ("mkdir", format!("mkdir -p {dir}/{{0}}")),
    ])
}

fn by_commands(commands: &HistoryCommands) -> Value {
    let mut all = vec![("get", commands.get.clone()), ("put", commands.put.clone())];
    all.extend(commands.mkdir.clone().map(|mkdir| ("mkdir", mkdir)));
    archive(&all)
}

fn archive(commands: &[(&str, String)]) -> Value {
    let commands = commands.iter();
    Value::Table(
        commands
            .map(|(key, text)| ((*key).to_owned(), Value::String(text.clone())))
            .collect(),
    )
}

/// The other members with an archive, starting with the one after this validator, so that members spread their
/// requests.
fn others<'a>(list: &'a PeerList, node: &'a NodeId) -> Vec<&'a PeerRecord> {
    let (before, after): (Vec<_>, Vec<_>) = list
        .others(node)
        .filter(|member| member.history.is_some())
        .partition(|member| member.node < *node);
    after.into_iter().chain(before).take(MOST_MEMBERS).collect()
}

/// The archive of another member, at the stable name of its pod. The name is absolute, so a resolver tries no search
/// domains.
fn of_member(member: &PeerRecord, node: &NodeId, domain: &str) -> Option<(String, Value)> {
    let NodeId { namespace, name } = &member.node;
    let port = member.history?;
    // Other accounts may also write the list, so only valid names become part of a command.
    if !is_dns_label(namespace) || !is_dns_label(name) {
        return None;
    }
    let host = format!("{}.svc.{domain}.", labels::pod_host(name, namespace));
    let get = format!("curl -sf --connect-timeout 3 --max-time 120 http://{host}:{port}/{{0}} -o {{1}}");
    let called = match *namespace == node.namespace {
        true => format!("peer-{name}"),
        false => format!("peer-{namespace}-{name}"),
    };
    Some((called, archive(&[("get", get)])))
}

/// The archive on the volume of a validator's pod, for rules that run outside of the pod.
pub(super) const IN_POD: GroupArchives<'static> = GroupArchives {
    dir: pod_paths::HISTORY_DIR,
    cluster_domain: "cluster.local",
};

#[cfg(test)]
#[path = "archives_tests.rs"]
mod tests;
