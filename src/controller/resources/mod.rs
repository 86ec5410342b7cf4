//! The objects that a StellarNode owns, built from its spec: base config, Service and StatefulSet of a validator;
//! [`horizon_rpc`] for the other types.
//!
//! Pure: a spec in, JSON for server-side apply out, with exactly the fields that the operator sets.

mod claim;
mod config_map;
mod hash;
pub mod horizon_rpc;
mod new_db;
mod new_hist;
mod ownership;
mod pod_settings;
mod service;
mod stateful_set;

pub use claim::ClaimStep;
pub use hash::spec_hash;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{Resource as _, ResourceExt as _};
pub use ownership::{Obstacle, OtherOwner, belonging, check_ours, check_owner, is_convertible, lacks};
use serde_json::{Value, json};

use crate::admission::context::{NoContext, OneNode};
use crate::admission::{mutate, validate};
use crate::core_config::{self, ConfigError};
use crate::crd::{Network, NodeType, Publish, StellarNode, StellarNodeSpec, ValidatorConfig};
use crate::labels;
use crate::peers::NodeId;

/// The reason why a StellarNode's objects cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("spec.validatorConfig is missing: a node of type Validator needs it")]
    NoValidatorConfig,
    #[error("spec.horizonConfig or spec.sorobanConfig is missing: a node of that type needs it")]
    NoServerConfig,
    #[error("historyArchiveUrls is absent and {0} has no default: write the URLs of its history archives")]
    NoArchives(String),
    /// The webhook would refuse the StellarNode.
    #[error("{0}")]
    Refused(String),
    /// The parsed StellarNode cannot be serialized: a bug in this program.
    #[error("the StellarNode cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The object has no name, namespace or uid, so it does not come from an API server.
    #[error("the StellarNode has no {0}")]
    NoMetadata(&'static str),
    /// The webhook's defaults do not fit the StatefulSet: a bug in this program.
    #[error("the StatefulSet cannot be completed")]
    Defaults(#[from] json_patch::PatchError),
    /// stellar-core would refuse the config.
    #[error("the config of stellar-core cannot be made")]
    Config(#[from] ConfigError),
}

/// The operator's own settings that the builders need.
#[derive(Clone, Debug)]
pub struct BuildSettings {
    /// Image of the init container and the sidecar that run this program.
    pub operator_image: String,
    /// The cluster's DNS domain, by which the pods of a group find each other's archives.
    pub cluster_domain: String,
}

/// The objects of one validator, for server-side apply.
#[derive(Clone, Debug)]
pub struct ValidatorObjects {
    /// ConfigMap `{name}-config`: the config without the seed and the discovered peers.
    pub config_map: Value,
    pub service: Value,
    pub stateful_set: Value,
    /// The desired state of the volume claim that Kubernetes creates from the StatefulSet; `None` where the data is
    /// deleted with the pod.
    pub claim: Option<Value>,
    /// Desired number of pods.
    pub replicas: i32,
    /// Hash of the spec that they are built from.
    pub spec_hash: String,
}

/// The input of the builders for one validator.
struct Subject<'a> {
    name: String,
    namespace: String,
    owner: Value,
    spec: &'a StellarNodeSpec,
    config: &'a ValidatorConfig,
    settings: &'a BuildSettings,
}

/// Checks a node by the rules of the webhook, which may have been down when the object was stored.
pub fn check(node: &StellarNode) -> Result<(), BuildError> {
    let mut object = serde_json::to_value(node)?;
    mutate::apply(&mut object, &NoContext)?;
    let verdict = validate::validate(&object, None, &NoContext);
    if !verdict.passes() {
        let problems: Vec<String> = verdict.errors.iter().map(ToString::to_string).collect();
        return Err(BuildError::Refused(problems.join("; ")));
    }
    match node.spec.node_type {
        NodeType::Validator => {
            core_config::base_config(&node.spec)?;
        }
        NodeType::Horizon | NodeType::SorobanRpc => horizon_rpc::check(&node.spec)?,
    }
    Ok(())
}

/// Builds the objects of a validator. Fails when the webhook would refuse its spec, or stellar-core its config.
pub fn build(node: &StellarNode, settings: &BuildSettings) -> Result<ValidatorObjects, BuildError> {
    check(node)?;
    let subject = Subject {
        name: node.name_any(),
        namespace: node.namespace().ok_or(BuildError::NoMetadata("namespace"))?,
        owner: json!(node.controller_owner_ref(&()).ok_or(BuildError::NoMetadata("uid"))?),
        spec: &node.spec,
        config: node
            .spec
            .validator_config
            .as_ref()
            .ok_or(BuildError::NoValidatorConfig)?,
        settings,
    };
    let mut stateful_set = stateful_set::build(&subject);
    // The webhook sets the same defaults, so the stored object is the same with the webhook up or down.
    mutate::apply(&mut stateful_set, &OneNode(node.clone()))?;
    // Computed once, by the builder of the template.
    let spec_hash = built_from(&stateful_set["spec"]["template"])
        .unwrap_or_default()
        .to_owned();
    Ok(ValidatorObjects {
        spec_hash,
        config_map: config_map::build(&subject)?,
        service: service::build(&subject),
        stateful_set,
        claim: stateful_set::claim(&subject),
        replicas: stateful_set::replicas(subject.spec),
    })
}

/// Copies the immutable fields of a stored StatefulSet. Its volume claim template stays as stored, even after its claim
/// has grown (Kubernetes docs, "StatefulSets", and `ValidateStatefulSetUpdate`).
pub fn keep_what_never_changes(desired: &mut Value, stored: &StatefulSet) {
    let stored = json!(stored.spec);
    for field in ["selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"] {
        if stored[field].is_null() {
            desired["spec"].as_object_mut().and_then(|spec| spec.remove(field));
        } else {
            desired["spec"][field] = stored[field].clone();
        }
    }
}

/// The PodDisruptionBudget of the validators that read this ConfigMap.
pub fn disruption_budget(list: &str, max_unavailable: u32) -> Value {
    let peers = labels::peers_value(list);
    json!({
        "metadata": {
            "name": list,
            "labels": { labels::NAME: labels::STELLAR_NODE, labels::MANAGED_BY: labels::OPERATOR, labels::PEERS: peers },
        },
        "spec": {
            "maxUnavailable": max_unavailable,
            "selector": { "matchLabels": { labels::NAME: labels::STELLAR_NODE, labels::PEERS: peers } },
            // A validator that does not vote must not block the drain of its Kubernetes node.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    })
}

/// An apply of a StatefulSet's `replicas` alone, for the field manager that scales.
pub fn scale(name: &str, namespace: &str, replicas: i32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": name, "namespace": namespace },
        "spec": { "replicas": replicas },
    })
}

/// The hash of the spec that a pod template was built from.
pub fn built_from(template: &Value) -> Option<&str> {
    template["metadata"]["annotations"][labels::SPEC_HASH].as_str()
}

/// `desired` without its type, which a stored object does not repeat.
pub fn without_type(desired: &Value) -> Value {
    let mut desired = desired.clone();
    if let Some(object) = desired.as_object_mut() {
        object.remove("apiVersion");
        object.remove("kind");
    }
    desired
}

/// Whether an object has every field of `desired`. Fields set by others or by defaults do not count.
pub fn holds(actual: &Value, desired: &Value) -> bool {
    match (actual, desired) {
        (Value::Object(actual), Value::Object(desired)) => desired
            .iter()
            .all(|(key, value)| actual.get(key).is_some_and(|found| holds(found, value))),
        (Value::Array(actual), Value::Array(desired)) => {
            actual.len() == desired.len() && actual.iter().zip(desired).all(|(found, value)| holds(found, value))
        }
        _ => actual == desired,
    }
}

impl Subject<'_> {
    fn node(&self) -> NodeId {
        NodeId::new(&self.namespace, &self.name)
    }

    fn network(&self) -> Network {
        Network::parse(&self.spec.network)
    }

    fn publishes(&self) -> Publish {
        core_config::publishes(self.config, &self.network())
    }

    fn labels(&self) -> Value {
        object_labels(&self.name, labels::VALIDATOR)
    }

    fn metadata(&self, name: &str) -> Value {
        owned_metadata(name, &self.namespace, &self.name, labels::VALIDATOR, &self.owner)
    }
}

/// The labels of every object that belongs to a node.
fn object_labels(node: &str, component: &str) -> Value {
    json!({
        labels::NAME: labels::STELLAR_NODE,
        labels::INSTANCE: node,
        labels::COMPONENT: component,
        labels::MANAGED_BY: labels::OPERATOR,
    })
}

/// The metadata of an object that belongs to a node and is deleted with it.
fn owned_metadata(name: &str, namespace: &str, node: &str, component: &str, owner: &Value) -> Value {
    json!({
        "name": name,
        "namespace": namespace,
        "labels": object_labels(node, component),
        "ownerReferences": [owner],
    })
}

/// The labels that select the pods of a node.
fn selector(node: &str) -> Value {
    json!({ labels::NAME: labels::STELLAR_NODE, labels::INSTANCE: node })
}

/// The security context of each of our containers, with no privilege that it does not need.
fn container_security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
    })
}

