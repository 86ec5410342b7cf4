//! Is this config one that stellar-core starts with? Each answer is a list of problems in words: what is wrong, what was
//! found, what to write instead. An empty list is a yes.

use toml::{Table, Value};

use super::consensus::{Consensus, examine};
use super::render::peers_key;
use super::{Keys, address, base, document, keys};
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
    let mut add = |field, messages: Vec<String>| {
        problems.extend(messages.into_iter().map(|message| Problem { field, message }));
    };
    let peers = config
        .known_peers
        .iter()
        .filter_map(|peer| address::problem(peer))
        .collect();
    add("spec.validatorConfig.knownPeers", peers);
    let urls = config
        .history_archive_urls
        .iter()
        .filter_map(|url| base::url_problem(url))
        .collect();
    add("spec.validatorConfig.historyArchiveUrls", urls);
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
        let messages = match document::parse("quorumSet", text) {
            Err(error) => vec![error.to_string()],
            Ok(quorum) => {
                let both = quorum.keys().filter(|key| core.contains_key(*key));
                let mut messages: Vec<String> = both
                    .map(|key| format!("{key} is given in quorumSet and in coreConfig: keep one"))
                    .collect();
                messages.extend(quorum_problems(quorum, &core, config.home_domain.as_deref()));
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
        .map(|text| document::parse("quorumSet", text));
    let Some(Ok(mut quorum)) = parsed else {
        return false;
    };
    complete(&mut quorum, &core_table(config));
    let consensus = examine_alone(&quorum, config.home_domain.as_deref());
    consensus.problems.is_empty() && consensus.set.is_some_and(|set| set.keys() == ["$self"])
}

/// How many validators of its `quorumSet` can fail without stopping the one that trusts it; `None` where it is not legal.
pub fn failures_tolerated(config: &ValidatorConfig) -> Option<usize> {
    let mut quorum = document::parse("quorumSet", config.quorum_set.as_deref()?).ok()?;
    complete(&mut quorum, &core_table(config));
    let consensus = examine_alone(&quorum, config.home_domain.as_deref());
    if consensus.problems.is_empty() {
        consensus.set.map(|set| set.fewest_that_block().saturating_sub(1))
    } else {
        None
    }
}

/// What stellar-core would refuse about the text of `coreConfig`, and the keys in it that the operator owns.
pub(super) fn core_config_problems(toml: &str, known: Keys, has_database: bool) -> Vec<String> {
    let mut table = match document::parse("coreConfig", toml) {
        Ok(table) => table,
        Err(error) => return vec![error.to_string()],
    };
    let mut problems = Vec::new();
    for (key, value) in &table {
        match keys::owner(key) {
            Some(place) => problems.push(format!("{key} belongs to the operator: {place}")),
            None => problems.extend(keys::problems(key, value, known)),
        }
    }
    if has_database {
        set_postgres(&mut table);
    }
    problems.extend(together(&table));
    problems
}

/// What is to be said of the keys of a text, `coreConfig` or `captiveCoreConfig`, that only a newer stellar-core than the one
/// whose keys are listed may know.
pub fn new_keys(toml: &str) -> Vec<String> {
    let table = document::parse("the text", toml).unwrap_or_default();
    let new = table.keys().filter(|key| keys::may_be_new(key));
    let told = new.map(|key| {
        format!(
            "{key} is no key of a stellar-core of protocol {}, and a newer one may know it: look it up, for with one that it \
             does not know it does not start",
            keys::PROTOCOL
        )
    });
    told.collect()
}

/// Lets a config speak of the database whose connection string only the pod may read, so that rules can be asked.
pub(super) fn set_postgres(table: &mut Table) {
    table.insert("DATABASE".to_owned(), Value::String("postgresql://".to_owned()));
}

/// Everything that stellar-core would refuse about a whole config; `own` is the validator's public key, where known.
pub(super) fn check_document(table: &Table, own: Option<&str>, known: Keys) -> Vec<String> {
    let mut problems: Vec<String> = table
        .iter()
        .flat_map(|(key, value)| keys::problems(key, value, known))
        .collect();
    problems.extend(together(table));
    problems.extend(examine(table, own).problems);
    problems
}

pub(super) fn quorum_problems(mut quorum: Table, core: &Table, home_domain: Option<&str>) -> Vec<String> {
    let mut problems = Vec::new();
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
    problems.extend(examine_alone(&quorum, home_domain).problems);
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
    document::parse("coreConfig", text).unwrap_or_default()
}

/// Reads the text of `quorumSet`. Without a home domain, the validator may live in any of those that it lists.
fn examine_alone(quorum: &Table, home_domain: Option<&str>) -> Consensus {
    let in_domain = |domain: &str| {
        let mut document = quorum.clone();
        document.insert("NODE_HOME_DOMAIN".to_owned(), Value::String(domain.to_owned()));
        examine(&document, None)
    };
    if let Some(domain) = home_domain {
        return in_domain(domain);
    }
    let domains = quorum
        .get("HOME_DOMAINS")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mut best: Option<Consensus> = None;
    for domain in domains.filter_map(|entry| entry.get("HOME_DOMAIN")?.as_str()) {
        let consensus = in_domain(domain);
        if best
            .as_ref()
            .is_none_or(|best| consensus.problems.len() < best.problems.len())
        {
            best = Some(consensus);
        }
    }
    best.unwrap_or_else(|| examine(quorum, None))
}

/// What keys mean together (`processConfig`, behind its loop), and `HISTORY`.
fn together(table: &Table) -> Vec<String> {
    let int = |key: &str, default: i64| table.get(key).and_then(Value::as_integer).unwrap_or(default);
    let on = |key: &str| table.get(key).and_then(Value::as_bool).unwrap_or(false);
    let mut problems = Vec::new();
    let mut refuse = |when: bool, message: &str| {
        if when {
            problems.push(message.to_owned());
        }
    };
    let flood = int("PEER_FLOOD_READING_CAPACITY", 200);
    refuse(
        int("FLOW_CONTROL_SEND_MORE_BATCH_SIZE", 40) > flood,
        "FLOW_CONTROL_SEND_MORE_BATCH_SIZE is greater than PEER_FLOOD_READING_CAPACITY: make it smaller",
    );
    refuse(
        int("PEER_READING_CAPACITY", 201) <= flood,
        "PEER_READING_CAPACITY is not greater than PEER_FLOOD_READING_CAPACITY: make it greater",
    );
    refuse(
        int("FLOW_CONTROL_SEND_MORE_BATCH_SIZE_BYTES", 0) > int("PEER_FLOOD_READING_CAPACITY_BYTES", 0),
        "FLOW_CONTROL_SEND_MORE_BATCH_SIZE_BYTES is greater than PEER_FLOOD_READING_CAPACITY_BYTES: make it smaller",
    );
    refuse(
        on("INVARIANT_EXTRA_CHECKS"),
        "INVARIANT_EXTRA_CHECKS cannot be on in a validator: remove it",
    );
    refuse(
        on("BACKFILL_STELLAR_ASSET_EVENTS") && !on("EMIT_CLASSIC_EVENTS"),
        "BACKFILL_STELLAR_ASSET_EVENTS needs EMIT_CLASSIC_EVENTS=true",
    );
    // Without a DATABASE stellar-core takes one of SQLite in memory.
    let database = table.get("DATABASE").and_then(Value::as_str);
    refuse(
        on("EXPERIMENTAL_PARALLEL_LEDGER_APPLY") && database.is_none_or(|database| database.starts_with("sqlite3:")),
        "EXPERIMENTAL_PARALLEL_LEDGER_APPLY does not work with SQLite: remove it, or name a database of PostgreSQL in \
         spec.validatorConfig.database",
    );
    let window = int("HISTOGRAM_WINDOW_SIZE", 30);
    refuse(
        window > 0 && 300 % window != 0,
        "HISTOGRAM_WINDOW_SIZE must divide 300 evenly: write 30, 60, 100 or 300",
    );
    refuse(
        (1..=101).contains(&int("MAX_DEX_TX_OPERATIONS_IN_TX_SET", 0)),
        "MAX_DEX_TX_OPERATIONS_IN_TX_SET is 0 or at least 102",
    );
    let query = int("HTTP_QUERY_PORT", 0);
    refuse(
        query == i64::from(labels::HTTP_PORT) || query == i64::from(labels::HEALTH_PORT),
        "HTTP_QUERY_PORT is taken, 11626 by stellar-core's HTTP port and 11628 by the health sidecar: write another",
    );
    if let Some(history) = table.get("HISTORY") {
        problems.extend(history_problems(history));
    }
    problems
}

fn history_problems(history: &Value) -> Vec<String> {
    let Some(archives) = history.as_table() else {
        return vec!["HISTORY is not a table: write each archive below [HISTORY.name]".to_owned()];
    };
    let mut problems = Vec::new();
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
    problems
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
