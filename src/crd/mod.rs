//! The StellarNode API: its types, its schema, and what the fields mean together.
//!
//! Nothing here talks to a cluster. The CustomResourceDefinition is generated from these types by
//! `stellar-operator crd`.

mod core;
mod exclusive;
mod horizon_rpc;
mod network;
mod pod;
// The derive of KubeSchema makes hidden copies of the structs that nobody can reach.
#[allow(unreachable_pub)]
mod types;

pub use self::core::{DatabaseConfig, PeersAs, SecretKeyRef};
pub use exclusive::SeedSource;
pub use horizon_rpc::{HorizonConfig, SorobanConfig};
pub use network::Network;
pub use pod::{PodSettings, Probes};
pub use types::{
    Condition, KeySource, KmsConfig, KnownPeersRef, LostAddress, NodeType, PeerGroup, PeersStatus, RetentionPolicy,
    StellarNode, StellarNodeSpec, StellarNodeStatus, StorageConfig, StorageMode, ValidatorConfig, default_peer_port,
};

/// The CustomResourceDefinition of the StellarNode as it is installed.
pub fn custom_resource_definition()
-> k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition {
    use kube::CustomResourceExt as _;
    StellarNode::crd()
}

/// The schema of the StellarNode, as that definition holds it.
pub fn schema() -> Option<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps> {
    let version = custom_resource_definition().spec.versions.into_iter().next()?;
    version.schema?.open_api_v3_schema
}
