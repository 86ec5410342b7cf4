//! Rules about several keys of a validator's config: `processConfig` after its loop, `validateAndLogConfig` of
//! `ApplicationImpl.cpp`, and the checks of its components at start.

use toml::{Table, Value};

use super::invariants;
use crate::core_config::Keys;
use crate::core_config::version::Release;
use crate::labels;

/// `MAX_CLASSIC_TX_SIZE_BYTES`, the minimum that `HerderImpl` requires; the network settings may require more.
const LARGEST_TRANSACTION: i64 = 100 * 1024;

/// Lists of values that each have a list of weights.
const LOAD: [&str; 7] = [
    "LOADGEN_BYTE_COUNT",
    "LOADGEN_INSTRUCTIONS",
    "LOADGEN_IO_KILOBYTES",
    "LOADGEN_NUM_DATA_ENTRIES",
    "LOADGEN_OP_COUNT",
    "LOADGEN_TX_SIZE_BYTES",
    "LOADGEN_WASM_BYTES",
];

struct Settings<'a>(&'a Table);

impl<'a> Settings<'a> {
    fn int(&self, key: &str, default: i64) -> i64 {
        self.0.get(key).and_then(Value::as_integer).unwrap_or(default)
    }

    fn on(&self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    fn text(&self, key: &str) -> &'a str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn items(&self, key: &str) -> &'a [Value] {
        self.0
            .get(key)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    fn texts(&self, key: &str) -> Vec<&'a str> {
        self.items(key).iter().filter_map(Value::as_str).collect()
    }
}

/// The problems of all key combinations.
pub(in super::super) fn problems(table: &Table, keys: Keys) -> Vec<String> {
    let settings = Settings(table);
    let mut problems = Vec::new();
    capacities(&settings, keys, &mut problems);
    if settings.on("RUN_STANDALONE") {
        problems.extend(port_problem(&settings));
    } else {
        networked(&settings, &mut problems);
    }
    load(&settings, &mut problems);
    let mut refuse = |when: bool, message: &str| {
        if when {
            problems.push(message.to_owned());
        }
    };
    refuse(
        table.get("NETWORK_PASSPHRASE").and_then(Value::as_str) == Some(""),
        "NETWORK_PASSPHRASE is empty: write the network's passphrase in spec.network",
    );
    refuse(
        settings.on("INVARIANT_EXTRA_CHECKS"),
        "INVARIANT_EXTRA_CHECKS cannot be on in a validator: remove it",
    );
    let events = settings.on("EMIT_CLASSIC_EVENTS");
    let backfill = settings.on("BACKFILL_STELLAR_ASSET_EVENTS");
    refuse(
        backfill && !events,
        "BACKFILL_STELLAR_ASSET_EVENTS needs EMIT_CLASSIC_EVENTS=true",
    );
    // enableInvariantsFromConfig; a validator on a network cannot have a stream.
    let streams = settings.on("RUN_STANDALONE") && !settings.text("METADATA_OUTPUT_STREAM").is_empty();
    refuse(
        !(streams && events && backfill)
            && invariants::enable(&settings.texts("INVARIANT_CHECKS"), invariants::EVENTS, keys),
        "INVARIANT_CHECKS: the invariant EventsAreConsistentWithEntryDiffs needs METADATA_OUTPUT_STREAM, which no \
         validator can have: leave it out, as in \"(?!BucketList|Events).*\"",
    );
    // Without a DATABASE, stellar-core uses SQLite in memory. Only some releases read this key; others ignore it.
    let is_read = matches!(keys, Keys::Of { .. }) && keys.are_before(Release::new(25, 1, 0));
    let database = table.get("DATABASE").and_then(Value::as_str);
    let is_sqlite = database.is_none_or(|database| database.starts_with("sqlite3:"));
    refuse(
        is_read && settings.on("EXPERIMENTAL_PARALLEL_LEDGER_APPLY") && is_sqlite,
        "EXPERIMENTAL_PARALLEL_LEDGER_APPLY does not work with SQLite before 25.1: remove it, or name a database of \
         PostgreSQL in spec.validatorConfig.database",
    );
    problems
}

fn capacities(settings: &Settings<'_>, keys: Keys, problems: &mut Vec<String>) {
    let mut refuse = |when: bool, message: String| {
        if when {
            problems.push(message);
        }
    };
    let flood = settings.int("PEER_FLOOD_READING_CAPACITY", 200);
    let batch = settings.int("FLOW_CONTROL_SEND_MORE_BATCH_SIZE", 40);
    refuse(
        batch > flood,
        format!(
            "FLOW_CONTROL_SEND_MORE_BATCH_SIZE is {batch} and PEER_FLOOD_READING_CAPACITY is {flood}: make the former \
             no greater than the latter"
        ),
    );
    let reading = settings.int("PEER_READING_CAPACITY", 201);
    refuse(
        reading <= flood && !keys.are_before(Release::new(22, 3, 0)),
        format!(
            "PEER_READING_CAPACITY is {reading} and PEER_FLOOD_READING_CAPACITY is {flood}: make the former greater \
             than the latter"
        ),
    );
    // If both are 0, stellar-core computes its own values.
    let flood = settings.int("PEER_FLOOD_READING_CAPACITY_BYTES", 0);
    let batch = settings.int("FLOW_CONTROL_SEND_MORE_BATCH_SIZE_BYTES", 0);
    refuse(
        (flood, batch) != (0, 0) && flood.saturating_sub(batch) < LARGEST_TRANSACTION,
        format!(
            "PEER_FLOOD_READING_CAPACITY_BYTES is {flood} and FLOW_CONTROL_SEND_MORE_BATCH_SIZE_BYTES is {batch}: make \
             the former greater by {LARGEST_TRANSACTION} at least (and by the largest transaction of the network, if \
             that is larger), or remove both"
        ),
    );
}

/// Keys that a validator on a network may not use (`isNetworkedValidator` in `validateAndLogConfig`).
fn networked(settings: &Settings<'_>, problems: &mut Vec<String>) {
    if !settings.text("METADATA_OUTPUT_STREAM").is_empty() {
        problems.push(
            "METADATA_OUTPUT_STREAM is set, and stellar-core streams from no validator: remove it, and take the stream \
             from the captive core of Horizon or Stellar RPC"
                .to_owned(),
        );
    }
    if settings.on("ENABLE_SOROBAN_DIAGNOSTIC_EVENTS") {
        problems.push(
            "ENABLE_SOROBAN_DIAGNOSTIC_EVENTS is true, and a validator cannot have it: remove it, and set it for the \
             captive core of Horizon or Stellar RPC"
                .to_owned(),
        );
    }
    let port = settings.int("HTTP_QUERY_PORT", 0);
    if port != 0 {
        problems.push(format!(
            "HTTP_QUERY_PORT is {port}, and a validator answers no queries: remove it, and ask the captive core of \
             Horizon or Stellar RPC"
        ));
    }
}

/// The problem of a port that the pod already uses.
fn port_problem(settings: &Settings<'_>) -> Option<String> {
    let port = settings.int("HTTP_QUERY_PORT", 0);
    let taken = [labels::HTTP_PORT, labels::HEALTH_PORT].map(i64::from);
    taken.contains(&port).then(|| {
        "HTTP_QUERY_PORT is taken, 11626 by stellar-core's HTTP port and 11628 by the health sidecar: write another"
            .to_owned()
    })
}

/// `verifyLoadGenDistribution` and `processOpApplySleepTimeForTestingConfigs`.
fn load(settings: &Settings<'_>, problems: &mut Vec<String>) {
    let mut pair = |values: &str, weights: &str| {
        let counts = (settings.items(values).len(), settings.items(weights).len());
        if counts.0 != counts.1 {
            problems.push(format!(
                "{values} has {} elements and {weights} has {}: give both, of the same length, or neither",
                counts.0, counts.1
            ));
        } else if settings
            .items(weights)
            .iter()
            .any(|weight| weight.as_integer() == Some(0))
        {
            problems.push(format!("{weights} holds 0: write whole numbers above 0"));
        }
        counts.0 > 0
    };
    pair(
        "OP_APPLY_SLEEP_TIME_DURATION_FOR_TESTING",
        "OP_APPLY_SLEEP_TIME_WEIGHT_FOR_TESTING",
    );
    let mut given = Vec::new();
    // Hardly any config has one, so a quick check comes first.
    if settings.0.keys().any(|key| key.starts_with("LOADGEN_")) {
        for name in LOAD {
            let values = format!("{name}_FOR_TESTING");
            if pair(&values, &format!("{name}_DISTRIBUTION_FOR_TESTING")) {
                given.push(values);
            }
        }
    }
    if !settings.on("ARTIFICIALLY_GENERATE_LOAD_FOR_TESTING") {
        problems.extend(given.iter().map(|values| {
            format!("{values} needs ARTIFICIALLY_GENERATE_LOAD_FOR_TESTING=true: set it, or remove {values}")
        }));
    }
}
