//! Texts of `coreConfig` that a stellar-core accepts or refuses: 26.1.0 by experiment, other releases by their source.

use crate::core_config::render_tests::sources;
use crate::core_config::rules_tests::{me, seed, with};
use crate::core_config::*;

fn problems(text: &str, version: &str) -> Vec<String> {
    check::core_config_problems(text, Keys::of(version), false).into_vec()
}

/// Asserts for each text that its only problem contains the word; "" stands for no problem.
fn judged(cases: &[(&str, &str, &str)]) {
    for (text, version, word) in cases {
        let problems = problems(text, version);
        let is_right = match *word {
            "" => problems.is_empty(),
            word => problems.len() == 1 && problems[0].contains(word),
        };
        assert!(is_right, "{version}: {text}\nexpected {word:?}: {problems:?}");
    }
}

#[test]
fn keys_that_no_release_knows() {
    const REMOVE: &str = "knows no key";
    judged(&[
        ("TESTING_UPGRADE_MAX_TX_SET_SIZE=100", "26.1.0", REMOVE),
        ("TESTING_UPGRADE_DESIRED_FEE=100", "26.1.0", REMOVE),
        ("TESTING_UPGRADE_RESERVE=100", "26.1.0", REMOVE),
        ("TESTING_UPGRADE_LEDGER_PROTOCOL_VERSION=26", "26.1.0", REMOVE),
        ("TESTING_UPGRADE_FLAGS=1", "26.1.0", REMOVE),
        ("USE_CONFIG_FOR_GENESIS=true", "26.1.0", REMOVE),
        ("FORCE_SCP=true", "26.1.0", REMOVE),
        ("MINIMUM_IDLE_PERCENT=1", "26.1.0", REMOVE),
        ("ARTIFICIALLY_PESSIMIZE_MERGES_FOR_TESTING=true", "26.1.0", REMOVE),
        ("ARTIFICIALLY_REDUCE_MERGE_COUNTS_FOR_TESTING=true", "26.1.0", REMOVE),
        (
            "ARTIFICIALLY_SKIP_CONNECTION_ADJUSTMENT_FOR_TESTING=true",
            "26.1.0",
            REMOVE,
        ),
        ("LOADGEN_SPEED=1", "26.1.0", REMOVE),
        ("APPLY_LOAD_SPEED=1", "26.1.0", REMOVE),
        ("FORCE_SCP=true", "19.0.0", REMOVE),
        ("FORCE_SCP=true", "26.0.1-3109.e78c97ed0.jammy", REMOVE),
    ]);
}

#[test]
fn keys_that_only_builds_for_tests_know() {
    const TESTS: &str = "only in test builds";
    const BUILD: &str = "26.1.0-3315.a1b2c3d4e.noble-buildtests";
    judged(&[
        ("TESTING_MAX_SOROBAN_BYTE_ALLOWANCE=1", "26.1.0", TESTS),
        ("TESTING_MAX_CLASSIC_BYTE_ALLOWANCE=1", "26.1.0", TESTS),
        ("IGNORE_MESSAGE_LIMITS_FOR_TESTING=true", "26.1.0", TESTS),
        ("CATCHUP_SKIP_KNOWN_RESULTS_FOR_TESTING=true", "26.1.0", TESTS),
        ("SKIP_HIGH_CRITICAL_VALIDATOR_CHECKS_FOR_TESTING=true", "26.1.0", TESTS),
        ("TRANSACTION_QUEUE_SIZE_MULTIPLIER_FOR_TESTING=4", "26.1.0", TESTS),
        (
            "SOROBAN_TRANSACTION_QUEUE_SIZE_MULTIPLIER_FOR_TESTING=4",
            "26.1.0",
            TESTS,
        ),
        ("APPLY_LOAD_NUM_LEDGERS=1", "26.1.0", TESTS),
        ("APPLY_LOAD_BL_BATCH_SIZE=1", "26.1.0", TESTS),
        ("APPLY_LOAD_TIME_WRITES=true", "26.1.0", TESTS),
        ("APPLY_LOAD_NUM_LEDGERS=1", "25.0.1", ""),
        ("APPLY_LOAD_NUM_LEDGERS=1", "22.0.0", "added in 23.0.1"),
        ("APPLY_LOAD_NUM_LEDGERS=1", BUILD, ""),
        ("APPLY_LOAD_NUM_LEDGERS='x'", BUILD, "a whole number"),
        ("OP_APPLY_SLEEP_TIME_WEIGHT_FOR_TESTING=[]", "27.0.0", TESTS),
        ("OP_APPLY_SLEEP_TIME_WEIGHT_FOR_TESTING=[]", "26.1.0", ""),
        // Every build knows these.
        ("CATCHUP_WAIT_MERGES_TX_APPLY_FOR_TESTING=true", "26.1.0", ""),
        ("GENESIS_TEST_ACCOUNT_COUNT=1", "26.1.0", ""),
        ("TESTING_SOROBAN_HIGH_LIMIT_OVERRIDE=true", "26.1.0", ""),
        ("TESTING_MINIMUM_PERSISTENT_ENTRY_LIFETIME=9", "26.1.0", "from 10 to"),
        ("TESTING_MINIMUM_PERSISTENT_ENTRY_LIFETIME=10", "26.1.0", ""),
    ]);
}

