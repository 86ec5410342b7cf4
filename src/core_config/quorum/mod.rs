//! Parses the quorum set of a config as `Config::processConfig` does.
//!
//! Parsing continues after an error where possible, so a user sees all errors at once; stellar-core stops at the first.
//! This file has the parts that both forms share; each form has a file of its own.

#[cfg(test)]
pub(super) mod quorum_tests;
pub(crate) mod set;
pub(crate) mod table;
pub(crate) mod tolerance;
mod validators;

use std::collections::{BTreeMap, BTreeSet};

use stellar_strkey::ed25519::PublicKey;
use toml::{Table, Value};

use super::keys::found;
use super::problems::Problems;
use table::{Level, Quality, QuorumSet};

/// Placeholder for the public key of a validator whose seed is not known here.
const SELF: &str = "$self";

/// The quorum set of a config, and its problems.
#[derive(Debug)]
pub(crate) struct Consensus {
    pub(crate) set: Option<QuorumSet>,
    pub(crate) problems: Problems,
    /// Whether every entry was parsed. Problems are then about the set as a whole.
    legible: bool,
}

/// Parses a document as the config of the validator with this public key, or of a validator with an unknown key.
pub(crate) fn examine(document: &Table, own: Option<&str>) -> Consensus {
    let first = Reader::new(document, own.unwrap_or(SELF)).read();
    if own.is_some() || first.problems.is_empty() || !first.legible {
        return first;
    }
    // One text serves a whole group: the validator may be among the listed ones, and its entry is then dropped.
    for key in members(document) {
        let (without, _) = drop_own_entry(document, key);
        let as_member = Reader::new(&without, key).read();
        if as_member.problems.is_empty() {
            return as_member;
        }
    }
    first
}

/// One representative of each kind of listed validators in the validator's home domain. Two validators are of one kind
/// if only their key differs: both with or without an archive, both with or without a reference to their name.
fn members(document: &Table) -> impl Iterator<Item = &str> {
    let home = document.get("NODE_HOME_DOMAIN");
    let mut named = BTreeSet::new();
    for value in document.values() {
        names_in(value, &mut named);
    }
    let mut seen = BTreeSet::new();
    tables(document, "VALIDATORS")
        .into_iter()
        .filter(move |entry| entry.get("HOME_DOMAIN") == home)
        .filter_map(move |entry| {
            let text = |key: &str| entry.get(key).and_then(Value::as_str);
            let has_archive = text("HISTORY").is_some_and(|text| !text.is_empty());
            let is_named = text("NAME").is_some_and(|name| named.contains(name));
            text("PUBLIC_KEY").filter(|_| seen.insert((has_archive, is_named)))
        })
}

/// One representative of each kind of listed home domains. The kind is the quality and the number of validators, up to
/// the three that a high quality needs.
pub(crate) fn kinds_of_domains(document: &Table) -> impl Iterator<Item = &str> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in tables(document, "VALIDATORS") {
        if let Some(home) = entry.get("HOME_DOMAIN").and_then(Value::as_str) {
            *sizes.entry(home).or_default() += 1;
        }
    }
    let mut seen = BTreeSet::new();
    tables(document, "HOME_DOMAINS").into_iter().filter_map(move |entry| {
        let domain = entry.get("HOME_DOMAIN")?.as_str()?;
        let quality = entry.get("QUALITY").and_then(Value::as_str).and_then(Quality::parse);
        let size = sizes.get(domain).copied().unwrap_or_default().min(3);
        seen.insert((quality, size)).then_some(domain)
    })
}

