//! The keys that stellar-core knows, what each may hold, and those that the operator owns.
//!
//! Source: `Config::processConfig` (protocol 24, commit 005af918) without what only test builds know, and
//! `docs/stellar-core_example.cfg` (commit 0013f5ef). An unknown key is fatal there: «Unknown configuration entry».

use toml::Value;

use super::{Keys, address};

/// The protocol of the stellar-core that these keys are of.
pub(super) const PROTOCOL: u32 = 24;

/// What stellar-core reads a key as.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// `readBool`.
    Bool,
    /// `readInt` with its smallest and its largest value.
    Int(i64, i64),
    /// `readDouble`, above 0 and at most this.
    Ratio(f64),
    /// `readString`.
    Text,
    /// `readArray<std::string>`.
    Texts,
    /// `readArray<std::string>` whose elements are dialled.
    Peers,
    /// `readIntArray<uint32>`.
    Ints,
    /// Tables, which have rules of their own.
    Tables,
    /// Read and ignored.
    Ignored,
}
use Kind::{Bool, Ignored, Int, Ints, Peers, Ratio, Tables, Text, Texts};

const U16: i64 = u16::MAX as i64;
const U32: i64 = u32::MAX as i64;
const I32: i64 = i32::MAX as i64;
const I64: i64 = i64::MAX;

