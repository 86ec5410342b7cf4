//! Is this config one that stellar-core starts with? Each answer is a list of problems in words: what is wrong, what
//! was found, what to write instead. An empty list is a yes.

use toml::{Table, Value};

use super::problems::Problems;
use super::quorum::{Consensus, examine, kinds_of_domains};
use super::render::peers_key;
use super::{Keys, address, archives, base, document, keys};
use crate::crd::ValidatorConfig;
use crate::labels;

/// A problem and the field of the StellarNode that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field, as a path in the object.
    pub field: &'static str,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Everything that stellar-core would refuse about a validator's settings: the fields together, as one config.
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
        // KNOWN_PEERS is the operator's in any case.
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

/// What is legal and unwise about a validator's `quorumSet`; nothing where it is not legal.
pub fn quorum_warnings(config: &ValidatorConfig) -> Vec<String> {
    match failures_tolerated(config) {
        Some(0) => vec![
            "this quorum set stands no failure: every restart of one of its validators can halt this one for a few ledgers; \
             with 4 equal validators and THRESHOLD_PERCENT=67 it stands one"
                .to_owned(),
        ],
        Some(_) | None => Vec::new(),
    }
}

/// Whether a validator's quorum is itself, as far as its `quorumSet` says so without its key: by `$self` alone.
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

/// How many validators of its `quorumSet` can fail without stopping the one that trusts it; `None` where it is not
/// legal.
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

/// What stellar-core would refuse about the text of `coreConfig`, and the keys in it that the operator owns.
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

/// What is to be said of the keys of `coreConfig` or `captiveCoreConfig` that are not refused: stellar-core may not
/// know one, ignores it, or needs a file because of it.
pub fn key_warnings(toml: &str, known: Keys) -> Vec<String> {
    let table = document::parse_given("the text", toml).unwrap_or_default();
    let told = table.iter().filter_map(|(key, value)| keys::warning(key, value, known));
    told.collect::<Problems>().into_vec()
}

/// Lets a config speak of the database whose connection string only the pod may read, so that rules can be asked.
pub(super) fn set_postgres(table: &mut Table) {
    table.insert("DATABASE".to_owned(), Value::String("postgresql://".to_owned()));
}

/// Everything that stellar-core would refuse about a whole config; `own` is the validator's public key, where known.
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
            "quorumSet has neither [QUORUM_SET] nor [[VALIDATORS]]: write whom this validator trusts, as [QUORUM_SET] with \
             THRESHOLD_PERCENT and VALIDATORS, or as [[HOME_DOMAINS]] and [[VALIDATORS]]"
                .to_owned(),
        );
        return problems;
    }
    complete(&mut quorum, core);
    problems.extend(examine_alone(&quorum, home_domain).problems.into_vec());
    problems
}

/// Adds to a quorum set what `coreConfig` says to it.
fn complete(quorum: &mut Table, core: &Table) {
    for key in ["UNSAFE_QUORUM", "FAILURE_SAFETY", "NODE_NAMES"] {
        if let (Some(value), false) = (core.get(key), quorum.contains_key(key)) {
            quorum.insert(key.to_owned(), value.clone());
        }
    }
}

/// `coreConfig`; empty where there is none, or none that is TOML.
fn core_table(config: &ValidatorConfig) -> Table {
    let text = config.core_config.as_deref().unwrap_or_default();
    document::parse_given("coreConfig", text).unwrap_or_default()
}

/// Reads the text of `quorumSet`. Without a home domain, the validator may live in any of those that it lists: the
/// whole config is refused then, where that matters, and what is said of the rest is said of the one that fits best.
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

/// What keys mean together, and `HISTORY`.
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
