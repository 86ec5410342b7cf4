//! `status` of a StellarNode: what the operator last saw and did.
//!
//! A field that another version of the operator wrote and that cannot be read counts as absent.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::storage::RetentionPolicy;

/// What the operator last saw and did.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StellarNodeStatus {
    /// Conditions: Ready, Progressing, Joined, Voting, UpdatePending, PeersReady and others, each with a reason and a message.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that the controller last acted on.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of pods wanted.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Number of pods ready.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Where it is reached inside the cluster: the URL of a Horizon or SorobanRpc, name and peer port of a validator's pod.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The volume claim, and what would happen to it now if the StellarNode were deleted.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageStatus>,
    /// What this validator knows of its peers, and whether a restart is pending.
    #[serde(default, deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    pub peers: Option<PeersStatus>,
}

/// The volume claim of a node as it is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StorageStatus {
    /// Name of the claim.
    pub claim: String,
    /// The policy that is in force, which storage.retentionPolicy asks for.
    pub retention_policy: RetentionPolicy,
}

/// A part of a status that cannot be read counts as absent: whoever wrote it must not make the whole node unreadable.
fn readable<'de, D: serde::Deserializer<'de>, T: serde::de::DeserializeOwned + Default>(
    source: D,
) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(source)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// A validator's peers as the operator sees them.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PeersStatus {
    /// The address at which the others dial this validator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Where it was last dialled, while it has no running pod and no StatefulSet of the operator's own remembers this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<LostAddress>,
    /// Number of other members of its group.
    #[serde(default)]
    pub known: i32,
    /// Number of other members that its running pod loaded at its start; absent where the pod does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<i32>,
    /// Why a restart is pending: PeersChanged, NotLinked or SpecChanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_restart: Option<String>,
    /// Hash of the pending change, the value that the annotation stellar.org/approve-restart must have with --restart manual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_hash: Option<String>,
}

/// An address that nobody answers at.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LostAddress {
    /// The address, with the port.
    pub address: String,
    /// Since when; the others are told the address for a grace period from then.
    pub since: Time,
}

/// One condition of a StellarNode (Kubernetes API conventions, "Typical status properties").
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition is about.
    pub r#type: String,
    /// True, False or Unknown.
    pub status: String,
    /// One word that says why.
    #[serde(default)]
    pub reason: String,
    /// One sentence that says why, for people.
    #[serde(default)]
    pub message: String,
    /// When the status last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Generation of the spec that the condition was computed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
