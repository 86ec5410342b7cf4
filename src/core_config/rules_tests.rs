//! Tests: configs that stellar-core accepts or refuses, each with the branch of `Config.cpp` that does.

use proptest::prelude::*;
use serde_json::json;
use stellar_strkey::ed25519::{PrivateKey, PublicKey};

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

/// What is wrong with the text of `quorumSet` alone.
fn check_quorum_set(text: &str) -> Vec<String> {
    match document::parse_given("quorumSet", text) {
        Ok(quorum) => check::quorum_problems(quorum, &toml::Table::new(), None).into_vec(),
        Err(error) => vec![error.to_string()],
    }
}

/// What is wrong with the text of `coreConfig` where the database is on the volume.
fn check_core_config(text: &str) -> Vec<String> {
    check::core_config_problems(text, Keys::Listed, false).into_vec()
}

/// `K1` … `K9` in a text become public keys.
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
fn quorum_sets_are_judged_as_stellar_core_judges_them() {
    // Text of quorumSet, then a word of the one problem, or "" where stellar-core starts; and the branch that decides.
    let nested = |depth: usize| {
        let path: String = (0..depth).map(|i| format!(".L{i}")).collect();
        format!("UNSAFE_QUORUM=true\n[QUORUM_SET{path}]\nVALIDATORS=['K1','K2','K3','K4']")
    };
    #[rustfmt::skip]
    let cases: Vec<(String, &str, &str)> = vec![
        (flat(4, ""), "", "loadQset: 67 % by default, 3 of 4"),
        (flat(7, "THRESHOLD_PERCENT=67"), "", "loadQset: 5 of 7"),
        (flat(4, "THRESHOLD_PERCENT=66"), "", "validateConfig: 66 % of 4 rounds up to 3 = minSize"),
        (flat(4, "THRESHOLD_PERCENT=51"), "", "validateConfig: 51 % of 4 rounds up to 3 = minSize"),
        (flat(4, "THRESHOLD_PERCENT=50"), "3 is the least", "validateConfig: threshold < minSize, SCP unsafe"),
        (flat(4, "THRESHOLD_PERCENT=100"), "FAILURE_SAFETY asks to stand 1", "validateConfig: FAILURE_SAFETY >= r.size()"),
        (flat(3, ""), "stands no failure", "validateConfig: FAILURE_SAFETY == 0, SCP unsafe"),
        (format!("UNSAFE_QUORUM=true\n{}", flat(3, "")), "", "validateConfig: UNSAFE_QUORUM"),
        (format!("UNSAFE_QUORUM=true\n{}", flat(3, "THRESHOLD_PERCENT=66")), "", "validateConfig: 2 of 3 with UNSAFE_QUORUM"),
        (format!("UNSAFE_QUORUM=true\n{}", flat(1, "")), "", "validateConfig: one node with UNSAFE_QUORUM"),
        (format!("FAILURE_SAFETY=1\n{}", flat(4, "")), "", "validateConfig: 1 < r.size() = 2"),
        (format!("FAILURE_SAFETY=2\n{}", flat(4, "")), "asks to stand 2", "validateConfig: FAILURE_SAFETY >= r.size()"),
        (format!("FAILURE_SAFETY=0\n{}", flat(4, "")), "stands no failure", "validateConfig: FAILURE_SAFETY == 0"),
        (format!("FAILURE_SAFETY=-2\n{}", flat(4, "")), "from -1 to", "readInt: FAILURE_SAFETY below -1"),
        (flat(4, "THRESHOLD_PERCENT=0"), "from 1 to 100", "loadQset: f <= 0"),
        (flat(4, "THRESHOLD_PERCENT=101"), "from 1 to 100", "loadQset: f > 100"),
        (flat(4, "THRESHOLD_PERCENT='67'"), "from 1 to 100", "loadQset: not an integer"),
        (flat(4, "PEER_PORT=1"), "move it above", "loadQset: a key after a table is taken for an inner set"),
        (flat(4, "WHO=1"), "no key \"WHO\"", "loadQset: should be a group"),
        ("QUORUM_SET=1".to_owned(), "write a table", "loadQset: !group"),
        ("[QUORUM_SET]".to_owned(), "names nobody", "loadQset: invalid quorum set definition"),
        ("[QUORUM_SET]\nVALIDATORS='K1'".to_owned(), "an array of public keys", "readArray: must be an array"),
        ("[QUORUM_SET]\nVALIDATORS=[1]".to_owned(), "as strings", "readArray: invalid element"),
        ("[QUORUM_SET]\nVALIDATORS=['K1','K2','K3','GABC']".to_owned(), "no public key", "parseNodeID: fromStrKey"),
        ("[QUORUM_SET]\nVALIDATORS=['K1 a','K2 b','K3 c','K4 d']".to_owned(), "", "parseNodeID: common names"),
        ("[QUORUM_SET]\nVALIDATORS=['K1 a','$a','K3','K4']".to_owned(), "twice", "isQuorumSetSane: duplicate node"),
        ("[QUORUM_SET]\nVALIDATORS=['K1','K2','K3','$d']".to_owned(), "no validator has the name", "parseNodeID: unknown key in config"),
        ("NODE_NAMES=['K4 d']\n[QUORUM_SET]\nVALIDATORS=['K1','K2','K3','$d']".to_owned(), "", "resolveNodeID: NODE_NAMES"),
        ("NODE_NAMES=['K4 d','K5 d']\n[QUORUM_SET]\nVALIDATORS=['K1','K2','K3','K4']".to_owned(), "is given twice", "addValidatorName: name already used"),
        ("NODE_NAMES=['K4 d','K4 e']\n[QUORUM_SET]\nVALIDATORS=['K1','K2','K3','K4']".to_owned(), "is named twice", "addValidatorName: naming node twice"),
        ("[QUORUM_SET]\nVALIDATORS=['$self','K2','K3','K4']".to_owned(), "", "resolveNodeID: the alias on NODE_SEED"),
        ("[QUORUM_SET]\nVALIDATORS=['K1','K1','K3','K4']".to_owned(), "twice", "isQuorumSetSane: duplicate node"),
        ("[QUORUM_SET]\nVALIDATORS=['K1','K2','K3']\n[QUORUM_SET.sub]\nVALIDATORS=['K4','K5','K6']".to_owned(), "", "loadQset: an inner set is one entry"),
        ("[QUORUM_SET]\nVALIDATORS=['K1','K2','K3']\n[QUORUM_SET.sub]\nVALIDATORS=['K4','K5','K6']\nTHRESHOLD_PERCENT=30".to_owned(), "inner quorum set", "isQuorumSetSane: threshold below v-blocking"),
        (nested(4), "", "loadQset: level 4 is the deepest"),
        (nested(5), "levels deep", "loadQset: too many levels"),
        ("[QUORUM_SET]\nVALIDATORS=['K1']\n[QUORUM_SET]\nVALIDATORS=['K2']".to_owned(), "not TOML", "cpptoml: a table named twice"),
        ("UNSAFE_QUORUM=true\nUNSAFE_QUORUM=true\n[QUORUM_SET]".to_owned(), "not TOML", "cpptoml: a key named twice"),
        ("THRESHOLD_PERCENT=67".to_owned(), "does not belong in quorumSet", "processConfig: Unknown configuration entry"),
        (domains("x.org=HIGH", THREE), "", "generateQuorumSet: 2 of 3, self one of them"),
        (domains("x.org=MEDIUM me.org=MEDIUM", THREE), "", "addSelfToValidators: self in x.org"),
        (THREE.to_owned(), "quality", "parseValidators: missing quality"),
        (domains("x.org=BEST", THREE), "QUALITY is \"BEST\"", "parseQuality: Unknown QUALITY"),
        (domains("x.org=HIGH x.org=LOW", THREE), "there twice", "parseDomainsQuality: duplicate"),
        (domains("x.org=HIGH", &THREE.replace("HISTORY='curl c'", "")), "need HISTORY", "parseValidators: high quality must have an archive"),
        (domains("x.org=MEDIUM", &THREE.replace("HISTORY", "ADDRESS").replace("curl ", "")), "archive", "verifyHistoryValidatorsBlocking"),
        (domains("x.org=HIGH", &THREE.replace("NAME='b'", "NAME='a'")), "is given twice", "addValidatorName: name already used"),
        (domains("x.org=HIGH", &THREE.replace("NAME='b'", "")), "NAME is missing", "parseValidators: missing 'NAME'"),
        (domains("x.org=HIGH", &THREE.replace("NAME='b'", "NAME='b'\nQUALITY='HIGH'")), "keep the latter", "parseValidators: quality already defined"),
        (domains("x.org=HIGH", &format!("{THREE}PORT=1")), "no key \"PORT\"", "parseValidators: unknown element"),
        (domains("x.org=HIGH", &format!("{THREE}UNSAFE_QUORUM=true")), "move it above", "parseValidators: a key after a table"),
        (domains("x.org=LOW", THREE), "QUALITY LOW", "setValidatorWeightConfig: all LOW"),
        (domains("x.org=HIGH", &format!("{THREE}{}", flat(4, ""))), "different things", "processConfig: Can't override VALIDATORS with QUORUM_SET"),
        ("VALIDATORS=['K1']".to_owned(), "as a table", "parseValidators: malformed VALIDATORS"),
        ("[[HOME_DOMAINS]]\nHOME_DOMAIN='x.org'\nQUALITY='HIGH'".to_owned(), "neither", "validateConfig: no validators defined"),
    ];
    for (text, problem, branch) in cases {
        let problems = check_quorum_set(&keys_in(&text));
        if problem.is_empty() {
            assert_eq!(problems, Vec::<String>::new(), "{branch}\n{text}");
        } else {
            assert!(
                problems.iter().any(|found| found.contains(problem)),
                "{branch}\n{text}\n{problems:?}"
            );
        }
    }
}

