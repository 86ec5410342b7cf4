//! The StellarNode custom resource: one struct a block of its spec, one doc sentence a field.
//!
//! The doc comments are what `kubectl explain` prints. Defaults that depend on other fields live with the code that
//! uses them, not here.

use k8s_openapi::api::core::v1::{CSIVolumeSource, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::core::{DatabaseConfig, PeersAs};
use super::history::HistoryConfig;
use super::horizon_rpc::{HorizonConfig, SorobanConfig};
use super::pod::PodSettings;
use super::status::StellarNodeStatus;
use super::storage::StorageConfig;

/// A node of a Stellar network: a validator, a Horizon API server or a Stellar RPC server.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq)]
#[kube(
    group = "stellar.org",
    version = "v1alpha1",
    kind = "StellarNode",
    plural = "stellarnodes",
    shortname = "sn",
    namespaced,
    status = "StellarNodeStatus",
    derive = "PartialEq",
    doc = "A StellarNode is a node of a Stellar network: a validator, a Horizon API server or a Stellar RPC server. The \
           operator turns it into a StatefulSet or a Deployment, and connects the validators of a group.",
    validation = Rule::new("size(self.metadata.name) <= 52 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be at most 52 of a-z, 0-9 and -, first a letter, last no -: it names a Service and pods"),
    printcolumn = r#"{"name":"Type","type":"string","jsonPath":".spec.nodeType"}"#,
    printcolumn = r#"{"name":"Network","type":"string","jsonPath":".spec.network"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Paused","type":"string","jsonPath":".metadata.annotations.stellar\\.org/pause-restarts"}"#,
    printcolumn = r#"{"name":"Peers","type":"integer","jsonPath":".status.peers.known"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".spec.version","priority":1}"#,
    printcolumn = r#"{"name":"Address","type":"string","jsonPath":".status.peers.address","priority":1}"#,
    printcolumn = r#"{"name":"Loaded","type":"integer","jsonPath":".status.peers.loaded","priority":1}"#,
    printcolumn = r#"{"name":"Pending","type":"string","jsonPath":".status.peers.pendingRestart","priority":1}"#,
    printcolumn = r#"{"name":"Blocked","type":"string","jsonPath":".status.conditions[?(@.type==\"PodBlocked\")].reason","priority":1}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.nodeType == oldSelf.nodeType")
        .message("nodeType never changes: create another StellarNode"),
    validation = Rule::new("has(self.validatorConfig) == (self.nodeType == 'Validator')")
        .message("validatorConfig is given exactly when nodeType is Validator"),
    validation = Rule::new("has(self.horizonConfig) == (self.nodeType == 'Horizon')")
        .message("horizonConfig is given exactly when nodeType is Horizon"),
    validation = Rule::new("has(self.sorobanConfig) == (self.nodeType == 'SorobanRpc')")
        .message("sorobanConfig is given exactly when nodeType is SorobanRpc"),
    validation = Rule::new("self.nodeType != 'Validator' || self.replicas <= 1")
        .message("replicas is 1 for a Validator: two nodes with one seed harm consensus"),
    validation = Rule::new("self.nodeType != 'Validator' || \
        (has(self.storage) && has(self.storage.mode) && self.storage.mode == 'EmptyDir') == \
        (has(oldSelf.storage) && has(oldSelf.storage.mode) && oldSelf.storage.mode == 'EmptyDir')")
        .message("storage.mode of a Validator never changes: create another StellarNode"),
    validation = Rule::new("!has(self.validatorConfig) || !has(oldSelf.validatorConfig) || \
        has(self.validatorConfig.database) == has(oldSelf.validatorConfig.database)")
        .message("validatorConfig.database is neither added nor removed later: create another StellarNode")
)]
pub struct StellarNodeSpec {
    /// What the node is: Validator takes part in consensus, Horizon and SorobanRpc serve APIs. It never changes.
    pub node_type: NodeType,
    /// The network: mainnet (also Public), testnet, futurenet, or the passphrase of a private network. It never changes.
    #[schemars(length(min = 1))]
    pub network: String,
    /// Tag of the container image, for example 26.0.1-3109.e78c97ed0.jammy.
    #[schemars(length(min = 1))]
    pub version: String,
    /// Container image without a tag. Default: stellar/stellar-core, stellar/stellar-horizon or stellar/stellar-rpc.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Number of pods. Always 1 for a validator: two nodes with one seed harm consensus.
    #[serde(default = "one")]
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Scales the node to 0 and keeps its Service and storage.
    #[serde(default)]
    pub suspended: bool,
    /// CPU and memory of the main container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// The volume for the database and the buckets. Without it, Horizon and SorobanRpc keep them in the pod and lose them with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageConfig>,
    /// Number or percentage of pods of a Horizon or SorobanRpc that must stay while nodes are drained; not with maxUnavailable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_available: Option<IntOrString>,
    /// Number or percentage of pods of a Horizon or SorobanRpc that may go while nodes are drained; not with minAvailable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// Settings of a validator; exactly the block of the node's type is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validator_config: Option<ValidatorConfig>,
    /// Settings of a Horizon server; exactly the block of the node's type is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon_config: Option<HorizonConfig>,
    /// Settings of a Stellar RPC server; exactly the block of the node's type is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soroban_config: Option<SorobanConfig>,
    /// What concerns the pods alone.
    #[serde(flatten)]
    pub pod: PodSettings,
}