#[test]
fn keys_that_came_later_or_went_before() {
    judged(&[
        ("DEPRECATED_SQL_LEDGER_STATE=false", "26.1.0", "removed in 23.0.0"),
        ("DEPRECATED_SQL_LEDGER_STATE=false", "22.1.0", ""),
        ("EXPERIMENTAL_BUCKETLIST_DB=true", "26.1.0", "removed in 23.0.0"),
        ("EXPERIMENTAL_BUCKETLIST_DB=true", "21.0.0", ""),
        (
            "EXPERIMENTAL_BUCKETLIST_DB_INDEX_CUTOFF=1",
            "26.1.0",
            "write BUCKETLIST_DB_INDEX_CUTOFF",
        ),
        (
            "EXPERIMENTAL_BACKGROUND_EVICTION_SCAN=true",
            "26.1.0",
            "removed in 23.0.0, and would not start: remove it",
        ),
        (
            "EXPERIMENTAL_BACKGROUND_OVERLAY_PROCESSING=true",
            "26.1.0",
            "write BACKGROUND_OVERLAY_PROCESSING",
        ),
        ("LOADGEN_OP_COUNT_FOR_TESTING=[]", "26.1.0", "removed in 24.1.0"),
        ("KNOWN_CURSORS=[]", "26.1.0", "removed in 22.2.0"),
        ("KNOWN_CURSORS=[]", "22.1.0", ""),
        ("LIMIT_TX_QUEUE_SOURCE_ACCOUNT=true", "26.1.0", "removed in 20.0.0"),
        ("EXPERIMENTAL_TRIGGER_TIMER=true", "26.1.0", "added in 27.1.0"),
        ("EXPERIMENTAL_TRIGGER_TIMER=true", "27.1.0", ""),
        ("NTP_DRIFT_CHECK_SERVER='pool.ntp.org'", "26.1.0", "added in 27.1.0"),
        ("NTP_DRIFT_CHECK_SERVER='pool.ntp.org'", "27.0.0", "added in 27.1.0"),
        ("NTP_DRIFT_CHECK_SERVER='pool.ntp.org'", "27.1.0", ""),
        ("TX_SET_DOWNLOAD_TIMEOUT=1", "26.1.0", "added in 27.0.0"),
        ("DISABLE_TX_META_FOR_TESTING=true", "26.1.0", "added in 27.0.0"),
        (
            "PARALLEL_LEDGER_APPLY=false",
            "24.1.0",
            "write EXPERIMENTAL_PARALLEL_LEDGER_APPLY",
        ),
        (
            "PARALLEL_LEDGER_APPLY=false",
            "22.1.0",
            "added in 25.1.0, and would not start: remove it",
        ),
        ("PARALLEL_LEDGER_APPLY=false", "25.1.0", ""),
        ("EXPERIMENTAL_PARALLEL_LEDGER_APPLY=false", "22.1.0", "added in 22.2.0"),
        // Uncertain keys are not refused; certain errors are.
        ("NTP_DRIFT_CHECK_SERVER='pool.ntp.org'", "latest", ""),
        ("NTP_DRIFT_CHECK_SERVER='pool.ntp.org'", "26.9.0", ""),
        ("IGNORE_MESSAGE_LIMITS_FOR_TESTING=true", "latest", ""),
        ("EXPERIMENTAL_BUCKETLIST_DB=true", "latest", ""),
        ("EXPERIMENTAL_BUCKETLIST_DB=true", "99.0.0", "removed in 23.0.0"),
        // The bounds depend on the release.
        ("WORKER_THREADS=1", "20.4.0", ""),
        ("WORKER_THREADS=1", "21.0.0", "from 2 to 1000"),
        ("QUERY_SNAPSHOT_LEDGERS=11", "22.0.0", "from 0 to 10"),
        ("QUERY_SNAPSHOT_LEDGERS=11", "23.0.0", ""),
    ]);
}

