//! A hash of the spec fields that determine a node's pods. Its StatefulSet or Deployment carries it, so that the
//! operator recognises an outdated one.
//!
//! The hash must change with these fields only: each change of it restarts the node.

use serde_json::{Map, Value};

use super::{horizon_rpc, pod_settings, stateful_set};
use crate::crd::{
    HorizonConfig, KeySource, KnownPeersRef, Network, NodeType, PeersAs, RetentionPolicy, SorobanConfig,
    StellarNodeSpec, StorageConfig, StorageMode, ValidatorConfig,
};
use crate::labels;
use crate::util::digest;

/// Hash of the spec fields that determine the pods.
///
/// The hash depends on the spec alone: a new version of the operator restarts no pod. Absent, false and empty fields
/// are equal, so that a default from the webhook, or a field of a later version, changes no hash.
pub fn spec_hash(spec: &StellarNodeSpec) -> String {
    let mut spec = spec.clone();
    // These fields scale, concern claims and evictions, or choose peers; they do not determine the pod.
    spec.suspended = false;
    spec.replicas = 0;
    spec.min_available = None;
    spec.max_unavailable = None;
    let storage = spec.storage.take();
    let (in_pod, kept) = match storage.as_ref().map(StorageConfig::mode) {
        Some(StorageMode::EmptyDir) => (true, None),
        Some(StorageMode::PersistentVolume) | None => (false, storage),
    };
    spec.storage = match spec.node_type {
        NodeType::Validator => in_pod.then(|| StorageConfig {
            mode: Some(StorageMode::EmptyDir),
            ..default_storage()
        }),
        // Each pod has its own volume.
        NodeType::Horizon => kept.map(|storage| StorageConfig {
            retention_policy: default_storage().retention_policy,
            mode: None,
            ..storage
        }),
        // The pod mounts the claim, or has none.
        NodeType::SorobanRpc => kept.map(|_| default_storage()),
    };
    // Every spelling of a network hashes the same.
    spec.network = Network::parse(&spec.network).passphrase().to_owned();
    let image = match spec.node_type {
        NodeType::Validator => stateful_set::CORE_IMAGE,
        NodeType::Horizon => horizon_rpc::HORIZON_IMAGE,
        NodeType::SorobanRpc => horizon_rpc::RPC_IMAGE,
    };
    spec.image = spec.image.filter(|given| given != image);
    spec.validator_config.iter_mut().for_each(normalize_validator);
    spec.horizon_config.iter_mut().for_each(normalize_horizon);
    spec.soroban_config.iter_mut().for_each(normalize_rpc);
    let seed_in_a_file = spec
        .validator_config
        .as_ref()
        .is_some_and(|config| config.key_source == KeySource::Kms);
    let pod = pod_settings::fingerprint(&std::mem::take(&mut spec.pod));
    let mut value = serde_json::to_value(&spec).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.extend(pod);
    }
    if seed_in_a_file {
        // Hash an absent field as the empty string it used to be; otherwise upgrades restart KMS validators.
        value["validatorConfig"]["seedSecretRef"] = Value::from("");
    }
    digest::short_hex(canonical(value).unwrap_or_default().to_string().as_bytes(), 16)
}

fn normalize_validator(config: &mut ValidatorConfig) {
    config.peer_group = None;
    config.peer_port = Some(config.peer_port());
    config.peers_as = Some(config.peers_as()).filter(|peers_as| *peers_as != PeersAs::default());
    config.known_peers_ref = Some(KnownPeersRef {
        name: config.known_peers_config_map().to_owned(),
        key: labels::KNOWN_PEERS.to_owned(),
    });
    // The config lists them in a fixed order.
    config.known_peers.sort();
    config.known_peers.dedup();
    if !config.enable_history_archive {
        config.history_archive_urls.clear();
    }
    config.enable_history_archive = false;
    match config.key_source {
        KeySource::Secret => config.kms_config = None,
        KeySource::Kms => config.seed_secret_ref.clear(),
    }
}

fn normalize_horizon(config: &mut HorizonConfig) {
    config.ingest_workers = None;
    if !config.enable_ingest {
        config.captive_core_config = None;
        config.auto_migration = false;
    }
}

