//! The config of a captive core, the stellar-core that Horizon and Stellar RPC run in their own pod.
//!
//! Those programs read the text, add their own keys and start stellar-core; this module only checks the text. It goes
//! into a ConfigMap, so it must not contain a secret. The network passphrase and the archives are passed separately.

use toml::Value;

use super::problems::Problems;
use super::{ConfigError, Keys, base, document, keys};
use crate::crd::Network;
use crate::labels;

/// History archives of SDF, from stellar/go `network/main.go`.
const PUBLIC_ARCHIVES: [&str; 3] = [
    "https://history.stellar.org/prd/core-live/core_live_001",
    "https://history.stellar.org/prd/core-live/core_live_002",
    "https://history.stellar.org/prd/core-live/core_live_003",
];
const TESTNET_ARCHIVES: [&str; 3] = [
    "https://history.stellar.org/prd/core-testnet/core_testnet_001",
    "https://history.stellar.org/prd/core-testnet/core_testnet_002",
    "https://history.stellar.org/prd/core-testnet/core_testnet_003",
];
const FUTURENET_ARCHIVES: [&str; 3] = [
    "http://history.stellar.org/dev/core-futurenet/core_futurenet_001",
    "http://history.stellar.org/dev/core-futurenet/core_futurenet_002",
    "http://history.stellar.org/dev/core-futurenet/core_futurenet_003",
];

/// Keys of `captiveCoreTomlValues` in stellar/go `ingest/ledgerbackend/toml.go` (commit 07eb070f), and its tables.
const LISTED: [&str; 21] = [
    "ARTIFICIALLY_ACCELERATE_TIME_FOR_TESTING",
    "DATABASE",
    "ENABLE_SOROBAN_DIAGNOSTIC_EVENTS",
    "EXPERIMENTAL_BUCKETLIST_DB",
    "EXPERIMENTAL_BUCKETLIST_DB_INDEX_CUTOFF",
    "EXPERIMENTAL_BUCKETLIST_DB_INDEX_PAGE_SIZE_EXPONENT",
    "FAILURE_SAFETY",
    "HISTORY",
    "HOME_DOMAINS",
    "HTTP_PORT",
    "LIMIT_TX_QUEUE_SOURCE_ACCOUNT",
    "LOG_FILE_PATH",
    "NETWORK_PASSPHRASE",
    "NODE_NAMES",
    "PEER_PORT",
    "PUBLIC_HTTP_PORT",
    "QUORUM_SET",
    "RUN_STANDALONE",
    "TESTING_MINIMUM_PERSISTENT_ENTRY_LIFETIME",
    "UNSAFE_QUORUM",
    "VALIDATORS",
];

/// The config of a captive core on a network: the given text, or the network's default. Fails if the text is invalid,
/// or there is none and the network has no default.
pub fn captive_core_config(text: Option<&str>, network: &Network) -> Result<String, ConfigError> {
    match text {
        None if network.is_testnet() => Ok(base::TESTNET.trim_start().to_owned()),
        None => Err(ConfigError::NoCaptiveCoreConfig {
            network: network.display_name(),
        }),
        Some(text) => {
            let problems = check_captive_core(text, network);
            if problems.is_empty() {
                Ok(text.to_owned())
            } else {
                Err(ConfigError::Refused(problems))
            }
        }
    }
}

/// The problems of a captive core's config.
pub fn check_captive_core(text: &str, network: &Network) -> Vec<String> {
    let table = match document::parse_given("captiveCoreConfig", text) {
        Ok(table) => table,
        Err(error) => return vec![error.to_string()],
    };
    let mut problems = Problems::default();
    for (key, value) in &table {
        match (key.as_str(), value) {
            ("NODE_SEED", _) => problems.push(
                "NODE_SEED would be readable in a ConfigMap, and a captive core needs none: remove it".to_owned(),
            ),
            // NewCaptiveCoreTomlFromData.
            ("BUCKET_DIR_PATH", _) => problems.push(
                "BUCKET_DIR_PATH is refused by Horizon and by Stellar RPC, whose storage is their own: remove it"
                    .to_owned(),
            ),
            ("NODE_IS_VALIDATOR", Value::Boolean(true)) => {
                problems.push("a captive core is not a validator: remove NODE_IS_VALIDATOR".to_owned());
            }
            // stellar-rpc exits if this is not its own setting of the port.
            ("HTTP_PORT", Value::Integer(port)) if *port != i64::from(labels::HTTP_PORT) => problems.push(format!(
                "HTTP_PORT is {port}, and a captive core must listen at {}: remove it",
                labels::HTTP_PORT
            )),
            ("NETWORK_PASSPHRASE", Value::String(passphrase)) if Network::parse(passphrase) != *network => {
                problems.push(format!(
                    "NETWORK_PASSPHRASE is that of {} and spec.network is {}: remove it",
                    Network::parse(passphrase).display_name(),
                    network.display_name()
                ));
            }
            _ => problems.extend(keys::problems(key, value, Keys::PerhapsMore)),
        }
    }
    if !table.contains_key("QUORUM_SET") && !table.contains_key("VALIDATORS") {
        problems.push(
            "captiveCoreConfig has neither [QUORUM_SET] nor [[VALIDATORS]]: name the validators that it trusts"
                .to_owned(),
        );
    }
    problems.into_vec()
}