#[test]
fn values_that_are_refused_behind_the_reading() {
    let filtered = |key: &str| format!("FILTERED_G_ADDRESSES=['{key}']");
    let account = rules_tests::key(1);
    judged(&[
        ("INVARIANT_CHECKS=['Lumens']", "26.1.0", "none of the invariants"),
        ("INVARIANT_CHECKS=['']", "26.1.0", "empty"),
        ("INVARIANT_CHECKS=['(']", "26.1.0", "not a regular expression"),
        ("INVARIANT_CHECKS=['.*']", "26.1.0", "needs METADATA_OUTPUT_STREAM"),
        (
            "INVARIANT_CHECKS=['EventsAreConsistentWithEntryDiffs']",
            "26.1.0",
            "needs METADATA_OUTPUT_STREAM",
        ),
        (
            "INVARIANT_CHECKS=['(?!BucketListIsConsistentWithDatabase).*']",
            "26.1.0",
            "needs METADATA_OUTPUT_STREAM",
        ),
        ("INVARIANT_CHECKS=['(?!BucketList|Events).*']", "26.1.0", ""),
        ("INVARIANT_CHECKS=['.*']", "22.4.1", ""),
        (
            "INVARIANT_CHECKS=['ConservationOfLumens','Conservation.*']",
            "26.1.0",
            "remove one",
        ),
        ("BUCKETLIST_DB_INDEX_PAGE_SIZE_EXPONENT=32", "26.1.0", "from 8 to 31"),
        ("BUCKETLIST_DB_INDEX_PAGE_SIZE_EXPONENT=64", "26.1.0", "from 8 to 31"),
        ("BUCKETLIST_DB_INDEX_PAGE_SIZE_EXPONENT=7", "26.1.0", "from 8 to 31"),
        ("BUCKETLIST_DB_INDEX_PAGE_SIZE_EXPONENT=31", "26.1.0", ""),
        ("BUCKETLIST_DB_INDEX_PAGE_SIZE_EXPONENT=0", "26.1.0", ""),
        (
            "EXCLUDE_TRANSACTIONS_CONTAINING_OPERATION_TYPE=['payment']",
            "26.1.0",
            "did you mean PAYMENT?",
        ),
        (
            "EXCLUDE_TRANSACTIONS_CONTAINING_OPERATION_TYPE=['SWAP']",
            "26.1.0",
            "no operation \"SWAP\"",
        ),
        ("EXCLUDE_TRANSACTIONS_CONTAINING_OPERATION_TYPE=['SWAP']", "latest", ""),
        (
            "EXCLUDE_TRANSACTIONS_CONTAINING_OPERATION_TYPE=['swap']",
            "latest",
            "no operation",
        ),
        (
            "EXCLUDE_TRANSACTIONS_CONTAINING_OPERATION_TYPE=['PAYMENT','RESTORE_FOOTPRINT']",
            "26.1.0",
            "",
        ),
        (
            "EXCLUDE_TRANSACTIONS_CONTAINING_OPERATION_TYPE=['RESTORE_FOOTPRINT']",
            "19.14.0",
            "no operation",
        ),
        (
            "EXCLUDE_TRANSACTIONS_CONTAINING_OPERATION_TYPE=[1]",
            "26.1.0",
            "array of strings",
        ),
        (&filtered("x"), "26.1.0", "no account"),
        (&filtered(&account), "26.1.0", ""),
        (&filtered(&account), "25.1.1", "added in 25.1.3"),
        ("FLOOD_OP_RATE_PER_LEDGER=1e400", "26.1.0", "not TOML"),
        ("FLOOD_OP_RATE_PER_LEDGER=1e300", "26.1.0", "at most 9.2e18"),
        ("FLOOD_OP_RATE_PER_LEDGER=inf", "26.1.0", "does not reach"),
        ("FLOOD_SOROBAN_RATE_PER_LEDGER=1e-400", "26.1.0", "a number above 0"),
        ("FLOOD_ARB_TX_DAMPING_FACTOR=1e-310", "26.1.0", "does not reach"),
        // The image may contain the file, so admission only warns.
        ("PATH_TO_PROTOCOL_23_CORRUPTION_FILE='/data/p23.csv'", "26.1.0", ""),
    ]);
}