/// The resources of this program's containers in a stellar-core pod. Requests and limits are both set and equal: a
/// quota refuses a pod with a container that lacks one of them, and a validator with guaranteed resources keeps this
/// class.
fn operator_resources() -> Value {
    let amount = json!({ "cpu": "50m", "memory": "64Mi" });
    json!({ "requests": amount, "limits": amount })
}

/// The security context of every pod.
fn pod_security() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": STELLAR_UID,
        "runAsGroup": STELLAR_UID,
        "fsGroup": STELLAR_UID,
        // Otherwise the kubelet changes the owner of every bucket file at each start.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// User of the `stellar` account in the official image of stellar-core.
const STELLAR_UID: i64 = 10_011_001;

#[cfg(test)]
mod tests {
    use super::*;

    fn validator() -> StellarNode {
        serde_json::from_value(json!({
            "apiVersion": labels::API_VERSION, "kind": labels::KIND,
            "metadata": { "name": "validator-1", "namespace": "stellar", "uid": "1" },
            "spec": {
                "nodeType": "Validator", "network": "testnet", "version": "26.0.1",
                "validatorConfig": { "seedSecretRef": "seed" },
            },
        }))
        .unwrap()
    }

    #[test]
    fn only_owner_and_labels_of_a_stateful_set_are_taken_over() {
        let node = validator();
        let own = json!(node.controller_owner_ref(&()).unwrap());
        let owner = |kind: &str, controller: bool| json!({ "apiVersion": "v1", "kind": kind, "name": "a", "uid": kind, "controller": controller });
        let of = |owners: &[&Value], labels: &Value| {
            let metadata = json!({ "name": "validator-1", "labels": labels, "ownerReferences": owners });
            belonging(&serde_json::from_value(json!({ "metadata": metadata })).unwrap(), &node)
        };
        let labels = object_labels("validator-1", labels::VALIDATOR);
        assert_eq!(of(&[&own], &labels), Ok(None));
        let theirs = json!({ labels::MANAGED_BY: labels::OPERATOR, "team": "a" });
        let taken = of(&[&owner("Chart", false)], &theirs).unwrap().unwrap();
        assert_eq!(taken["labels"], labels, "others' labels are not touched");
        let kinds: Vec<&Value> = taken["ownerReferences"]
            .as_array()
            .unwrap()
            .iter()
            .map(|owner| &owner["kind"])
            .collect();
        assert_eq!(kinds, ["Chart", "StellarNode"]);
        assert!(of(&[&own], &theirs).unwrap().is_some());
        assert!(of(&[], &labels).unwrap().is_some());
        assert_eq!(
            of(&[&owner("Fleet", true)], &labels),
            Err(OtherOwner {
                kind: "Fleet".to_owned(),
                name: "a".to_owned()
            })
        );
    }