/// The names in strings of the form `$name`.
fn names_in<'a>(value: &'a Value, names: &mut BTreeSet<&'a str>) {
    match value {
        Value::String(text) => names.extend(text.strip_prefix('$')),
        Value::Array(items) => items.iter().for_each(|item| names_in(item, names)),
        Value::Table(table) => table.values().for_each(|value| names_in(value, names)),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

/// Removes the `[[VALIDATORS]]` entry of this key, which stellar-core adds itself and refuses as a duplicate
/// (stellar-core issue 5176). Returns the document and the name in that entry.
pub(crate) fn drop_own_entry(document: &Table, own: &str) -> (Table, Option<String>) {
    let mut document = document.clone();
    let mut name = None;
    if let Some(Value::Array(entries)) = document.get_mut("VALIDATORS") {
        entries.retain(|entry| {
            let is_own = entry.get("PUBLIC_KEY").and_then(Value::as_str) == Some(own);
            if is_own {
                name = entry.get("NAME").and_then(Value::as_str).map(str::to_owned);
            }
            !is_own
        });
        if entries.is_empty() && name.is_some() {
            document.remove("VALIDATORS");
        }
    }
    (document, name)
}

/// Whether any string of the document equals `text`.
pub(crate) fn mentions(document: &Table, text: &str) -> bool {
    fn inside(value: &Value, text: &str) -> bool {
        match value {
            Value::String(string) => string == text,
            Value::Array(items) => items.iter().any(|item| inside(item, text)),
            Value::Table(table) => mentions(table, text),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => false,
        }
    }
    document.values().any(|value| inside(value, text))
}

/// The tables of an array of tables; none if the key is absent or of another type.
fn tables<'a>(document: &'a Table, key: &str) -> Vec<&'a Table> {
    let items = document.get(key).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_table).collect()
}

/// Names of public keys (`VALIDATOR_NAMES`).
#[derive(Clone, Debug, Default)]
struct Names {
    by_key: BTreeMap<String, String>,
    by_name: BTreeMap<String, String>,
    /// Keys in the order of definition.
    order: Vec<String>,
}

impl Names {
    fn key_of(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(String::as_str)
    }

    /// `addValidatorName`.
    fn add(&mut self, key: &str, name: &str) -> Result<(), String> {
        if self.key_of(name).is_some() {
            return Err(format!(
                "the name {name:?} is given twice: give each validator a name of its own, once"
            ));
        }
        if let Some(other) = self.by_key.get(key) {
            return Err(format!("{key} is named twice, {other:?} and {name:?}: keep one"));
        }
        self.by_key.insert(key.to_owned(), name.to_owned());
        self.by_name.insert(name.to_owned(), key.to_owned());
        self.order.push(key.to_owned());
        Ok(())
    }

    /// Removes all names except the first `count`.
    fn truncate(&mut self, count: usize) {
        for key in self.order.drain(count..) {
            if let Some(name) = self.by_key.remove(&key) {
                self.by_name.remove(&name);
            }
        }
    }
}

struct Reader<'a> {
    document: &'a Table,
    own: &'a str,
    names: Names,
    problems: Problems,
}

impl<'a> Reader<'a> {
    fn new(document: &'a Table, own: &'a str) -> Self {
        Self {
            document,
            own,
            names: Names::default(),
            problems: Problems::default(),
        }
    }