#[rustfmt::skip]
const KEYS: &[(&str, Kind)] = &[
    ("ALLOW_LOCALHOST_FOR_TESTING", Bool),
    ("ARTIFICIALLY_ACCELERATE_TIME_FOR_TESTING", Bool),
    ("ARTIFICIALLY_DELAY_BUCKET_APPLICATION_FOR_TESTING", Int(0, U32)),
    ("ARTIFICIALLY_DELAY_LEDGER_CLOSE_FOR_TESTING", Int(0, U32)),
    ("ARTIFICIALLY_GENERATE_LOAD_FOR_TESTING", Bool),
    ("ARTIFICIALLY_REPLAY_WITH_NEWEST_BUCKET_LOGIC_FOR_TESTING", Bool),
    ("ARTIFICIALLY_SET_CLOSE_TIME_FOR_TESTING", Int(0, U32 - 1)),
    ("ARTIFICIALLY_SET_SURVEY_PHASE_DURATION_FOR_TESTING", Int(0, U32)),
    ("ARTIFICIALLY_SLEEP_MAIN_THREAD_FOR_TESTING", Int(0, U32)),
    ("AUTOMATIC_MAINTENANCE_COUNT", Int(0, U32)),
    ("AUTOMATIC_MAINTENANCE_PERIOD", Int(0, U32)),
    ("AUTOMATIC_SELF_CHECK_PERIOD", Int(0, U32)),
    ("BACKFILL_RESTORE_META", Bool),
    ("BACKFILL_STELLAR_ASSET_EVENTS", Bool),
    ("BACKGROUND_EVICTION_SCAN", Ignored),
    ("BACKGROUND_OVERLAY_PROCESSING", Bool),
    ("BACKGROUND_TX_SIG_VERIFICATION", Bool),
    ("BUCKETLIST_DB_INDEX_CUTOFF", Int(0, I64)),
    ("BUCKETLIST_DB_INDEX_PAGE_SIZE_EXPONENT", Int(0, I64)),
    ("BUCKETLIST_DB_MEMORY_FOR_CACHING", Int(0, I64)),
    ("BUCKETLIST_DB_PERSIST_INDEX", Bool),
    ("BUCKET_DIR_PATH", Text),
    ("CATCHUP_COMPLETE", Bool),
    ("CATCHUP_RECENT", Int(0, U32 - 1)),
    ("CATCHUP_WAIT_MERGES_TX_APPLY_FOR_TESTING", Bool),
    ("COMMANDS", Texts),
    ("COMPILATION_THREADS", Int(2, 1000)),
    ("DATABASE", Text),
    ("DISABLE_SOROBAN_METRICS_FOR_TESTING", Bool),
    ("DISABLE_XDR_FSYNC", Bool),
    ("EMIT_CLASSIC_EVENTS", Bool),
    ("EMIT_LEDGER_CLOSE_META_EXT_V1", Bool),
    ("EMIT_SOROBAN_TRANSACTION_META_EXT_V1", Bool),
    ("ENABLE_DIAGNOSTICS_FOR_TX_SUBMISSION", Bool),
    ("ENABLE_SOROBAN_DIAGNOSTIC_EVENTS", Bool),
    ("ENTRY_CACHE_SIZE", Int(0, U32)),
    ("EXCLUDE_TRANSACTIONS_CONTAINING_OPERATION_TYPE", Texts),
    ("EXPERIMENTAL_BACKGROUND_TX_SIG_VERIFICATION", Bool),
    ("EXPERIMENTAL_PARALLEL_LEDGER_APPLY", Bool),
    ("EXPERIMENTAL_TX_BATCH_MAX_SIZE", Int(0, I64)),
    ("FAILURE_SAFETY", Int(-1, I32 - 1)),
    ("FILTERED_SOROBAN_KEYS_PATH", Ignored),
    ("FLOOD_ADVERT_PERIOD_MS", Int(1, I32)),
    ("FLOOD_ARB_TX_BASE_ALLOWANCE", Int(-1, I32)),
    ("FLOOD_ARB_TX_DAMPING_FACTOR", Ratio(1.0)),
    ("FLOOD_DEMAND_BACKOFF_DELAY_MS", Int(1, I32)),
    ("FLOOD_DEMAND_PERIOD_MS", Int(1, I32)),
    ("FLOOD_OP_RATE_PER_LEDGER", Ratio(f64::MAX)),
    ("FLOOD_SOROBAN_RATE_PER_LEDGER", Ratio(f64::MAX)),
    ("FLOOD_SOROBAN_TX_PERIOD_MS", Int(1, I32)),
    ("FLOOD_TX_PERIOD_MS", Int(1, I32)),
    ("FLOW_CONTROL_SEND_MORE_BATCH_SIZE", Int(1, U32)),
    ("FLOW_CONTROL_SEND_MORE_BATCH_SIZE_BYTES", Int(0, U32)),
    ("FORCE_OLD_STYLE_LEADER_ELECTION", Bool),
    ("GENESIS_TEST_ACCOUNT_COUNT", Int(0, U32)),
    ("HALT_ON_INTERNAL_TRANSACTION_ERROR", Bool),
    ("HISTOGRAM_WINDOW_SIZE", Int(1, U32)),
    ("HISTORY", Tables),
    ("HOME_DOMAINS", Tables),
    ("HTTP_MAX_CLIENT", Int(0, U16)),
    ("HTTP_PORT", Int(0, U16)),
    ("HTTP_QUERY_PORT", Int(0, U16)),
    ("INVARIANT_CHECKS", Texts),
    ("INVARIANT_EXTRA_CHECKS", Bool),
    ("KNOWN_PEERS", Peers),
    ("LOADGEN_BYTE_COUNT_DISTRIBUTION_FOR_TESTING", Ints),
    ("LOADGEN_BYTE_COUNT_FOR_TESTING", Ints),
    ("LOADGEN_INSTRUCTIONS_DISTRIBUTION_FOR_TESTING", Ints),
    ("LOADGEN_INSTRUCTIONS_FOR_TESTING", Ints),
    ("LOADGEN_IO_KILOBYTES_DISTRIBUTION_FOR_TESTING", Ints),
    ("LOADGEN_IO_KILOBYTES_FOR_TESTING", Ints),
    ("LOADGEN_NUM_DATA_ENTRIES_DISTRIBUTION_FOR_TESTING", Ints),
    ("LOADGEN_NUM_DATA_ENTRIES_FOR_TESTING", Ints),
    ("LOADGEN_PREGENERATED_TRANSACTIONS_FILE", Text),
    ("LOADGEN_TX_SIZE_BYTES_DISTRIBUTION_FOR_TESTING", Ints),
    ("LOADGEN_TX_SIZE_BYTES_FOR_TESTING", Ints),
    ("LOADGEN_WASM_BYTES_DISTRIBUTION_FOR_TESTING", Ints),
    ("LOADGEN_WASM_BYTES_FOR_TESTING", Ints),
    ("LOG_COLOR", Bool),
    ("LOG_FILE_PATH", Text),
    ("MANUAL_CLOSE", Bool),
    ("MAXIMUM_LEDGER_CLOSETIME_DRIFT", Int(0, I64)),
    ("MAX_ADDITIONAL_PEER_CONNECTIONS", Int(-1, U16)),
    ("MAX_BATCH_WRITE_BYTES", Int(1, I32)),
    ("MAX_BATCH_WRITE_COUNT", Int(1, I32)),
    ("MAX_CONCURRENT_SUBPROCESSES", Int(1, I64)),
    ("MAX_DEX_TX_OPERATIONS_IN_TX_SET", Int(0, U32)),
    ("MAX_PENDING_CONNECTIONS", Int(1, U16)),
    ("MAX_SLOTS_TO_REMEMBER", Int(0, U32)),
    ("METADATA_DEBUG_LEDGERS", Int(0, U32)),
    ("METADATA_OUTPUT_STREAM", Text),
    ("NETWORK_PASSPHRASE", Text),
    ("NODE_HOME_DOMAIN", Text),
    ("NODE_IS_VALIDATOR", Bool),
    ("NODE_NAMES", Texts),
    ("NODE_SEED", Text),
    ("OP_APPLY_SLEEP_TIME_DURATION_FOR_TESTING", Ints),
    ("OP_APPLY_SLEEP_TIME_WEIGHT_FOR_TESTING", Ints),
    ("OUTBOUND_TX_QUEUE_BYTE_LIMIT", Int(1, U32)),
    ("OVERRIDE_EVICTION_PARAMS_FOR_TESTING", Bool),
    ("PATH_TO_PROTOCOL_23_CORRUPTION_FILE", Text),
    ("PEER_AUTHENTICATION_TIMEOUT", Int(1, U16)),
    ("PEER_FLOOD_READING_CAPACITY", Int(1, U32)),
    ("PEER_FLOOD_READING_CAPACITY_BYTES", Int(0, U32)),
    ("PEER_PORT", Int(1, U16)),
    ("PEER_READING_CAPACITY", Int(1, U32)),
    ("PEER_STRAGGLER_TIMEOUT", Int(1, U16)),
    ("PEER_TIMEOUT", Int(1, U16)),
    ("PREFERRED_PEERS", Peers),
    ("PREFERRED_PEERS_ONLY", Bool),
    ("PREFERRED_PEER_KEYS", Texts),
    ("PREFETCH_BATCH_SIZE", Int(0, U32)),
    ("PUBLIC_HTTP_PORT", Bool),
    ("PUBLISH_TO_ARCHIVE_DELAY", Int(0, U32)),
    ("QUERY_SNAPSHOT_LEDGERS", Int(0, U32)),
    ("QUERY_THREAD_POOL_SIZE", Int(1, 1000)),
    ("QUORUM_INTERSECTION_CHECKER", Bool),
    ("QUORUM_INTERSECTION_CHECKER_MEMORY_LIMIT_BYTES", Int(1024, I64)),
    ("QUORUM_INTERSECTION_CHECKER_TIME_LIMIT_MS", Int(1, I64)),
    ("QUORUM_SET", Tables),
    ("RUN_STANDALONE", Bool),
    ("STATE_SNAPSHOT_INVARIANT_LEDGER_FREQUENCY", Int(1, U32)),
    ("SURVEYOR_KEYS", Texts),
    ("TARGET_PEER_CONNECTIONS", Int(1, U16)),
    ("TESTING_EVICTION_SCAN_SIZE", Int(0, U32)),
    ("TESTING_MAX_ENTRIES_TO_ARCHIVE", Int(0, U32)),
    ("TESTING_MINIMUM_PERSISTENT_ENTRY_LIFETIME", Int(1, U32)),
    ("TESTING_SOROBAN_HIGH_LIMIT_OVERRIDE", Bool),
    ("TESTING_STARTING_EVICTION_SCAN_LEVEL", Int(1, 10)),
    ("UNSAFE_QUORUM", Bool),
    ("UPDATE_SOROBAN_COSTS_DURING_PROTOCOL_UPGRADE_FOR_TESTING", Bool),
    ("USE_QUORUM_INTERSECTION_CHECKER_V2", Bool),
    ("VALIDATORS", Tables),
    ("WORKER_THREADS", Int(2, 1000)),
];

