//! Configs that stellar-core accepts or refuses, each with the branch of `Config.cpp` that decides.

use proptest::prelude::*;
use serde_json::json;
use stellar_strkey::ed25519::{PrivateKey, PublicKey};

use super::quorum::quorum_tests::{check_quorum_set, trusting};
use super::render_tests::sources;
use crate::core_config::*;
use crate::crd::{StellarNodeSpec, ValidatorConfig};
use crate::peers::NodeId;

pub(super) fn key(number: u8) -> String {
    PublicKey([number; 32]).to_string().as_str().to_owned()
}

pub(super) fn seed_text(number: u8) -> String {
    PrivateKey([number; 32]).as_unredacted().to_string().as_str().to_owned()
}

pub(super) fn seed(number: u8) -> Seed {
    Seed::parse(&seed_text(number)).unwrap()
}

/// The problems of `coreConfig` with the database on the volume.
fn check_core_config(text: &str) -> Vec<String> {
    check::core_config_problems(text, Keys::Listed, false).into_vec()
}

/// Replaces `K1` … `K9` by public keys.
pub(super) fn keys_in(text: &str) -> String {
    (1..=9).fold(text.to_owned(), |text, i| text.replace(&format!("K{i}"), &key(i)))
}

pub(super) fn flat(count: u8, rest: &str) -> String {
    let members: Vec<String> = (1..=count).map(|i| format!("\"{}\"", key(i))).collect();
    format!("[QUORUM_SET]\nVALIDATORS=[{}]\n{rest}", members.join(","))
}

/// Three validators of one home domain, each with an archive.
pub(super) const THREE: &str = "
[[VALIDATORS]]\nNAME='a'\nHOME_DOMAIN='x.org'\nPUBLIC_KEY='K1'\nHISTORY='curl a'
[[VALIDATORS]]\nNAME='b'\nHOME_DOMAIN='x.org'\nPUBLIC_KEY='K2'\nHISTORY='curl b'
[[VALIDATORS]]\nNAME='c'\nHOME_DOMAIN='x.org'\nPUBLIC_KEY='K3'\nHISTORY='curl c'
";

pub(super) fn domains(list: &str, rest: &str) -> String {
    let domains: String = list
        .split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(domain, quality)| format!("[[HOME_DOMAINS]]\nHOME_DOMAIN='{domain}'\nQUALITY='{quality}'\n"))
        .collect();
    domains + rest
}

#[test]
fn core_config_may_hold_what_stellar_core_knows_and_the_operator_does_not_own() {
    let good = "TARGET_PEER_CONNECTIONS=12\nCATCHUP_RECENT=1000\n[HISTORY.mine]\nget='a'\nput='b'\nmkdir='c'";
    assert_eq!(check_core_config(good), Vec::<String>::new());
    for (text, problem) in [
        ("NODE_SEED='x'", "seedSecretRef"),
        ("PEER_PORT=1", "peerPort"),
        ("KNOWN_PEERS=[]", "knownPeers"),
        ("PUBLIC_HTTP_PORT=true", "ask for no password"),
        ("[QUORUM_SET]\nVALIDATORS=[]", "quorumSet"),
        ("SPEED=1", "knows no key"),
        ("MAX_PENDING_CONNECTIONS='many'", "from 1 to 65535"),
        ("HISTORY='x'", "HISTORY is not a table"),
        ("[HISTORY.a]\nget='x'\nfetch='x'", "get, put and mkdir"),
        ("HISTOGRAM_WINDOW_SIZE=7", "divides 300"),
        ("MAX_DEX_TX_OPERATIONS_IN_TX_SET=5", "at least 102"),
        ("HTTP_QUERY_PORT=11626", "answers no queries"),
        ("PEER_READING_CAPACITY=100", "PEER_FLOOD_READING_CAPACITY"),
        ("A=1\nA=2", "not TOML"),
    ] {
        let problems = check_core_config(text);
        assert!(
            problems.len() == 1 && problems[0].contains(problem),
            "{text}: {problems:?}"
        );
    }
}