#[test]
fn keys_that_do_not_go_together() {
    let load = "ARTIFICIALLY_GENERATE_LOAD_FOR_TESTING=true\n";
    judged(&[
        ("METADATA_OUTPUT_STREAM='fd:3'", "26.1.0", "streams from no validator"),
        ("METADATA_OUTPUT_STREAM=''", "26.1.0", ""),
        ("METADATA_OUTPUT_STREAM='fd:3'\nRUN_STANDALONE=true", "26.1.0", ""),
        ("HTTP_QUERY_PORT=11630", "26.1.0", "HTTP_QUERY_PORT is 11630"),
        ("HTTP_QUERY_PORT=11626", "26.1.0", "answers no queries"),
        ("HTTP_QUERY_PORT=0", "26.1.0", ""),
        ("HTTP_QUERY_PORT=11626\nRUN_STANDALONE=true", "26.1.0", "is taken"),
        ("HTTP_QUERY_PORT=11630\nRUN_STANDALONE=true", "26.1.0", ""),
        (
            "ENABLE_SOROBAN_DIAGNOSTIC_EVENTS=true",
            "26.1.0",
            "a validator cannot have it",
        ),
        ("ENABLE_SOROBAN_DIAGNOSTIC_EVENTS=false", "26.1.0", ""),
        (
            "ENABLE_SOROBAN_DIAGNOSTIC_EVENTS=true\nRUN_STANDALONE=true",
            "26.1.0",
            "",
        ),
        ("OP_APPLY_SLEEP_TIME_DURATION_FOR_TESTING=[1]", "26.1.0", "give both"),
        ("OP_APPLY_SLEEP_TIME_WEIGHT_FOR_TESTING=[1]", "26.1.0", "give both"),
        (
            "OP_APPLY_SLEEP_TIME_DURATION_FOR_TESTING=[1]\nOP_APPLY_SLEEP_TIME_WEIGHT_FOR_TESTING=[0]",
            "26.1.0",
            "above 0",
        ),
        (
            "OP_APPLY_SLEEP_TIME_DURATION_FOR_TESTING=[1]\nOP_APPLY_SLEEP_TIME_WEIGHT_FOR_TESTING=[1]",
            "26.1.0",
            "",
        ),
        (
            &format!("{load}LOADGEN_BYTE_COUNT_FOR_TESTING=[1]"),
            "26.1.0",
            "give both",
        ),
        (
            &format!("{load}LOADGEN_WASM_BYTES_DISTRIBUTION_FOR_TESTING=[1]"),
            "26.1.0",
            "give both",
        ),
        (
            &format!(
                "{load}LOADGEN_TX_SIZE_BYTES_FOR_TESTING=[1, 2]\nLOADGEN_TX_SIZE_BYTES_DISTRIBUTION_FOR_TESTING=[1]"
            ),
            "26.1.0",
            "has 2 elements",
        ),
        (
            &format!("{load}LOADGEN_INSTRUCTIONS_FOR_TESTING=[1]\nLOADGEN_INSTRUCTIONS_DISTRIBUTION_FOR_TESTING=[0]"),
            "26.1.0",
            "above 0",
        ),
        (
            "LOADGEN_IO_KILOBYTES_FOR_TESTING=[1]\nLOADGEN_IO_KILOBYTES_DISTRIBUTION_FOR_TESTING=[1]",
            "26.1.0",
            "needs ARTIFICIALLY_GENERATE_LOAD_FOR_TESTING=true",
        ),
        (
            &format!(
                "{load}LOADGEN_NUM_DATA_ENTRIES_FOR_TESTING=[1]\nLOADGEN_NUM_DATA_ENTRIES_DISTRIBUTION_FOR_TESTING=[1]"
            ),
            "26.1.0",
            "",
        ),
        (
            "PEER_FLOOD_READING_CAPACITY_BYTES=200000\nFLOW_CONTROL_SEND_MORE_BATCH_SIZE_BYTES=100000",
            "26.1.0",
            "greater by 102400",
        ),
        (
            "PEER_FLOOD_READING_CAPACITY_BYTES=202400\nFLOW_CONTROL_SEND_MORE_BATCH_SIZE_BYTES=100000",
            "26.1.0",
            "",
        ),
        (
            "PEER_FLOOD_READING_CAPACITY_BYTES=102399",
            "26.1.0",
            "greater by 102400",
        ),
        (
            "FLOW_CONTROL_SEND_MORE_BATCH_SIZE_BYTES=1",
            "26.1.0",
            "greater by 102400",
        ),
        ("PEER_FLOOD_READING_CAPACITY_BYTES=0", "26.1.0", ""),
        ("PEER_FLOOD_READING_CAPACITY_BYTES=0", "22.2.0", "from 1 to"),
        ("PEER_READING_CAPACITY=200", "26.1.0", "greater than the latter"),
        ("PEER_READING_CAPACITY=200", "22.2.0", ""),
        (
            "FLOW_CONTROL_SEND_MORE_BATCH_SIZE=201",
            "26.1.0",
            "no greater than the latter",
        ),
        ("EXPERIMENTAL_PARALLEL_LEDGER_APPLY=true", "25.1.0", ""),
        ("EXPERIMENTAL_PARALLEL_LEDGER_APPLY=true", "25.0.1", "SQLite"),
        ("EXPERIMENTAL_PARALLEL_LEDGER_APPLY=true", "22.2.0", "SQLite"),
        ("EXPERIMENTAL_PARALLEL_LEDGER_APPLY=false", "24.1.0", ""),
        ("PARALLEL_LEDGER_APPLY=true", "26.1.0", ""),
    ]);
}