fn one() -> i32 {
    1
}

/// What a StellarNode is.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum NodeType {
    /// Takes part in consensus; the only type that peer discovery looks at.
    Validator,
    /// Serves the Horizon API.
    Horizon,
    /// Serves the Stellar RPC API.
    SorobanRpc,
}

/// Settings of a validator.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ValidatorConfig {
    /// Name of the Secret, in the same namespace, whose key STELLAR_CORE_SEED holds the validator's secret seed (S…). Not read with keySource KMS.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub seed_secret_ref: String,
    /// Where the seed comes from: Secret (default), or KMS, a file that a CSI driver or agent puts into the pod.
    #[serde(default)]
    pub key_source: KeySource,
    /// Where the seed's file is, with keySource KMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_config: Option<KmsConfig>,
    /// Whom this validator trusts, as stellar-core's TOML: a QUORUM_SET table, or arrays of HOME_DOMAINS and VALIDATORS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum_set: Option<String>,
    /// Port on which other validators reach this one: 1 to 65535, not 11626 (stellar-core's HTTP port). Default 11625. Below 1024 a non-root process may not be able to bind it. Changing it restarts this validator, and the others in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // The API server warns of the format uint16.
    #[schemars(range(min = 1, max = 65535), extend("format" = "int32"))]
    pub peer_port: Option<u16>,
    /// The ConfigMap in which the operator keeps the addresses of the validators that belong together. Default stellar-peers, key KNOWN_PEERS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_peers_ref: Option<KnownPeersRef>,
    /// Joins this validator's group with those of other namespaces. It takes effect only where both namespaces list each other, the operator watches both, and it runs with --cross-namespace-groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_group: Option<PeerGroup>,
    /// Further peers of the user's own, host or host:port, beside the discovered ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_peers: Vec<String>,
    /// How the peers are written into stellar-core's config: Known (default), or Preferred, which it keeps connections to before others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers_as: Option<PeersAs>,
    /// Further settings of stellar-core as TOML, merged into its config; keys that the operator owns are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core_config: Option<String>,
    /// Home domain of this validator, written to stellar-core as NODE_HOME_DOMAIN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_domain: Option<String>,
    /// Where this validator publishes history. Default: on its own volume if its network is a private one and no archive is named to read from, else nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryConfig>,
    /// Whether stellar-core fetches history from the archives in historyArchiveUrls.
    #[serde(default)]
    pub enable_history_archive: bool,
    /// URLs of history archives to fetch from, with enableHistoryArchive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history_archive_urls: Vec<String>,
    /// Whether stellar-core replays all of history instead of catching up to the recent part.
    #[serde(default)]
    pub catchup_complete: bool,
    /// A database of the validator's own in place of SQLite on the volume. It is given from the start or never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseConfig>,
}

/// The peer port of a validator that names none: stellar-core's own default (`Config.cpp`, `DEFAULT_PEER_PORT`).
pub fn default_peer_port() -> u16 {
    11625
}

impl ValidatorConfig {
    /// The port that the spec asks for.
    pub fn peer_port(&self) -> u16 {
        self.peer_port.unwrap_or_else(default_peer_port)
    }

    /// How the peers are written into stellar-core's config.
    pub fn peers_as(&self) -> PeersAs {
        self.peers_as.unwrap_or_default()
    }

    /// Name of the ConfigMap of this validator's peer group.
    pub fn known_peers_config_map(&self) -> &str {
        self.known_peers_ref
            .as_ref()
            .map_or(crate::labels::DEFAULT_PEERS_CONFIG_MAP, |reference| &reference.name)
    }
}

/// Where a validator's seed comes from.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum KeySource {
    /// The Secret named by seedSecretRef.
    #[default]
    #[serde(alias = "secret")]
    Secret,
    /// A file that a CSI driver or agent puts into the pod, see kmsConfig.
    #[serde(rename = "KMS", alias = "kms")]
    Kms,
}

/// Where the seed's file is, with keySource KMS.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KmsConfig {
    /// Path of the file that holds the seed, inside the pod.
    pub seed_path: String,
    /// The CSI driver that provides the file, as an inline volume of the pod: it is mounted at the directory of seedPath, read-only, for the program that writes stellar-core's config and for nothing else. Without it an agent is to put the file there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csi: Option<CSIVolumeSource>,
}

/// The key of a ConfigMap that holds the known peers.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KnownPeersRef {
    /// Name of the ConfigMap, in the same namespace. Validators with the same name here, on the same network, find each other.
    #[serde(default = "default_peers_config_map")]
    pub name: String,
    /// Key of the ConfigMap; always KNOWN_PEERS.
    #[serde(default = "default_peers_key")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self == 'KNOWN_PEERS'").message("the key is always KNOWN_PEERS"))]
    pub key: String,
}

/// A peer group of several namespaces.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PeerGroup {
    /// Name of the group: the same in every namespace of it.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The other namespaces of the group. Each of them must list this one.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
}

fn default_peers_config_map() -> String {
    crate::labels::DEFAULT_PEERS_CONFIG_MAP.to_owned()
}

fn default_peers_key() -> String {
    crate::labels::KNOWN_PEERS.to_owned()
}