/// Keys that `coreConfig` may not hold, each with the place where its value comes from.
#[rustfmt::skip]
const OWNED: &[(&str, &str)] = &[
    ("BUCKET_DIR_PATH", "the operator puts the buckets on the validator's volume"),
    ("CATCHUP_COMPLETE", "set spec.validatorConfig.catchupComplete"),
    ("DATABASE", "the operator puts the database on the validator's volume"),
    ("HOME_DOMAINS", "write it in spec.validatorConfig.quorumSet"),
    ("HTTP_PORT", "the operator keeps it at 11626 on localhost"),
    ("KNOWN_PEERS", "list your own peers in spec.validatorConfig.knownPeers"),
    ("LOG_FILE_PATH", "the log goes to the container's output"),
    ("NETWORK_PASSPHRASE", "set spec.network"),
    ("NODE_HOME_DOMAIN", "set spec.validatorConfig.homeDomain"),
    ("NODE_IS_VALIDATOR", "it follows from spec.nodeType"),
    ("NODE_SEED", "name a Secret in spec.validatorConfig.seedSecretRef"),
    ("PEER_PORT", "set spec.validatorConfig.peerPort"),
    ("PUBLIC_HTTP_PORT", "the HTTP port stays on localhost: its commands ask for no password"),
    ("QUORUM_SET", "write it in spec.validatorConfig.quorumSet"),
    ("VALIDATORS", "write it in spec.validatorConfig.quorumSet"),
];

