//! What a StellarNode of any type may say of its pods: where they run, as whom, with what beside the main container.
//!
//! All of it is optional. What is absent leaves the pods as the operator builds them; what is given is handed to the
//! pods as it is written.

use k8s_openapi::api::core::v1::{EnvVar, LocalObjectReference, Probe, Toleration, TopologySpreadConstraint};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The fields of a StellarNode's spec that concern its pods alone.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PodSettings {
    /// Annotations to add to the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_annotations: Option<BTreeMap<String, String>>,
    /// Labels to add to the pods; those of the operator, app.kubernetes.io/name, instance, component and managed-by, are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_labels: Option<BTreeMap<String, String>>,
    /// Labels that a machine must have for the pods to run on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Taints of machines that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Affinity of the pods, as in a pod's spec; it replaces the default, by which the operator keeps nodes off each other's machines. An empty one switches that off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "preserved")]
    pub affinity: Option<Value>,
    /// How the pods are spread over zones or machines; a constraint needs a labelSelector to count any pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Name of the PriorityClass of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Secrets, in the same namespace, with which the images are pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// ServiceAccount of the pods; its token is not mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Seconds that the main container has to stop before it is killed. Default: 90 for a validator, 60 for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub termination_grace_period_seconds: Option<i64>,
    /// Further environment of the main container; names that the operator sets are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Probes of the main container, each in place of the operator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// Further containers of the pods, as in a pod's spec; they may mount the volumes data and tmp. The pod is Ready only while each of them is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "containers")]
    pub sidecars: Vec<Value>,
}

/// Probes of the main container, each in place of the operator's own.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// When the container is restarted; a validator has none by default, and one that depends on consensus restarts validators together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
    /// When the container is Ready; the lists of peers are made from which validators are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
    /// When the container has started; the other probes wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,
}

/// An object whose fields are the API server's business: its whole schema would be longer than all of ours.
fn preserved(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true })
}

/// A list of containers, of which only what every container needs is described.
fn containers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "type": "object",
            "description": "A container, as in a pod's spec.",
            "x-kubernetes-preserve-unknown-fields": true,
            "required": ["name", "image"],
            "properties": {
                "name": { "type": "string", "description": "Name of the container; none that the operator uses." },
                "image": { "type": "string", "description": "Image of the container, with its tag." },
            },
        },
    })
}