#[test]
fn addresses_that_stellar_core_accepts_and_cannot_use_are_refused() {
    judged(&[
        ("PREFERRED_PEERS=['core_1:11625']", "26.1.0", "core_1"),
        ("PREFERRED_PEERS=['[fd00::1]:11625']", "26.1.0", "fd00"),
        ("PREFERRED_PEERS=['core-1:11625']", "26.1.0", ""),
    ]);
}

#[test]
fn a_config_without_a_passphrase_is_refused() {
    let base = base_config(&with(|_| ())).unwrap();
    let base = base.replace("NETWORK_PASSPHRASE=\"Private ; 2026\"", "NETWORK_PASSPHRASE=\"\"");
    let refused = render(&sources(&base, &me()), &seed(1)).unwrap_err().to_string();
    assert!(refused.contains("NETWORK_PASSPHRASE is empty"), "{refused}");
}

#[test]
fn a_captive_core_may_have_what_a_validator_may_not() {
    let network = crate::crd::Network::parse("testnet");
    for line in [
        "METADATA_OUTPUT_STREAM='fd:3'",
        "ENABLE_SOROBAN_DIAGNOSTIC_EVENTS=true",
        "HTTP_QUERY_PORT=11630",
        "INVARIANT_EXTRA_CHECKS=true",
        "EXPERIMENTAL_BUCKETLIST_DB=true",
        "LIMIT_TX_QUEUE_SOURCE_ACCOUNT=true",
        "KEY_OF_TOMORROW=1",
    ] {
        let text = format!("{line}\n[QUORUM_SET]\nVALIDATORS=['a']\n");
        assert_eq!(check_captive_core(&text, &network), Vec::<String>::new(), "{line}");
    }
}