#[test]
fn a_key_of_tomorrow_reaches_a_stellar_core_of_tomorrow() {
    let with_version = |version: &str| {
        let mut spec = with(|config| config.core_config = Some("KEY_OF_TOMORROW=1".to_owned()));
        spec.version = version.to_owned();
        spec
    };
    let refused = base_config(&with_version("24.0.0")).unwrap_err().to_string();
    assert!(refused.contains("knows no key \"KEY_OF_TOMORROW\""), "{refused}");
    let base = base_config(&with_version("99.0.0")).unwrap();
    let me = me();
    let on = |version| Sources {
        keys: Keys::of(version),
        ..sources(&base, &me)
    };
    let file = render(&on("99.0.0"), &seed(1)).unwrap();
    assert!(file.contains("KEY_OF_TOMORROW=1\n"), "{file}");
    assert!(render(&on("24.0.0"), &seed(1)).is_err());
    let text = "KEY_OF_TOMORROW=1\nLOG_COLOR=true\nlog_color=1";
    assert_eq!(key_warnings(text, Keys::of("99.0.0")).len(), 1);
    assert_eq!(key_warnings(text, Keys::of("24.0.0")), Vec::<String>::new());
}

#[test]
fn what_sqlite_cannot_do_another_database_can() {
    let mut spec = with(|config| {
        config.core_config = Some("EXPERIMENTAL_PARALLEL_LEDGER_APPLY=true".to_owned());
        config.database = serde_json::from_value(json!({ "secretKeyRef": { "name": "db", "key": "url" } })).unwrap();
    });
    spec.version = "24.0.0".to_owned();
    let keys = Keys::of(&spec.version);
    assert_eq!(check_validator(spec.validator_config.as_ref().unwrap(), keys), []);
    let base = base_config(&spec).unwrap();
    let me = me();
    let on = |database| Sources {
        database,
        keys,
        ..sources(&base, &me)
    };
    assert!(preview(&on(Database::Withheld), None).is_ok());
    assert!(render(&on(Database::Given("postgresql://dbname=core")), &seed(1)).is_ok());
    // The Secret may still name an SQLite database.
    let refused = render(&on(Database::Given("sqlite3:///data/other.db")), &seed(1)).unwrap_err();
    assert!(refused.to_string().contains("does not work with SQLite"), "{refused}");
}

pub(super) fn spec(quorum_set: Option<String>) -> StellarNodeSpec {
    let mut spec: StellarNodeSpec = serde_json::from_value(serde_json::json!({
        "nodeType": "Validator", "network": "Private ; 2026", "version": "26.0.1",
        "validatorConfig": {"seedSecretRef": "seed"},
    }))
    .unwrap();
    if let Some(config) = &mut spec.validator_config {
        config.quorum_set = quorum_set;
    }
    spec
}

pub(super) fn with(change: impl FnOnce(&mut ValidatorConfig)) -> StellarNodeSpec {
    let mut spec = spec(Some(flat(4, "")));
    change(spec.validator_config.as_mut().unwrap());
    spec
}

pub(super) fn me() -> NodeId {
    NodeId::new("stellar", "validator-1")
}

#[test]
fn a_base_config_holds_all_but_seed_and_peers() {
    let spec = with(|config| {
        config.core_config = Some("TARGET_PEER_CONNECTIONS=12\n[HISTORY.mine]\nget='x'".to_owned());
        config.enable_history_archive = true;
        config.history_archive_urls = vec!["https://history.example/".to_owned()];
        config.home_domain = Some("example.org".to_owned());
    });
    let text = base_config(&spec).unwrap();
    for line in [
        "NETWORK_PASSPHRASE=\"Private ; 2026\"\n",
        "PEER_PORT=11625\nHTTP_PORT=11626\nPUBLIC_HTTP_PORT=false\nLOG_FILE_PATH=\"\"\n",
        "DATABASE=\"sqlite3:///data/stellar.db\"\nBUCKET_DIR_PATH=\"/data/buckets\"\nNODE_IS_VALIDATOR=true\n",
        "NODE_HOME_DOMAIN=\"example.org\"\nTARGET_PEER_CONNECTIONS=12\n",
        "\n[HISTORY.mine]\nget=\"x\"\n",
        "\n[HISTORY.h1]\nget=\"curl -sf https://history.example/{0} -o {1}\"\n",
        "\n[QUORUM_SET]\nVALIDATORS=[\"G",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("KNOWN_PEERS") && !text.contains("NODE_SEED"));
    assert_eq!(text, base_config(&spec).unwrap());
}