    #[test]
    fn a_stateful_set_is_convertible_if_no_other_stellar_core_stays_in_it() {
        let node = validator();
        let stored = |change: &Value| {
            let mut set = json!({ "metadata": { "name": "validator-1" }, "spec": {
                "serviceName": "s",
                "selector": { "matchLabels": { labels::INSTANCE: "validator-1" } },
                "template": { "spec": { "containers": [{ "name": "stellar-core" }, { "name": "exporter" }] } },
                "volumeClaimTemplates": [{ "metadata": { "name": "data" } }],
            } });
            json_patch::merge(&mut set, change);
            is_convertible(&serde_json::from_value(set).unwrap(), &node)
        };
        assert!(stored(&json!({})));
        let owner = json!({ "apiVersion": "v1", "kind": "Fleet", "name": "a", "uid": "2", "controller": true });
        for change in [
            json!({ "metadata": { "ownerReferences": [owner] } }),
            json!({ "spec": { "selector": { "matchLabels": { "app": "stellar" } } } }),
            json!({ "spec": { "volumeClaimTemplates": [{ "metadata": { "name": "core" } }] } }),
            json!({ "spec": { "template": { "spec": { "containers": [{ "name": "core" }] } } } }),
        ] {
            assert!(!stored(&change), "{change}");
        }
    }
}
