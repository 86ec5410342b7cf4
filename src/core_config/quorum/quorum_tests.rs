//! Quorum sets that stellar-core accepts or refuses, each with the branch of `Config.cpp` that decides.

use serde_json::json;
use stellar_strkey::ed25519::PublicKey;

use crate::core_config::rules_tests::{THREE, domains, flat, keys_in};
use crate::core_config::*;
use crate::crd::ValidatorConfig;

/// The problems of `quorumSet` alone.
pub(in crate::core_config) fn check_quorum_set(text: &str) -> Vec<String> {
    match document::parse_given("quorumSet", text) {
        Ok(quorum) => check::quorum_problems(quorum, &toml::Table::new(), None).into_vec(),
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn quorum_sets_are_judged_as_stellar_core_judges_them() {
    // Text of quorumSet, a word of its only problem or "" if stellar-core starts, and the branch that decides.
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
        (flat(4, "THRESHOLD_PERCENT=50"), "3 is the safe minimum", "validateConfig: threshold < minSize, SCP unsafe"),
        (flat(4, "THRESHOLD_PERCENT=100"), "FAILURE_SAFETY requires a tolerance of 1", "validateConfig: FAILURE_SAFETY >= r.size()"),
        (flat(3, ""), "tolerates no failure", "validateConfig: FAILURE_SAFETY == 0, SCP unsafe"),
        (format!("UNSAFE_QUORUM=true\n{}", flat(3, "")), "", "validateConfig: UNSAFE_QUORUM"),
        (format!("UNSAFE_QUORUM=true\n{}", flat(3, "THRESHOLD_PERCENT=66")), "", "validateConfig: 2 of 3 with UNSAFE_QUORUM"),
        (format!("UNSAFE_QUORUM=true\n{}", flat(1, "")), "", "validateConfig: one node with UNSAFE_QUORUM"),
        (format!("FAILURE_SAFETY=1\n{}", flat(4, "")), "", "validateConfig: 1 < r.size() = 2"),
        (format!("FAILURE_SAFETY=2\n{}", flat(4, "")), "requires a tolerance of 2", "validateConfig: FAILURE_SAFETY >= r.size()"),
        (format!("FAILURE_SAFETY=0\n{}", flat(4, "")), "tolerates no failure", "validateConfig: FAILURE_SAFETY == 0"),
        (format!("FAILURE_SAFETY=-2\n{}", flat(4, "")), "from -1 to", "readInt: FAILURE_SAFETY below -1"),
        (flat(4, "THRESHOLD_PERCENT=0"), "from 1 to 100", "loadQset: f <= 0"),
        (flat(4, "THRESHOLD_PERCENT=101"), "from 1 to 100", "loadQset: f > 100"),
        (flat(4, "THRESHOLD_PERCENT='67'"), "from 1 to 100", "loadQset: not an integer"),
        (flat(4, "PEER_PORT=1"), "move it above", "loadQset: a key after a table is taken for an inner set"),
        (flat(4, "WHO=1"), "no key \"WHO\"", "loadQset: should be a group"),
        ("QUORUM_SET=1".to_owned(), "write a table", "loadQset: !group"),
        ("[QUORUM_SET]".to_owned(), "is empty: add", "loadQset: invalid quorum set definition"),
        ("[QUORUM_SET]\nVALIDATORS='K1'".to_owned(), "an array of public keys", "readArray: must be an array"),
        ("[QUORUM_SET]\nVALIDATORS=[1]".to_owned(), "as strings", "readArray: invalid element"),
        ("[QUORUM_SET]\nVALIDATORS=['K1','K2','K3','GABC']".to_owned(), "not a public key", "parseNodeID: fromStrKey"),
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
        (domains("x.org=HIGH x.org=LOW", THREE), "listed twice", "parseDomainsQuality: duplicate"),
        (domains("x.org=HIGH", &THREE.replace("HISTORY='curl c'", "")), "need HISTORY", "parseValidators: high quality must have an archive"),
        (domains("x.org=MEDIUM", &THREE.replace("HISTORY", "ADDRESS").replace("curl ", "")), "archive", "verifyHistoryValidatorsBlocking"),
        (domains("x.org=HIGH", &THREE.replace("NAME='b'", "NAME='a'")), "is given twice", "addValidatorName: name already used"),
        (domains("x.org=HIGH", &THREE.replace("NAME='b'", "")), "NAME is missing", "parseValidators: missing 'NAME'"),
        (domains("x.org=HIGH", &THREE.replace("NAME='b'", "NAME='b'\nQUALITY='HIGH'")), "keep the latter", "parseValidators: quality already defined"),
        (domains("x.org=HIGH", &format!("{THREE}PORT=1")), "no key \"PORT\"", "parseValidators: unknown element"),
        (domains("x.org=HIGH", &format!("{THREE}UNSAFE_QUORUM=true")), "move it above", "parseValidators: a key after a table"),
        (domains("x.org=LOW", THREE), "QUALITY LOW", "setValidatorWeightConfig: all LOW"),
        (domains("x.org=HIGH", &format!("{THREE}{}", flat(4, ""))), "both given and differ", "processConfig: Can't override VALIDATORS with QUORUM_SET"),
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
    assert!(problems[0].contains("5 is the safe minimum"), "{problems:?}");
}

pub(in crate::core_config) fn trusting(quorum_set: &str, core_config: &str) -> ValidatorConfig {
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
