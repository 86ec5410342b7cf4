//! Checks whether stellar-core would start with a config. Each function returns a list of problems in words: what is
//! wrong, which value was found, and how to fix it. An empty list means valid.

use toml::{Table, Value};

use super::problems::Problems;
use super::quorum::{Consensus, examine, kinds_of_domains};
use super::render::peers_key;
use super::{Keys, address, archives, base, document, keys};
use crate::crd::ValidatorConfig;
use crate::labels;

/// A problem, and the field of the StellarNode that causes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub field: &'static str,
    pub message: String,
}

/// All problems of a validator's settings, checked together as one config.
pub fn check_validator(config: &ValidatorConfig, keys: Keys) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |field, messages: Problems| {
        problems.extend(
            messages
                .into_vec()
                .into_iter()
                .map(|message| Problem { field, message }),
        );
    };
    let peers = config.known_peers.iter();
    add(
        "spec.validatorConfig.knownPeers",
        peers.filter_map(|peer| address::problem(peer)).collect(),
    );
    let urls = config.history_archive_urls.iter();
    add(
        "spec.validatorConfig.historyArchiveUrls",
        urls.filter_map(|url| base::url_problem(url)).collect(),
    );
    if let Some(text) = &config.core_config {
        let mut messages = core_config_problems(text, keys, config.database.is_some());
        let key = peers_key(config.peers_as());
        // KNOWN_PEERS always belongs to the operator.
        if key != labels::KNOWN_PEERS && core_table(config).contains_key(key) {
            messages.push(format!(
                "{key} is where peersAs puts the peers: list yours in spec.validatorConfig.knownPeers"
            ));
        }
        add("spec.validatorConfig.coreConfig", messages);
    }
    if let Some(text) = &config.quorum_set {
        let core = core_table(config);
        let messages = match document::parse_given("quorumSet", text) {
            Err(error) => Problems::from_iter([error.to_string()]),
            Ok(quorum) => {
                let both = quorum.keys().filter(|key| core.contains_key(*key));
                let mut messages: Problems = both
                    .map(|key| format!("{key} is given in quorumSet and in coreConfig: keep one"))
                    .collect();
                messages.extend(quorum_problems(quorum, &core, config.home_domain.as_deref()).into_vec());
                messages
            }
        };
        add("spec.validatorConfig.quorumSet", messages);
    }
    problems
}

/// Warnings about a valid but risky `quorumSet`; none for an invalid one.
pub fn quorum_warnings(config: &ValidatorConfig) -> Vec<String> {
    match failures_tolerated(config) {
        Some(0) => vec![
            "this quorum set tolerates no failure: every restart of one of its validators can halt this one for a few ledgers; \
             with 4 equal validators and THRESHOLD_PERCENT=67 it tolerates one"
                .to_owned(),
        ],
        Some(_) | None => Vec::new(),
    }
}

/// Whether a validator is its own quorum, as far as `quorumSet` shows it without the key: it contains only `$self`.
pub fn trusts_only_itself(config: &ValidatorConfig) -> bool {
    let parsed = config
        .quorum_set
        .as_deref()
        .map(|text| document::parse_given("quorumSet", text));
    let Some(Ok(mut quorum)) = parsed else {
        return false;
    };
    complete(&mut quorum, &core_table(config));
    let consensus = examine_alone(&quorum, config.home_domain.as_deref());
    consensus.problems.is_empty() && consensus.set.is_some_and(|set| set.keys() == ["$self"])
}

/// Number of validators in its `quorumSet` that can fail without stopping the validator; `None` if the set is invalid.
pub fn failures_tolerated(config: &ValidatorConfig) -> Option<usize> {
    let mut quorum = document::parse_given("quorumSet", config.quorum_set.as_deref()?).ok()?;
    complete(&mut quorum, &core_table(config));
    let consensus = examine_alone(&quorum, config.home_domain.as_deref());
    if consensus.problems.is_empty() {
        consensus.set.map(|set| set.fewest_that_block().saturating_sub(1))
    } else {
        None
    }
}

/// All problems of `coreConfig`, including keys that the operator owns.
pub(super) fn core_config_problems(toml: &str, known: Keys, has_database: bool) -> Problems {
    let mut table = match document::parse_given("coreConfig", toml) {
        Ok(table) => table,
        Err(error) => return Problems::from_iter([error.to_string()]),
    };
    let mut problems = Problems::default();
    for (key, value) in &table {
        match keys::owner(key) {
            Some(place) => problems.push(format!("{key} belongs to the operator: {place}")),
            None => problems.extend(keys::problems(key, value, known)),
        }
    }
    if has_database {
        set_postgres(&mut table);
    }
    problems.extend(together(&table, known));
    problems
}

/// Warnings about accepted keys of `coreConfig` or `captiveCoreConfig`: stellar-core may not know the key, ignores it,
/// or needs a file for it.
pub fn key_warnings(toml: &str, known: Keys) -> Vec<String> {
    let table = document::parse_given("the text", toml).unwrap_or_default();
    let warnings = table.iter().filter_map(|(key, value)| keys::warning(key, value, known));
    warnings.collect::<Problems>().into_vec()
}

/// Sets a placeholder for the connection string, which only the pod may read, so that the rules see an external
/// database.
pub(super) fn set_postgres(table: &mut Table) {
    table.insert("DATABASE".to_owned(), Value::String("postgresql://".to_owned()));
}