fn normalize_rpc(config: &mut SorobanConfig) {
    config.enable_preflight = None;
}

/// Sorts the keys, and drops null, false and empty values.
fn canonical(value: Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map
                .into_iter()
                .filter_map(|(key, value)| Some((key, canonical(value)?)))
                .collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            (!entries.is_empty()).then(|| Value::Object(entries.into_iter().collect::<Map<_, _>>()))
        }
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(canonical).collect())),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => Some(value),
    }
}

/// Default storage, with the retention policy that was the default when hashes were first stored; another value would
/// restart the nodes that use it.
fn default_storage() -> StorageConfig {
    StorageConfig {
        retention_policy: RetentionPolicy::Delete,
        ..StorageConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(json: Value) -> StellarNodeSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_spec_hash_changes_only_with_fields_that_determine_pods() {
        let plain = json!({
            "nodeType": "Validator", "network": "testnet", "version": "26.0.1",
            "validatorConfig": {"seedSecretRef": "seed"},
        });
        let hash = spec_hash(&spec(plain.clone()));
        let with = |path: &str, value: Value| {
            let mut changed = plain.clone();
            let (parent, key) = path.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[key] = value;
            spec_hash(&spec(changed))
        };
        for (path, value) in [
            ("/suspended", json!(true)),
            ("/replicas", json!(1)),
            ("/network", json!("Testnet")),
            ("/network", json!("Test SDF Network ; September 2015")),
            ("/image", json!("stellar/stellar-core")),
            (
                "/validatorConfig/historyArchiveUrls",
                json!(["https://history.example"]),
            ),
            ("/validatorConfig/kmsConfig", json!({ "seedPath": "/mnt/seed" })),
            ("/storage", json!({"size": "1Ti"})),
            ("/validatorConfig/peerPort", json!(11625)),
            (
                "/validatorConfig/knownPeersRef",
                json!({"name": "stellar-peers", "key": "KNOWN_PEERS"}),
            ),
            ("/validatorConfig/enableHistoryArchive", json!(false)),
            (
                "/validatorConfig/peerGroup",
                json!({"name": "all", "namespaces": ["other"]}),
            ),
        ] {
            assert_eq!(with(path, value), hash, "{path}");
        }
        for (path, value) in [
            ("/version", json!("27.0.0")),
            ("/network", json!("TESTNET 2")),
            ("/image", json!("example.org/stellar-core")),
            ("/validatorConfig/seedSecretRef", json!("other")),
            ("/validatorConfig/keySource", json!("KMS")),
            ("/validatorConfig/knownPeers", json!(["a"])),
            ("/validatorConfig/peerPort", json!(11700)),
            ("/validatorConfig/quorumSet", json!("[QUORUM_SET]")),
            (
                "/validatorConfig/knownPeersRef",
                json!({"name": "others", "key": "KNOWN_PEERS"}),
            ),
        ] {
            assert_ne!(with(path, value), hash, "{path}");
        }
    }

    /// The hashes that released versions have stored: another value would restart every node at an upgrade.
    #[test]
    fn the_spec_hash_is_the_same_in_every_version() {
        let pod = json!({
            "nodeType": "Validator", "network": "My Network ; 2026", "version": "26.0.1",
            "resources": { "limits": { "cpu": "2" } }, "tolerations": [{ "operator": "Exists" }],
            "validatorConfig": {
                "seedSecretRef": "seed", "quorumSet": "[QUORUM_SET]",
                "database": { "secretKeyRef": { "name": "db", "key": "url" } },
            },
        });
        let kms = json!({ "seedSecretRef": "seed", "keySource": "KMS", "kmsConfig": { "seedPath": "/mnt/seed" } });
        let validator = |config: Value| json!({ "nodeType": "Validator", "network": "testnet", "version": "26.0.1", "validatorConfig": config });
        for (json, hash) in [
            (validator(json!({ "seedSecretRef": "seed" })), "5db9281652fe178f"),
            (validator(kms), "eb1dcc2a7a754817"),
            (pod, "ba81c5d21be58273"),
            (
                json!({
                    "nodeType": "Horizon", "network": "testnet", "version": "23.0.0",
                    "horizonConfig": { "databaseSecretRef": "db" },
                }),
                "a75c1a953b963d82",
            ),
            (
                json!({
                    "nodeType": "SorobanRpc", "network": "testnet", "version": "23.0.4",
                    "storage": { "size": "1Gi" }, "sorobanConfig": {},
                }),
                "3529d8c464f24be2",
            ),
        ] {
            assert_eq!(spec_hash(&spec(json.clone())), hash, "{json}");
        }
    }

    #[test]
    fn the_spec_hash_ignores_unused_alternatives() {
        let of = |config: Value| {
            spec_hash(&spec(json!({
                "nodeType": "Validator", "network": "testnet", "version": "26.0.1", "validatorConfig": config,
            })))
        };
        let archive = |on: bool, url: &str| {
            of(json!({ "seedSecretRef": "seed", "enableHistoryArchive": on, "historyArchiveUrls": [url] }))
        };
        assert_ne!(archive(true, "https://a"), archive(true, "https://b"));
        assert_ne!(archive(true, "https://a"), archive(false, "https://a"));
        assert_eq!(archive(false, "https://a"), archive(false, "https://b"));
        let key = |seed: &str, path: &str| {
            of(json!({ "seedSecretRef": seed, "keySource": "KMS", "kmsConfig": { "seedPath": path } }))
        };
        assert_ne!(key("seed", "/mnt/a"), key("seed", "/mnt/b"));
        assert_eq!(key("seed", "/mnt/a"), key("other", "/mnt/a"));
        let peers = |peers: [&str; 2]| of(json!({ "seedSecretRef": "seed", "knownPeers": peers }));
        assert_eq!(peers(["a", "b"]), peers(["b", "a"]));
    }

    #[test]
    fn the_spec_hash_of_a_server_changes_only_with_its_pod_or_volume() {
        let hash = |json: &Value, more: &Value| {
            let mut json = json.clone();
            json_patch::merge(&mut json, more);
            spec_hash(&spec(json))
        };
        let rpc = json!({
            "nodeType": "SorobanRpc", "network": "testnet", "version": "23.0.4", "sorobanConfig": {},
        });
        let horizon = json!({
            "nodeType": "Horizon", "network": "testnet", "version": "23.0.0",
            "horizonConfig": { "databaseSecretRef": "db" },
        });
        let storage = |size: &str, policy: &str| json!({ "storage": { "size": size, "retentionPolicy": policy } });
        let none = json!({});
        for (node, change) in [
            (&rpc, json!({ "minAvailable": 1 })),
            (&rpc, json!({ "replicas": 3 })),
            (&rpc, json!({ "suspended": true })),
            (
                &rpc,
                json!({ "sorobanConfig": { "enablePreflight": false, "maxEventsPerRequest": 10000 } }),
            ),
            (&horizon, json!({ "maxUnavailable": "50%" })),
            (&horizon, json!({ "image": "stellar/stellar-horizon" })),
            (&rpc, json!({ "image": "stellar/stellar-rpc" })),
            (
                &horizon,
                json!({ "horizonConfig": { "ingestWorkers": 4, "enableIngest": true } }),
            ),
        ] {
            assert_eq!(hash(node, &change), hash(node, &none), "{change}");
        }
        for (node, change) in [
            (&rpc, storage("1Gi", "Delete")),
            (&rpc, json!({ "sorobanConfig": { "maxEventsPerRequest": 10 } })),
            (&horizon, storage("1Gi", "Delete")),
            (&horizon, json!({ "horizonConfig": { "enableIngest": false } })),
            (&horizon, json!({ "version": "24" })),
        ] {
            assert_ne!(hash(node, &change), hash(node, &none), "{change}");
        }
        let (small, large) = (storage("1Gi", "Delete"), storage("2Gi", "Retain"));
        assert_eq!(
            hash(&rpc, &small),
            hash(&rpc, &large),
            "the claim grows beneath the pod"
        );
        assert_ne!(hash(&horizon, &small), hash(&horizon, &large), "each pod has its own");
    }
}