#[test]
fn testnet_has_a_quorum_of_its_own_and_other_networks_have_none() {
    let mut testnet = spec(None);
    testnet.network = "Testnet".to_owned();
    let base = base_config(&testnet).unwrap();
    assert!(
        base.contains("sdftest3") && base.contains("NODE_HOME_DOMAIN=\"self\""),
        "{base}"
    );
    assert!(render(&sources(&base, &me()), &seed(1)).is_ok());
    for network in ["mainnet", "futurenet", "Private ; 2026"] {
        let mut other = spec(None);
        other.network = network.to_owned();
        let error = base_config(&other).unwrap_err();
        assert!(
            matches!(error, ConfigError::NoQuorumSet { .. }) && error.to_string().contains("QUORUM_SET"),
            "{error}"
        );
    }
}

#[test]
fn fields_are_named_in_what_is_refused() {
    for (spec, field) in [
        (with(|c| c.known_peers = vec!["::1".to_owned()]), "knownPeers"),
        (
            with(|c| c.history_archive_urls = vec!["https://a/ b".to_owned()]),
            "historyArchiveUrls",
        ),
        (
            with(|c| c.history_archive_urls = vec!["https://a/;reboot".to_owned()]),
            "historyArchiveUrls",
        ),
        (
            with(|c| c.history_archive_urls = vec!["ftp://a".to_owned()]),
            "historyArchiveUrls",
        ),
        (with(|c| c.core_config = Some("NODE_SEED='x'".to_owned())), "coreConfig"),
        (with(|c| c.quorum_set = Some(flat(3, ""))), "quorumSet"),
    ] {
        let error = base_config(&spec).unwrap_err().to_string();
        assert!(error.contains(&format!("spec.validatorConfig.{field}: ")), "{error}");
    }
    // UNSAFE_QUORUM may be in coreConfig.
    let spec = with(|c| {
        c.quorum_set = Some(flat(3, ""));
        c.core_config = Some("UNSAFE_QUORUM=true".to_owned());
    });
    assert!(base_config(&spec).is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_a_check_panic(
        text in prop_oneof![
            any::<String>(),
            prop::collection::vec(
                prop::sample::select(vec![
                    "[QUORUM_SET]", "[QUORUM_SET.a.b]", "[[VALIDATORS]]", "[[HOME_DOMAINS]]", "NAME='a'", "QUALITY='HIGH'",
                    "VALIDATORS=['$self','$a','']", "VALIDATORS=[]", "HOME_DOMAIN='x'", "THRESHOLD_PERCENT=1",
                    "PUBLIC_KEY='GDKXE2OZMJIPOSLNA6N6F2BVCI3O777I2OOC4BV7VOYUEHYX7RTRYA7Y'", "HISTORY='x'",
                    "UNSAFE_QUORUM=true", "FAILURE_SAFETY=9223372036854775807", "[HISTORY.a]", "NODE_NAMES=['G a']",
                    "INVARIANT_CHECKS=['(?!a).*','(']", "FLOOD_OP_RATE_PER_LEDGER=1e999", "LOADGEN_OP_COUNT_FOR_TESTING=[0]",
                    "HISTOGRAM_WINDOW_SIZE=0", "PEER_FLOOD_READING_CAPACITY_BYTES=-9223372036854775808",
                ]),
                0..12,
            )
            .prop_map(|lines| lines.join("\n")),
        ],
    ) {
        check_quorum_set(&text);
        check_core_config(&text);
        check_core_config(&format!("INVARIANT_CHECKS=[{text:?}]"));
        for version in ["19.0.0", "26", "latest"] {
            check::core_config_problems(&text, Keys::of(version), true);
            key_warnings(&text, Keys::of(version));
        }
        quorum_warnings(&trusting(&text, &text));
        let _ = render(&sources(&text, &me()), &seed(1));
    }
}

#[test]
fn what_no_stellar_core_takes_is_refused_before_it_costs_anything() {
    let keys: String = (0..501).map(|number| format!("K{number}=1\n")).collect();
    let path = format!("[{}]\na=1", vec!["x".repeat(100); 6].join("."));
    for (what, text) in [
        ("bytes", format!("# {}", "x".repeat(512 << 10))),
        ("lines and values", "\n".repeat(30_001)),
        ("keys", keys),
        ("characters", path),
    ] {
        let error = document::parse_given("coreConfig", &text).unwrap_err();
        assert!(matches!(error, ConfigError::TooLarge { .. }), "{what}: {error}");
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
}
