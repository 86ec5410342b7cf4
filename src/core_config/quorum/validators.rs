//! Parses `[[VALIDATORS]]` and `[[HOME_DOMAINS]]`, the list from which stellar-core generates the quorum set.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::table::{Entry, Quality, QuorumSet};
use super::{Reader, key_problem};
use crate::core_config::address;

impl Reader<'_> {
    /// `parseDomainsQuality`.
    pub(crate) fn domains(&mut self) -> BTreeMap<String, Quality> {
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
                            .push(format!("HOME_DOMAINS: {domain:?} is listed twice: keep one"));
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

    /// `parseValidators`.
    pub(crate) fn validators(&mut self, domains: &BTreeMap<String, Quality>) -> Vec<Entry> {
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
                .and_then(address::problem)
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
    pub(crate) fn add_self(&mut self, entries: &mut Vec<Entry>, domains: &BTreeMap<String, Quality>) {
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
                "there is neither QUORUM_SET nor VALIDATORS: name the validators that it trusts".to_owned()
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
    pub(crate) fn check_generated(&mut self, entries: &[Entry], set: Option<&QuorumSet>) {
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
}
