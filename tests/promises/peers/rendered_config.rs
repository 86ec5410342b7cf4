//! The `stellar-core.cfg` of each running validator lists the others and not itself.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use stellar_k8s::core_config::{Database, Keys, Seed, Sources, render};
use stellar_k8s::crd::PeersAs;
use stellar_k8s::peers::NodeId;
use test_kit::{FOUR, Options, TestEnv, Validators};

/// The keys that stellar-core reads in each table (`Config.cpp`: `loadQset`, `parseHomeDomains`, `parseValidators`,
/// `processConfig`).
const TABLES: [(&str, &[&str]); 4] = [
    ("QUORUM_SET", &["THRESHOLD_PERCENT", "VALIDATORS"]),
    ("HOME_DOMAINS", &["HOME_DOMAIN", "QUALITY"]),
    (
        "VALIDATORS",
        &["NAME", "HOME_DOMAIN", "PUBLIC_KEY", "ADDRESS", "HISTORY", "QUALITY"],
    ),
    ("HISTORY", &["get", "put", "mkdir"]),
];
/// The keys that a validator needs.
const NEEDED: [&str; 8] = [
    "NETWORK_PASSPHRASE",
    "NODE_SEED",
    "NODE_IS_VALIDATOR",
    "PEER_PORT",
    "HTTP_PORT",
    "DATABASE",
    "BUCKET_DIR_PATH",
    "LOG_FILE_PATH",
];

/// Checks a file against stellar-core's rules twice: line by line with a parser of this test, and with the library.
fn hold_to_the_rules(file: &Path, seed: &str) {
    let mode = fs::metadata(file).expect("it was rendered").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only the owner can read it");
    let text = fs::read_to_string(file).expect("it was rendered");
    let mut table: Option<&str> = None;
    let mut seen = BTreeSet::new();
    let mut at_the_top = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('[') {
            let name = line.trim_matches(['[', ']']).split('.').next().unwrap();
            table = Some(name);
            seen.clear();
            continue;
        }
        let (key, _) = line.split_once('=').unwrap_or_else(|| panic!("{line} has no key"));
        assert!(seen.insert(key), "{key} is given twice");
        match table {
            None => assert!(at_the_top.insert(key)),
            Some(name) => {
                let (_, keys) = TABLES.iter().find(|(known, _)| *known == name).expect(name);
                assert!(keys.contains(&key), "[{name}] has the unknown key {key}");
            }
        }
    }
    for key in NEEDED {
        assert!(at_the_top.contains(key), "{key} is missing");
    }
    // Remove what render-config adds, so that it can render the file again.
    let own = |line: &&str| !line.starts_with("NODE_SEED=") && !line.starts_with("KNOWN_PEERS=");
    let base: Vec<&str> = text.lines().filter(own).collect();
    let base = base.join("\n");
    let node = NodeId::new("stellar", "anybody");
    let sources = Sources {
        base: &base,
        node: &node,
        own_peers: &[],
        list: None,
        pod_ip: None,
        peers_as: PeersAs::Known,
        database: Database::OnVolume,
        keys: Keys::Listed,
        archives: None,
    };
    let again = render(&sources, &Seed::parse(seed).expect("a seed")).expect("stellar-core takes it");
    let lines = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with("KNOWN_PEERS="));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(lines(&again), lines(&text));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_config_lists_the_other_validators_and_not_its_own() {
    let env = TestEnv::start("rendered", Options::default()).await;
    let validators = Validators::new(4);
    env.create_settled(&validators, 4).await;
    for (number, name) in (1..).zip(FOUR) {
        let peers = env.rendered_peers(name).expect("it was rendered");
        let own = format!("{}:11625", env.pod_ip(name).expect("its pod has an address"));
        assert_eq!(peers.len(), 3, "{name}: {peers:?}");
        assert!(!peers.contains(&own), "{name} has its own address {own}: {peers:?}");

        let config = env.rendered_config(&format!("{name}-0")).expect("it was rendered");
        hold_to_the_rules(&env.rendered_file(&format!("{name}-0")), validators.seed(number));
        assert_eq!(config["NETWORK_PASSPHRASE"].as_str(), Some(validators.passphrase()));
        assert_eq!(config["HTTP_PORT"].as_integer(), Some(11626));
        assert_eq!(config["LOG_FILE_PATH"].as_str(), Some(""));
        let seed = config["NODE_SEED"].as_str().expect("a seed");
        assert!(
            validators.is_seed_of(number, seed),
            "{name} has the seed of another validator"
        );
        let quorum: Vec<&str> = config["QUORUM_SET"]["VALIDATORS"]
            .as_array()
            .expect("the quorum set")
            .iter()
            .filter_map(toml::Value::as_str)
            .collect();
        assert_eq!(
            quorum,
            [1, 2, 3, 4].map(|number| validators.public_key(number)),
            "{name}"
        );
    }
    assert_eq!(env.not_connected(&FOUR), [], "each pair is connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn sample_validator_becomes_ready_with_the_config_of_its_network() {
    let env = TestEnv::start("sample", Options::default()).await;
    let validators = Validators::new(1);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/samples/validator.yaml");
    env.apply(&validators.secret(1).to_string());
    env.kubectl(&["apply", "-f", sample]).ok("the sample");
    env.kubectl(&[
        "wait",
        "stellarnode/validator-1",
        "--for=condition=Ready",
        "--timeout=90s",
    ])
    .ok("it to be Ready");
    let config = env.rendered_config("validator-1-0").expect("it was rendered");
    assert_eq!(
        config["NETWORK_PASSPHRASE"].as_str(),
        Some("Test SDF Network ; September 2015")
    );
    hold_to_the_rules(&env.rendered_file("validator-1-0"), validators.seed(1));
    assert_eq!(config["VALIDATORS"].as_array().map(Vec::len), Some(3), "SDF's");
    assert!(validators.is_seed_of(1, config["NODE_SEED"].as_str().expect("a seed")));
    let node = env.get("stellarnode/validator-1").expect("it is there");
    let endpoint = format!("validator-1-0.validator-1-headless.{}.svc:11625", env.namespace());
    assert_eq!(node["status"]["endpoint"], endpoint);
}
