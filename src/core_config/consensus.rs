//! The part of a config that says whom a validator trusts, read as `Config::processConfig` reads it.
//!
//! Reading goes on after a problem where it can, so that a user hears of all of them at once; stellar-core ends at the
//! first.

use std::collections::{BTreeMap, BTreeSet};

use stellar_strkey::ed25519::PublicKey;
use toml::{Table, Value};

use super::keys::found;
use super::quorum::{DEEPEST, Entry, Level, Quality, QuorumSet};

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

    /// `parseDomainsQuality`.
    fn domains(&mut self) -> BTreeMap<String, Quality> {
        let mut domains = BTreeMap::new();
        for entry in self.table_array("HOME_DOMAINS") {
            let mut domain = None;
            let mut quality = None;
            for (key, value) in entry {
                match (key.as_str(), value.as_str()) {
                    ("HOME_DOMAIN", Some(text)) => domain = Some(text).filter(|text| !text.is_empty()),
                    ("QUALITY", Some(text)) => quality = self.quality("HOME_DOMAINS", text),
                    ("HOME_DOMAIN" | "QUALITY", None) => self.wrong_type("HOME_DOMAINS", key, value),
                    _ => self.unknown_key("[[HOME_DOMAINS]]", key, "HOME_DOMAIN and QUALITY"),
                }
            }
            match (domain, quality) {
                (Some(domain), Some(quality)) => {
                    if domains.insert(domain.to_owned(), quality).is_some() {
                        self.problems
                            .push(format!("HOME_DOMAINS: {domain:?} is there twice: keep one"));
                    }
                }
                _ => self.problems.push(format!(
                    "HOME_DOMAINS: an entry{} lacks HOME_DOMAIN or QUALITY: give both",
                    domain.map_or_else(String::new, |domain| format!(" for {domain:?}"))
                )),
            }
        }
        domains
    }

    fn quality(&mut self, place: &str, text: &str) -> Option<Quality> {
        let quality = Quality::parse(text);
        if quality.is_none() {
            self.problems.push(format!(
                "{place}: QUALITY is {text:?}: write LOW, MEDIUM, HIGH or CRITICAL"
            ));
        }
        quality
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

    /// `parseValidators`.
    fn validators(&mut self, domains: &BTreeMap<String, Quality>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for table in self.table_array("VALIDATORS") {
            let before = self.problems.len();
            for (key, value) in table {
                match key.as_str() {
                    "NAME" | "HOME_DOMAIN" | "QUALITY" | "PUBLIC_KEY" | "ADDRESS" | "HISTORY" => {
                        if !value.is_str() {
                            self.wrong_type("VALIDATORS", key, value);
                        }
                    }
                    _ => self.unknown_key(
                        "[[VALIDATORS]]",
                        key,
                        "NAME, HOME_DOMAIN, QUALITY, PUBLIC_KEY, ADDRESS and HISTORY",
                    ),
                }
            }
            let text = |key: &str| table.get(key).and_then(Value::as_str).unwrap_or_default();
            let (name, home_domain, key) = (text("NAME"), text("HOME_DOMAIN"), text("PUBLIC_KEY"));
            let place = format!("VALIDATORS {name:?}");
            for needed in ["NAME", "HOME_DOMAIN", "PUBLIC_KEY"] {
                if text(needed).is_empty() {
                    self.problems.push(format!("{place}: {needed} is missing"));
                }
            }
            let own_quality = match text("QUALITY") {
                "" => None,
                quality => self.quality(&place, quality),
            };
            let quality = match (domains.get(home_domain), own_quality) {
                (Some(_), Some(_)) => {
                    self.problems.push(format!(
                        "{place}: QUALITY is given here and in HOME_DOMAINS {home_domain:?}: keep the latter"
                    ));
                    None
                }
                (Some(quality), None) => Some(*quality),
                (None, Some(quality)) => Some(quality),
                (None, None) => {
                    self.problems.push(format!(
                        "{place}: it has no quality: add [[HOME_DOMAINS]] with HOME_DOMAIN={home_domain:?} and QUALITY"
                    ));
                    None
                }
            };
            if !key.is_empty() {
                match key_problem(key) {
                    Some(problem) => self.problems.push(format!("{place}: PUBLIC_KEY: {problem}")),
                    None => {
                        let named = self.names.add(key, name);
                        self.note(named.map_err(|problem| format!("{place}: {problem}")));
                    }
                }
            }
            let has_history = !text("HISTORY").is_empty();
            if quality.is_some_and(Quality::is_high) && !has_history {
                self.problems.push(format!(
                    "{place}: QUALITY HIGH and CRITICAL need HISTORY, the command that fetches from the validator's archive"
                ));
            }
            if let Some(problem) = Some(text("ADDRESS"))
                .filter(|text| !text.is_empty())
                .and_then(super::address::problem)
            {
                self.problems.push(format!("{place}: ADDRESS: {problem}"));
            }
            if let (Some(quality), true) = (quality, self.problems.len() == before) {
                entries.push(Entry {
                    name: name.to_owned(),
                    key: key.to_owned(),
                    home_domain: home_domain.to_owned(),
                    quality,
                    has_history,
                });
            }
        }
        entries
    }

    /// `addSelfToValidators`.
    fn add_self(&mut self, entries: &mut Vec<Entry>, domains: &BTreeMap<String, Quality>) {
        let home = self
            .document
            .get("NODE_HOME_DOMAIN")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if home.is_empty() {
            self.problems.push(if self.document.contains_key("VALIDATORS") {
                "VALIDATORS is given and the validator has no home domain: set spec.validatorConfig.homeDomain to one of \
                 HOME_DOMAINS"
                    .to_owned()
            } else {
                "there is neither QUORUM_SET nor VALIDATORS: write whom this validator trusts".to_owned()
            });
            return;
        }
        match domains.get(home) {
            Some(quality) => entries.push(Entry {
                name: "self".to_owned(),
                key: self.own.to_owned(),
                home_domain: home.to_owned(),
                quality: *quality,
                has_history: false,
            }),
            None => self.problems.push(format!(
                "the validator's home domain is {home:?} and HOME_DOMAINS has no such entry: add [[HOME_DOMAINS]] with \
                 HOME_DOMAIN={home:?} and QUALITY"
            )),
        }
    }

    /// `verifyHistoryValidatorsBlocking` and `setValidatorWeightConfig`.
    fn check_generated(&mut self, entries: &[Entry], set: Option<&QuorumSet>) {
        let mut seen = BTreeSet::new();
        if let Some(twice) = entries.iter().find(|entry| !seen.insert(&entry.key)) {
            self.problems
                .push(format!("{} is in VALIDATORS twice: keep one", twice.key));
        }
        if !entries.is_empty() && entries.iter().all(|entry| entry.quality == Quality::Low) {
            self.problems
                .push("every validator has QUALITY LOW: at least one needs MEDIUM or better".to_owned());
        }
        let archives = entries
            .iter()
            .filter(|entry| entry.has_history)
            .map(|entry| entry.key.as_str())
            .collect();
        if !self.is_unsafe() && set.is_some_and(|set| !set.is_blocked_by(&archives)) {
            self.problems.push(
                "a quorum can be reached without any validator that has an archive: add HISTORY to VALIDATORS, or set \
                 UNSAFE_QUORUM=true"
                    .to_owned(),
            );
        }
    }

    /// `loadQset`.
    fn quorum_set(&mut self, place: &str, value: &Value, level: usize) -> Option<QuorumSet> {
        let Some(table) = value.as_table() else {
            self.problems
                .push(format!("{place} is {}: write a table below [{place}]", found(value)));
            return None;
        };
        if level > DEEPEST {
            self.problems
                .push(format!("{place} is nested more than {DEEPEST} levels deep: flatten it"));
            return None;
        }
        let mut percent = 67;
        let mut set = QuorumSet::default();
        let mut complete = true;
        for (key, value) in table {
            match (key.as_str(), value) {
                ("THRESHOLD_PERCENT", Value::Integer(number)) if (1..=100).contains(number) => {
                    percent = usize::try_from(*number).unwrap_or(100);
                }
                ("THRESHOLD_PERCENT", other) => self.problems.push(format!(
                    "{place}: THRESHOLD_PERCENT is {}: write a whole number from 1 to 100",
                    found(other)
                )),
                ("VALIDATORS", Value::Array(items)) => {
                    // Names that other tables of the quorum set define may not be there yet: cpptoml has no order.
                    let mut names = self.names.clone();
                    for item in items {
                        let Some(text) = item.as_str() else {
                            self.problems.push(format!(
                                "{place}: VALIDATORS holds {}: write public keys as strings",
                                found(item)
                            ));
                            continue;
                        };
                        match self.node_id(place, text, &mut names) {
                            Some(key) => set.validators.push(key),
                            None => complete = false,
                        }
                    }
                }
                ("VALIDATORS", other) => self.problems.push(format!(
                    "{place}: VALIDATORS is {}: write an array of public keys, as [\"G…\", \"G…\"]",
                    found(other)
                )),
                (_, Value::Table(_)) => match self.quorum_set(&format!("{place}.{key}"), value, level + 1) {
                    Some(inner) => set.inner.push(inner),
                    None => complete = false,
                },
                _ => self.unknown_key(
                    &format!("[{place}]"),
                    key,
                    "THRESHOLD_PERCENT, VALIDATORS and inner tables",
                ),
            }
        }
        if set.entries() == 0 {
            if complete {
                self.problems
                    .push(format!("{place} names nobody: give it VALIDATORS or inner tables"));
            }
            return None;
        }
        set.threshold = 1 + (set.entries() * percent - 1) / 100;
        complete.then_some(set)
    }

    /// `validateConfig`.
    fn validate(&mut self, set: &QuorumSet, level: Level) {
        let entries = set.entries();
        let least = set.safe_threshold(level);
        let blocking = set.fewest_that_block();
        let wanted = match self.document.get("FAILURE_SAFETY").and_then(Value::as_integer) {
            None | Some(-1) => entries - least,
            Some(number) => usize::try_from(number).unwrap_or(0),
        };
        let tolerated = blocking.saturating_sub(1);
        if wanted >= blocking {
            self.problems.push(format!(
                "the quorum set stops when {blocking} of its validators fail, and FAILURE_SAFETY asks to stand {wanted}: lower \
                 THRESHOLD_PERCENT (67 is usual), or set FAILURE_SAFETY to {tolerated}"
            ));
        }
        if !self.is_unsafe() {
            if wanted == 0 {
                self.problems.push(format!(
                    "a quorum set of {entries} entries that stands no failure (FAILURE_SAFETY 0) is refused by stellar-core: \
                     name at least 4, or set UNSAFE_QUORUM=true if that is what you want"
                ));
            }
            if set.threshold < least {
                self.problems.push(format!(
                    "the quorum set needs {} of its {entries} entries, {least} is the least that is safe: raise \
                     THRESHOLD_PERCENT (67 is usual), or set UNSAFE_QUORUM=true",
                    set.threshold
                ));
            }
        }
        if let Some(insanity) = set.insanity(!self.is_unsafe()) {
            self.problems.push(insanity);
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
