//! The `stellar-core.cfg` that each validator really got holds the others and not itself.

use crate::common::{Options, TestEnv, Validators};

const FOUR: [&str; 4] = ["validator-1", "validator-2", "validator-3", "validator-4"];

#[tokio::test(flavor = "multi_thread")]
async fn each_validator_got_the_others_and_not_itself() {
    let env = TestEnv::start("rendered", Options::default()).await;
    let validators = Validators::new(4);
    env.apply(&validators.manifests(1..=4));
    env.settled(&FOUR).await;
    for (number, name) in (1..).zip(FOUR) {
        let peers = env.rendered_peers(name).expect("it was rendered");
        let own = format!("{}:11625", env.pod_ip(name).expect("its pod has an address"));
        assert_eq!(peers.len(), 3, "{name}: {peers:?}");
        assert!(!peers.contains(&own), "{name} has its own address {own}: {peers:?}");

        let config = env.rendered_config(&format!("{name}-0")).expect("it was rendered");
        assert_eq!(config["NETWORK_PASSPHRASE"].as_str(), Some(validators.passphrase()));
        assert_eq!(config["HTTP_PORT"].as_integer(), Some(11626));
        assert_eq!(config["LOG_FILE_PATH"].as_str(), Some(""));
        let seed = config["NODE_SEED"].as_str().expect("a seed");
        assert!(validators.is_seed_of(number, seed), "{name} has another's seed");
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
    assert_eq!(env.strangers(&FOUR), [], "each pair can meet");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_becomes_ready_with_the_config_of_its_network() {
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
    assert_eq!(config["VALIDATORS"].as_array().map(Vec::len), Some(3), "SDF's");
    assert!(validators.is_seed_of(1, config["NODE_SEED"].as_str().expect("a seed")));
    let node = env.get("stellarnode/validator-1").expect("it is there");
    let endpoint = format!("validator-1-0.validator-1-headless.{}.svc:11625", env.namespace());
    assert_eq!(node["status"]["endpoint"], endpoint);
}