    fn read(mut self) -> Consensus {
        for text in self.strings("NODE_NAMES") {
            self.node_id("NODE_NAMES", text);
        }
        if mentions(self.document, "$self") && !self.names.by_key.contains_key(self.own) {
            // The alias that `render` adds after the seed.
            let named = self.names.add(self.own, "self");
            self.note(named);
        }
        let domains = self.domains();
        let mut entries = self.validators(&domains);
        let has_set = self.document.contains_key("QUORUM_SET");
        if !(entries.is_empty() && has_set) {
            self.add_self(&mut entries, &domains);
        }
        for key in ["PREFERRED_PEER_KEYS", "SURVEYOR_KEYS"] {
            for text in self.strings(key) {
                self.node_id(key, text);
            }
        }
        let legible = self.problems.is_empty();
        let listed = !entries.is_empty();
        let generated = if listed {
            QuorumSet::generate(&entries)
        } else {
            Ok(QuorumSet::default())
        };
        let generated = generated.map_err(|problem| self.problems.push(problem)).ok();
        let (set, level) = match self.document.get("QUORUM_SET") {
            Some(table) => {
                let set = self.quorum_set("QUORUM_SET", table, 0);
                if listed && !self.is_unsafe() && set != generated {
                    self.problems.push(
                        "QUORUM_SET and VALIDATORS are both given and differ: keep one of them, or set \
                         UNSAFE_QUORUM=true"
                            .to_owned(),
                    );
                }
                (set, Level::Byzantine)
            }
            None => {
                self.check_generated(&entries, generated.as_ref());
                let homes: BTreeSet<&str> = entries.iter().map(|entry| entry.home_domain.as_str()).collect();
                let level = if homes.len() > 1 {
                    Level::Byzantine
                } else {
                    Level::SimpleMajority
                };
                (generated, level)
            }
        };
        if self.problems.is_empty()
            && let Some(set) = &set
        {
            self.validate(set, level);
        }
        Consensus {
            set,
            problems: self.problems,
            legible,
        }
    }

    fn note(&mut self, result: Result<(), String>) {
        if let Err(problem) = result {
            self.problems.push(problem);
        }
    }

    fn is_unsafe(&self) -> bool {
        self.document
            .get("UNSAFE_QUORUM")
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// The strings of an array. The check of types reports other elements.
    fn strings(&self, key: &str) -> Vec<&'a str> {
        let items = self.document.get(key).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// `parseNodeID`: `G…`, `G… name` or `$name`.
    fn node_id(&mut self, place: &str, text: &str) -> Option<String> {
        if let Some(name) = text.strip_prefix('$') {
            if name == "self" {
                return Some(self.own.to_owned());
            }
            let key = self.names.key_of(name).map(str::to_owned);
            if key.is_none() {
                self.problems.push(format!(
                    "{place}: no validator has the name {name:?}: define it before, as \"G… {name}\" in NODE_NAMES, or write \
                     the public key"
                ));
            }
            return key;
        }
        let mut words = text.split_ascii_whitespace();
        let key = words.next().unwrap_or_default();
        if let Some(problem) = key_problem(key) {
            self.problems.push(format!("{place}: {problem}"));
            return None;
        }
        if let Some(name) = words.next() {
            let named = self.names.add(key, name);
            self.note(named.map_err(|problem| format!("{place}: {problem}")));
        }
        Some(key.to_owned())
    }

    fn wrong_type(&mut self, place: &str, key: &str, value: &Value) {
        self.problems.push(format!(
            "{place}: {key} is {}: write a string in double quotes",
            found(value)
        ));
    }

    /// Reports a key in the wrong place; usually a top-level key after a table.
    fn unknown_key(&mut self, place: &str, key: &str, known: &str) {
        self.problems.push(if super::keys::is_known(key) {
            format!("{key} comes after {place} and so belongs to it: move it above the first line that starts with '['")
        } else {
            format!("{place} has no key {key:?}: it takes {known}")
        });
    }

    fn table_array(&mut self, key: &str) -> Vec<&'a Table> {
        match self.document.get(key) {
            None => Vec::new(),
            Some(Value::Array(items)) if !items.is_empty() && items.iter().all(Value::is_table) => {
                tables(self.document, key)
            }
            Some(other) => {
                self.problems.push(format!(
                    "{key} is {}: write each entry as a table below [[{key}]]",
                    found(other)
                ));
                Vec::new()
            }
        }
    }
}

/// The problem of a public key, or `None`.
fn key_problem(key: &str) -> Option<String> {
    if key.starts_with('S') && key.len() == 56 {
        return Some("this is a secret seed and not a public key (G…): remove it, and create a new seed".to_owned());
    }
    let error = PublicKey::from_string(key).err()?;
    Some(format!(
        "{key:?} is not a public key (G followed by 55 characters): {error}"
    ))
}