/// All problems of a complete config; `own` is the validator's public key, if known.
pub(super) fn check_document(table: &Table, own: Option<&str>, known: Keys) -> Problems {
    let mut problems: Problems = table
        .iter()
        .flat_map(|(key, value)| keys::problems(key, value, known))
        .collect();
    problems.extend(together(table, known));
    problems.extend(examine(table, own).problems.into_vec());
    problems
}

pub(super) fn quorum_problems(mut quorum: Table, core: &Table, home_domain: Option<&str>) -> Problems {
    let mut problems = Problems::default();
    for (key, value) in &quorum {
        if keys::OF_QUORUM.contains(&key.as_str()) {
            problems.extend(keys::problems(key, value, Keys::Listed));
        } else {
            problems.push(format!(
                "{key} does not belong in quorumSet, which takes {}",
                keys::OF_QUORUM.join(", ")
            ));
        }
    }
    if !quorum.contains_key("QUORUM_SET") && !quorum.contains_key("VALIDATORS") {
        problems.push(
            "quorumSet has neither [QUORUM_SET] nor [[VALIDATORS]]: name the validators that it trusts, as [QUORUM_SET] with \
             THRESHOLD_PERCENT and VALIDATORS, or as [[HOME_DOMAINS]] and [[VALIDATORS]]"
                .to_owned(),
        );
        return problems;
    }
    complete(&mut quorum, core);
    problems.extend(examine_alone(&quorum, home_domain).problems.into_vec());
    problems
}

/// Adds the keys of `coreConfig` that affect a quorum set.
fn complete(quorum: &mut Table, core: &Table) {
    for key in ["UNSAFE_QUORUM", "FAILURE_SAFETY", "NODE_NAMES"] {
        if let (Some(value), false) = (core.get(key), quorum.contains_key(key)) {
            quorum.insert(key.to_owned(), value.clone());
        }
    }
}

/// `coreConfig` as a table; empty if it is absent or not TOML.
fn core_table(config: &ValidatorConfig) -> Table {
    let text = config.core_config.as_deref().unwrap_or_default();
    document::parse_given("coreConfig", text).unwrap_or_default()
}

/// Checks `quorumSet` on its own. Without a home domain, the validator may belong to any of the listed domains: the
/// result is that of the domain with the fewest problems. The check of the complete config refuses a missing domain if
/// it matters.
fn examine_alone(quorum: &Table, home_domain: Option<&str>) -> Consensus {
    let in_domain = |domain: &str| {
        let mut document = quorum.clone();
        document.insert("NODE_HOME_DOMAIN".to_owned(), Value::String(domain.to_owned()));
        examine(&document, None)
    };
    if let Some(domain) = home_domain {
        return in_domain(domain);
    }
    let mut best: Option<Consensus> = None;
    for domain in kinds_of_domains(quorum) {
        let consensus = in_domain(domain);
        if consensus.problems.is_empty() {
            return consensus;
        }
        if best
            .as_ref()
            .is_none_or(|best| consensus.problems.len() < best.problems.len())
        {
            best = Some(consensus);
        }
    }
    best.unwrap_or_else(|| examine(quorum, None))
}

/// Problems of key combinations, and of `HISTORY`.
fn together(table: &Table, known: Keys) -> Vec<String> {
    let mut problems: Problems = keys::problems_together(table, known).into_iter().collect();
    if let Some(history) = table.get("HISTORY") {
        problems.extend(history_problems(history));
    }
    problems.extend(archives::problems(table).into_vec());
    problems.into_vec()
}

fn history_problems(history: &Value) -> Vec<String> {
    let Some(archives) = history.as_table() else {
        return vec!["HISTORY is not a table: write each archive below [HISTORY.name]".to_owned()];
    };
    let mut problems = Problems::default();
    for (name, archive) in archives {
        let Some(commands) = archive.as_table() else {
            problems.push(format!(
                "HISTORY.{name} is {}: write it below [HISTORY.{name}]",
                keys::found(archive)
            ));
            continue;
        };
        for (key, value) in commands {
            if !matches!(key.as_str(), "get" | "put" | "mkdir") {
                problems.push(format!(
                    "[HISTORY.{name}] has no key {key:?}: it takes get, put and mkdir"
                ));
            } else if !value.is_str() {
                problems.push(format!(
                    "HISTORY.{name}.{key} is {}: write a command as a string",
                    keys::found(value)
                ));
            }
        }
    }
    problems.into_vec()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_validator_that_trusts_only_itself_is_known_by_its_name_for_itself() {
        let key = "GDKXE2OZMJIPOSLNA6N6F2BVCI3O777I2OOC4BV7VOYUEHYX7RTRYA7Y";
        let trusts = |validators: &str| {
            let config: ValidatorConfig = serde_json::from_value(json!({
                "seedSecretRef": "seed",
                "coreConfig": "UNSAFE_QUORUM=true\nFAILURE_SAFETY=0",
                "quorumSet": format!("[QUORUM_SET]\nTHRESHOLD_PERCENT=100\nVALIDATORS=[{validators}]"),
            }))
            .unwrap();
            assert_eq!(check_validator(&config, Keys::Listed), [], "{validators}");
            trusts_only_itself(&config)
        };
        assert!(trusts("\"$self\""));
        assert!(!trusts(&format!("\"$self\", \"{key}\"")));
        assert!(!trusts(&format!("\"{key}\"")));
    }
}
