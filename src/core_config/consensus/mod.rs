//! The part of a config that says whom a validator trusts, read as `Config::processConfig` reads it.
//!
//! Reading goes on after a problem where it can, so that a user hears of all of them at once; stellar-core ends at the
//! first. Here is what both ways to say it have in common; each has a file below this.

mod quorum_set;
mod validators;

use std::collections::{BTreeMap, BTreeSet};

use stellar_strkey::ed25519::PublicKey;
use toml::{Table, Value};

use super::keys::found;
use super::quorum::{Level, QuorumSet};

/// Stands for the public key of a validator whose seed is not known here.
const SOMEBODY: &str = "$self";

/// The quorum set of a config, and what stellar-core would not like about it.
#[derive(Debug)]
pub(super) struct Consensus {
    /// The set, where there is one.
    pub(super) set: Option<QuorumSet>,
    /// What is wrong, each with what to write instead.
    pub(super) problems: Vec<String>,
    /// Whether every entry was understood; problems are then about the set as a whole.
    legible: bool,
}

/// Reads a document as the config of the validator with this public key, or of one that is not known yet.
pub(super) fn examine(document: &Table, own: Option<&str>) -> Consensus {
    let first = Reader::new(document, own.unwrap_or(SOMEBODY)).read();
    if own.is_some() || first.problems.is_empty() || !first.legible {
        return first;
    }
    // One text serves a whole group: the validator may be one of those that it lists, and its entry is dropped then.
    let home = document.get("NODE_HOME_DOMAIN");
    let listed = tables(document, "VALIDATORS")
        .into_iter()
        .filter(|entry| entry.get("HOME_DOMAIN") == home)
        .filter_map(|entry| entry.get("PUBLIC_KEY")?.as_str());
    for key in listed {
        let (without, _) = drop_own_entry(document, key);
        let as_member = Reader::new(&without, key).read();
        if as_member.problems.is_empty() {
            return as_member;
        }
    }
    first
}

/// The document without the `[[VALIDATORS]]` entry of this key, which stellar-core adds by itself and refuses to see
/// twice (stellar-core issue 5176), and the name that the entry had.
pub(super) fn drop_own_entry(document: &Table, own: &str) -> (Table, Option<String>) {
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

/// Whether any string in the document is this one.
pub(super) fn mentions(document: &Table, text: &str) -> bool {
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

/// The tables of an array of tables; none where the key is absent or something else.
fn tables<'a>(document: &'a Table, key: &str) -> Vec<&'a Table> {
    let items = document.get(key).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_table).collect()
}

/// Names given to public keys (`VALIDATOR_NAMES`).
#[derive(Clone, Debug, Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn key_of(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(_, given)| *given == name)
            .map(|(key, _)| key.as_str())
    }

    /// `addValidatorName`.
    fn add(&mut self, key: &str, name: &str) -> Result<(), String> {
        if self.key_of(name).is_some() {
            return Err(format!(
                "the name {name:?} is given twice: give each validator a name of its own, once"
            ));
        }
        if let Some(other) = self.0.get(key) {
            return Err(format!("{key} is named twice, {other:?} and {name:?}: keep one"));
        }
        self.0.insert(key.to_owned(), name.to_owned());
        Ok(())
    }
}

struct Reader<'a> {
    document: &'a Table,
    own: &'a str,
    names: Names,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(document: &'a Table, own: &'a str) -> Self {
        Self {
            document,
            own,
            names: Names::default(),
            problems: Vec::new(),
        }
    }

    fn read(mut self) -> Consensus {
        for text in self.strings("NODE_NAMES") {
            let mut names = std::mem::take(&mut self.names);
            self.node_id("NODE_NAMES", text, &mut names);
            self.names = names;
        }
        if mentions(self.document, "$self") && !self.names.0.contains_key(self.own) {
            // The alias that `render` puts behind the seed.
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
                let mut names = std::mem::take(&mut self.names);
                self.node_id(key, text, &mut names);
                self.names = names;
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
                        "QUORUM_SET and VALIDATORS are both given and say different things: keep one of them, or set \
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

    /// The strings of an array; other elements are told of by the check of types.
    fn strings(&self, key: &str) -> Vec<&'a str> {
        let items = self.document.get(key).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// `parseNodeID`: `G…`, `G… name` or `$name`.
    fn node_id(&mut self, place: &str, text: &str, names: &mut Names) -> Option<String> {
        if let Some(name) = text.strip_prefix('$') {
            if name == "self" {
                return Some(self.own.to_owned());
            }
            let key = names.key_of(name).map(str::to_owned);
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
            let named = names.add(key, name);
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

    /// A key that does not belong there; most often one of the top level behind a table.
    fn unknown_key(&mut self, place: &str, key: &str, known: &str) {
        self.problems.push(if super::keys::is_known(key) {
            format!(
                "{key} stands behind {place} and so belongs to it: move it above the first line that starts with '['"
            )
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

/// What is wrong with a public key, or `None`.
fn key_problem(key: &str) -> Option<String> {
    if key.starts_with('S') && key.len() == 56 {
        return Some(
            "a secret seed stands where a public key (G…) belongs: take it out, and make a new seed".to_owned(),
        );
    }
    let error = PublicKey::from_string(key).err()?;
    Some(format!(
        "{key:?} is no public key (G followed by 55 characters): {error}"
    ))
}