/// Keys that `quorumSet` may hold.
pub(super) const OF_QUORUM: [&str; 6] = [
    "QUORUM_SET",
    "VALIDATORS",
    "HOME_DOMAINS",
    "NODE_NAMES",
    "UNSAFE_QUORUM",
    "FAILURE_SAFETY",
];

/// Where the value of an owned key comes from, or `None` when the operator does not own the key.
pub(super) fn owner(key: &str) -> Option<&'static str> {
    OWNED.iter().find(|(owned, _)| *owned == key).map(|(_, place)| *place)
}

/// Whether stellar-core knows this key.
pub(super) fn is_known(key: &str) -> bool {
    kind(key).is_some()
}

fn kind(key: &str) -> Option<Kind> {
    // What the load generator reads; its some thirty keys mean nothing to a validator and their values are not checked.
    if key.starts_with("APPLY_LOAD_") {
        return Some(Ignored);
    }
    KEYS.iter().find(|(name, _)| *name == key).map(|(_, kind)| *kind)
}

/// Whether a key that is not listed may be one of a newer stellar-core: it reads like one, and like none that is listed.
pub(super) fn may_be_new(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    kind(key).is_none() && key.bytes().all(plain) && !KEYS.iter().any(|(name, _)| looks_like(name, key))
}

/// What is wrong with a top-level key and its value, by name and type; what keys mean together is not looked at here.
pub(super) fn problems(key: &str, value: &Value, keys: Keys) -> Vec<String> {
    let Some(kind) = kind(key) else {
        return match keys {
            Keys::PerhapsMore if may_be_new(key) => Vec::new(),
            Keys::PerhapsMore | Keys::Listed => vec![unknown(key)],
        };
    };
    let wrong = |wanted: String| vec![format!("{key} is {}: write {wanted}", found(value))];
    match (kind, value) {
        (Bool, Value::Boolean(_)) | (Text, Value::String(_)) | (Ignored | Tables, _) => Vec::new(),
        (Int(min, max), Value::Integer(number)) if (min..=max).contains(number) => Vec::new(),
        (Ratio(max), number) if ratio(number).is_some_and(|number| number > 0.0 && number <= max) => Vec::new(),
        (Texts, Value::Array(items)) if items.iter().all(Value::is_str) => Vec::new(),
        (Peers, Value::Array(items)) if items.iter().all(Value::is_str) => items
            .iter()
            .filter_map(Value::as_str)
            .filter_map(|peer| Some(format!("{key}: {}", address::problem(peer)?)))
            .collect(),
        (Ints, Value::Array(items)) if items.iter().all(is_u32) => Vec::new(),
        (Bool, _) => wrong("true or false".to_owned()),
        (Int(min, max), _) => wrong(format!("a whole number from {min} to {max}")),
        (Ratio(max), _) if max < f64::MAX => wrong(format!("a number above 0 and at most {max}")),
        (Ratio(_), _) => wrong("a number above 0".to_owned()),
        (Text, _) => wrong("a string in double quotes".to_owned()),
        (Texts | Peers, _) => wrong("an array of strings, as [\"…\", \"…\"]".to_owned()),
        (Ints, _) => wrong("an array of whole numbers".to_owned()),
    }
}

