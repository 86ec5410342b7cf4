//! For three validators the ConfigMap holds their three addresses in each of its formats.

use serde_json::{Value, json};
use test_kit::{Options, THREE, TestEnv, Validators};

#[tokio::test(flavor = "multi_thread")]
async fn config_map_has_the_current_addresses_in_each_format() {
    let env = TestEnv::start("config-map", Options::default()).await;
    env.create_settled(&Validators::new(3), 3).await;
    let addresses = env.addresses(&THREE).expect("each has a pod");
    let list = env.get("configmap/stellar-peers").expect("it is there");
    let text = |key: &str| list["data"][key].as_str().unwrap_or_else(|| panic!("{key}: {list}"));

    let lines: Vec<&str> = text("KNOWN_PEERS").lines().collect();
    assert!(
        lines.iter().copied().eq(&addresses),
        "sorted: {lines:?}, the pods have {addresses:?}"
    );

    let toml: toml::Table = text("known-peers.cfg").parse().expect("TOML");
    let expected: Vec<toml::Value> = addresses.iter().map(|address| address.as_str().into()).collect();
    assert_eq!(toml.get("KNOWN_PEERS"), Some(&expected.into()));

    let records: Value = serde_json::from_str(text("peers.json")).expect("JSON");
    let members = records["members"].as_array().expect("members");
    let nodes: Vec<&str> = members.iter().filter_map(|member| member["node"].as_str()).collect();
    assert_eq!(nodes, THREE.map(|name| format!("{}/{name}", env.namespace())));
    assert!(members.iter().all(|member| member["port"] == 11625), "{members:?}");

    let metadata: Value = serde_json::from_str(text("discovery_metadata")).expect("JSON");
    assert_eq!(metadata["peer_count"], json!(3));
    assert_eq!(metadata["active_validators"], json!(3));
    assert!(metadata["discovered_at"].is_string(), "{metadata}");

    assert_eq!(
        list["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        "stellar-operator"
    );
    let secrets = list["data"].to_string();
    assert!(
        !secrets.contains("SECRET") && !secrets.contains("SEED"),
        "addresses only: {secrets}"
    );
}