#[test]
fn a_threshold_is_complained_of_once() {
    let problems = check_quorum_set(&flat(7, "THRESHOLD_PERCENT=30"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("5 is the least that is safe"), "{problems:?}");
}

fn trusting(quorum_set: &str, core_config: &str) -> ValidatorConfig {
    let config = json!({ "seedSecretRef": "seed", "quorumSet": quorum_set, "coreConfig": core_config });
    serde_json::from_value(config).expect("the settings of a validator")
}

#[test]
fn a_set_says_how_many_failures_it_stands() {
    let is_unsafe = "UNSAFE_QUORUM=true\n";
    for (text, core, tolerated) in [
        (flat(4, ""), "", Some(1)),
        (flat(7, ""), "", Some(2)),
        (format!("{is_unsafe}{}", flat(3, "")), "", Some(0)),
        (flat(3, ""), is_unsafe, Some(0)),
        (domains("x.org=HIGH", &keys_in(THREE)), "", Some(1)),
        (flat(3, ""), "", None),
        ("x".to_owned(), "", None),
    ] {
        let config = trusting(&text, core);
        assert_eq!(failures_tolerated(&config), tolerated, "{text}");
        assert_eq!(
            quorum_warnings(&config).len(),
            usize::from(tolerated == Some(0)),
            "{text}"
        );
    }
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
    // The Secret may name one of SQLite all the same.
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
    // UNSAFE_QUORUM may stand in coreConfig.
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

#[test]
fn a_quorum_set_has_no_more_validators_than_stellar_core_takes() {
    let problems = |count: u32| {
        let key = |number: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            format!("'{}'", PublicKey(bytes).to_string().as_str())
        };
        let keys: Vec<String> = (0..count).map(key).collect();
        check_quorum_set(&format!(
            "[QUORUM_SET]\nTHRESHOLD_PERCENT=67\nVALIDATORS=[{}]\n",
            keys.join(",")
        ))
        .join(" ")
    };
    let most = "stellar-core takes at most 1000";
    assert!(
        !problems(1000).contains(most) && problems(1001).contains(most),
        "{}",
        problems(1001)
    );
}