fn is_u32(value: &Value) -> bool {
    value.as_integer().is_some_and(|number| (0..=U32).contains(&number))
}

/// cpptoml gives a whole number where a fraction is asked for.
fn ratio(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        Value::Integer(number) => i32::try_from(*number).ok().map(f64::from),
        _ => None,
    }
}

fn unknown(key: &str) -> String {
    let near = KEYS.iter().map(|(name, _)| *name).find(|name| looks_like(name, key));
    match near {
        Some(name) => format!("stellar-core knows no key {key:?} and would not start: did you mean {name}?"),
        None => format!(
            "stellar-core knows no key {key:?} and would not start: remove it (known are those of stellar-core's example config)"
        ),
    }
}

/// Equal but for case and separators, or but for two letters; digits count keys of one family, as in `_V2`.
fn looks_like(name: &str, key: &str) -> bool {
    let plain = |text: &str| -> String {
        text.chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_uppercase())
            .collect()
    };
    let (name, key) = (plain(name), plain(key));
    let family = |text: &str| text.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    name == key || (family(&name) != family(&key) && strsim::levenshtein(&name, &key) <= 2)
}

/// A value as a message names it: scalars as they are, strings not at all (one may be a password).
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => value.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_holds_what_we_name() {
        assert!(KEYS.is_sorted_by_key(|(name, _)| *name));
        for (key, _) in OWNED {
            assert!(is_known(key), "{key}");
        }
        for key in OF_QUORUM {
            assert!(is_known(key), "{key}");
        }
    }

    #[test]
    fn values_are_held_to_the_type_that_stellar_core_reads() {
        let good = "TARGET_PEER_CONNECTIONS=8\nMAX_ADDITIONAL_PEER_CONNECTIONS=-1\nFLOOD_OP_RATE_PER_LEDGER=1\n\
                    COMMANDS=['ll?level=info']\nLOG_COLOR=true\nPREFERRED_PEERS=['a:1']\nAPPLY_LOAD_NUM_LEDGERS=1";
        for (key, value) in &good.parse::<toml::Table>().unwrap() {
            assert_eq!(problems(key, value, Keys::Listed), Vec::<String>::new());
        }
        let bad = "TARGET_PEER_CONNECTIONS=0\nMAX_PENDING_CONNECTIONS=65536\nFLOOD_OP_RATE_PER_LEDGER=0.0\n\
                   FLOOD_ARB_TX_DAMPING_FACTOR=1.1\nCOMMANDS='ll'\nLOG_COLOR='true'\nPREFERRED_PEERS=['::1']\n\
                   WORKER_THREADS=1\nlog_color=true\nNOT_A_KEY=1\nINVARIANT_CHECKS=[1]";
        for (key, value) in &bad.parse::<toml::Table>().unwrap() {
            assert_eq!(problems(key, value, Keys::Listed).len(), 1, "{key}");
        }
        let of = |key: &str, keys| problems(key, &Value::Boolean(true), keys);
        assert!(of("log_color", Keys::Listed)[0].contains("LOG_COLOR"));
        // A newer one may know a key that is not listed, and none of these.
        assert_eq!(of("NOT_A_KEY", Keys::PerhapsMore), Vec::<String>::new());
        assert_eq!(
            of("EMIT_LEDGER_CLOSE_META_EXT_V2", Keys::PerhapsMore),
            Vec::<String>::new()
        );
        for key in [
            "log_color",
            "LOGCOLOR",
            "LOG_COLOUR",
            "PEER_PROT",
            "not_a_key",
            "NOT A KEY",
        ] {
            assert_eq!(of(key, Keys::PerhapsMore).len(), 1, "{key}");
        }
    }
}