/// Warnings about keys that stellar-core knows but Horizon or Stellar RPC may refuse at start: these programs have
/// their own list of keys, which grows with their versions.
pub fn unlisted_keys(text: &str) -> Vec<String> {
    let table = document::parse_given("captiveCoreConfig", text).unwrap_or_default();
    let unlisted = table.keys().filter(|key| !LISTED.contains(&key.as_str()));
    unlisted
        .map(|key| {
            format!(
                "{key} is not in the operator's list of captive core settings: Horizon or Stellar RPC exits at \
                 start if it does not know the key"
            )
        })
        .collect::<Problems>()
        .into_vec()
}

/// The archives of SDF's networks; empty for others.
pub fn history_archives(network: &Network) -> &'static [&'static str] {
    if network.is_public() {
        &PUBLIC_ARCHIVES
    } else if network.is_testnet() {
        &TESTNET_ARCHIVES
    } else if network.is_futurenet() {
        &FUTURENET_ARCHIVES
    } else {
        &[]
    }
}

/// The problem of an archive's URL in a comma-separated list; `None` if it is valid.
pub fn archive_problem(url: &str) -> Option<String> {
    if url.contains(',') {
        return Some(format!("{url:?} holds a comma: write one URL an entry"));
    }
    base::url_problem(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_key_that_only_stellar_core_knows_it_is_told() {
        assert_eq!(unlisted_keys(base::TESTNET), [""; 0]);
        let told = unlisted_keys("KNOWN_PEERS=['a:11625']\nPEER_PORT=11725\n[QUORUM_SET]\nVALIDATORS=['a']\n");
        assert!(
            told.len() == 1 && told[0].starts_with("KNOWN_PEERS is not in the operator's list"),
            "{told:?}"
        );
    }

    #[test]
    fn what_a_captive_core_may_be_given() {
        let testnet = Network::parse("testnet");
        for text in [
            base::TESTNET,
            "NETWORK_PASSPHRASE='Test SDF Network ; September 2015'\n[QUORUM_SET]\nVALIDATORS=['a']\n",
            "PEER_PORT=11725\nHTTP_PORT=11626\n[QUORUM_SET]\nVALIDATORS=['a']\n",
        ] {
            assert_eq!(check_captive_core(text, &testnet), [] as [&str; 0], "{text}");
        }
        for (text, word) in [
            (
                "BUCKET_DIR_PATH='a'\n[QUORUM_SET]\nVALIDATORS=['a']\n",
                "whose storage is their own",
            ),
            ("[QUORUM_SET", "not TOML"),
            ("", "neither"),
            ("NODE_SEED='S'\n[QUORUM_SET]\n", "ConfigMap"),
            ("NODE_IS_VALIDATOR=true\n[QUORUM_SET]\n", "is not a validator"),
            ("NETWORK_PASSPHRASE='public'\n[QUORUM_SET]\n", "mainnet"),
            ("HTTP_PORT=11726\n[QUORUM_SET]\n", "11626"),
            ("PEERPORT=1\n[QUORUM_SET]\n", "PEERPORT"),
        ] {
            let problems = check_captive_core(text, &testnet);
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].contains(word), "{word}: {problems:?}");
        }
    }

    #[test]
    fn a_problem_never_repeats_a_secret() {
        let seed = "SDRF6TPB7MLFX4PQDUAJIUEGBRFRCTSSSMMUIUNSMJJRODF5TBZ36VHN";
        let network = Network::parse("testnet");
        for text in [
            format!("NODE_SEED='{seed}'\n[QUORUM_SET]\n"),
            format!("NODE_SEED='{seed}\n"),
        ] {
            let problems = check_captive_core(&text, &network).join(" ");
            assert!(!problems.contains(seed), "{problems}");
        }
    }

    #[test]
    fn only_testnet_has_a_default() {
        assert!(captive_core_config(None, &Network::parse("testnet")).is_ok());
        for network in ["mainnet", "futurenet", "My network"] {
            let error = captive_core_config(None, &Network::parse(network)).unwrap_err();
            assert!(error.to_string().contains("captiveCoreConfig"), "{error}");
        }
    }

    #[test]
    fn archives() {
        for (network, count) in [("Public", 3), ("testnet", 3), ("futurenet", 3), ("My network", 0)] {
            let archives = history_archives(&Network::parse(network));
            assert_eq!(archives.len(), count, "{network}");
            assert!(archives.iter().all(|url| archive_problem(url).is_none()));
        }
        for url in ["https://a,https://b", "ftp://a", "https://a b", "https://a;ls"] {
            assert!(archive_problem(url).is_some(), "{url}");
        }
    }
}
