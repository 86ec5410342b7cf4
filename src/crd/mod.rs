//! The StellarNode API: its types, its schema, and what the fields mean together.
//!
//! Nothing here talks to a cluster. The CustomResourceDefinition is generated from these types by
//! `stellar-operator crd`.

#![warn(missing_docs)]

mod bounds;
mod core;
mod exclusive;
// The derive of KubeSchema makes hidden copies of the structs that nobody can reach; so below.
#[allow(unreachable_pub)]
mod history;
mod horizon_rpc;
mod network;
mod pod;
#[allow(unreachable_pub)]
mod status;
#[allow(unreachable_pub)]
mod storage;
#[allow(unreachable_pub)]
mod types;

pub use core::{DatabaseConfig, PeersAs, SecretKeyRef};
pub use exclusive::SeedSource;
pub use history::{HistoryCommands, HistoryConfig, Publish};
pub use horizon_rpc::{HorizonConfig, SorobanConfig};
pub use network::Network;
pub use pod::{PodSettings, Probes};
pub use status::{Condition, LostAddress, PeersStatus, StellarNodeStatus, StorageStatus};
pub use storage::{RetentionPolicy, StorageConfig, StorageMode};
pub use types::{
    KeySource, KmsConfig, KnownPeersRef, NodeType, PeerGroup, StellarNode, StellarNodeSpec, ValidatorConfig,
    default_peer_port,
};

use crate::labels;

/// A StellarNode that may not be readable: one that cannot be read costs no other.
pub type GuardedNode = kube::core::DeserializeGuard<StellarNode>;

/// The CustomResourceDefinition of the StellarNode as it is installed.
pub fn custom_resource_definition()
-> k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition {
    use kube::CustomResourceExt as _;
    let mut definition = StellarNode::crd();
    // Without the definition, the API server deletes every StellarNode.
    let kept = labels::KEPT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    definition.metadata.annotations = Some(kept.into());
    let validations = definition
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut());
    for schema in validations.filter_map(|validation| validation.open_api_v3_schema.as_mut()) {
        bounds::add(schema);
    }
    definition
}

/// The schema of the StellarNode, as that definition holds it.
pub fn schema() -> Option<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps> {
    let version = custom_resource_definition().spec.versions.into_iter().next()?;
    version.schema?.open_api_v3_schema
}
