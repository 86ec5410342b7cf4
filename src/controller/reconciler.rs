//! One StellarNode → its Service, base config and StatefulSet.
//!
//! It creates what is missing, repairs what somebody changed, scales, and holds a changed pod template back: that goes out
//! in the validator's turn, which is for `rollout` to give.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::runtime::controller::Action;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::apply::{self, ApplyError};
use super::convert::is_ours;
use super::objects::GuardedNode;
use super::report::Finding;
use super::resources::{self, BuildSettings, ValidatorObjects};
use super::status::{self, NodeReport};
use crate::api::deadline;
use crate::crd::{NodeType, StellarNode};
use crate::{clock, labels};

/// How soon a reconcile that failed is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// What every reconcile needs.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What the builders take from the operator's own settings.
    pub settings: BuildSettings,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Somebody else's object stands where one of ours should be.
#[derive(Debug)]
struct NotOurs(String);

/// Reconciles one StellarNode.
///
/// # Errors
/// When the API server does not answer or refuses; the reconcile is tried again.
pub async fn reconcile(node: Arc<GuardedNode>, context: Arc<Context>) -> Result<Action, ApplyError> {
    let node = match &node.0 {
        Ok(node) => node,
        Err(invalid) => {
            let name = invalid.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(
                node = name,
                error = invalid.error,
                "StellarNode cannot be parsed; its objects stay as they are"
            );
            return Ok(Action::await_change());
        }
    };
    if node.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    if node.spec.node_type != NodeType::Validator {
        tracing::debug!(node = node.name_any(), "skipped: not a validator");
        return Ok(Action::await_change());
    }
    let report = match resources::build(node, &context.settings) {
        Err(error) => invalid(&error),
        Ok(objects) => apply_objects(node, &objects, &context.client).await?,
    };
    if let Some(part) = status::node_part(node, &report, clock::now()) {
        apply::status(&context.client, node, labels::MANAGER_NODE_STATUS, &part).await?;
    }
    Ok(Action::await_change())
}

/// What follows from a reconcile that failed.
#[allow(clippy::needless_pass_by_value, reason = "the signature is kube's")]
pub fn on_error(node: Arc<GuardedNode>, error: &ApplyError, _: Arc<Context>) -> Action {
    let name = node.meta().name.clone().unwrap_or_default();
    let namespace = node.meta().namespace.clone().unwrap_or_default();
    let conflict = error.is_conflict();
    let error = error as &dyn std::error::Error;
    if conflict {
        tracing::debug!(
            node = name,
            namespace,
            error,
            "StellarNode changed meanwhile; reconciled again"
        );
    } else {
        tracing::warn!(node = name, namespace, error, "StellarNode not reconciled; tried again");
    }
    Action::requeue(RETRY)
}

async fn apply_objects(
    node: &StellarNode,
    objects: &ValidatorObjects,
    client: &Client,
) -> Result<NodeReport, ApplyError> {
    let namespace = node.namespace().unwrap_or_default();
    if let Err(NotOurs(object)) = ensure::<Service>(client, &namespace, &objects.service).await? {
        return Ok(degraded(objects, &object));
    }
    let stateful_sets: Api<StatefulSet> = Api::namespaced(client.clone(), &namespace);
    let stored = deadline(stateful_sets.get_opt(&node.name_any())).await?;
    let Some(stored) = stored else {
        if let Err(NotOurs(object)) = ensure::<ConfigMap>(client, &namespace, &objects.config_map).await? {
            return Ok(degraded(objects, &object));
        }
        apply::apply_object::<StatefulSet>(client, &namespace, &objects.stateful_set, labels::MANAGER).await?;
        tracing::info!(validator = node.name_any(), namespace, "StatefulSet created");
        return Ok(ready(node, objects, 0));
    };
    if !is_ours(stored.labels()) {
        return Ok(degraded(objects, &format!("StatefulSet {}", stored.name_any())));
    }
    let scaled_down = stored.spec.as_ref().is_some_and(|spec| spec.replicas == Some(0))
        && stored.status.as_ref().is_none_or(|status| status.replicas == 0);
    let current = built_from(&stored) == Some(resources::spec_hash(&node.spec));
    if current || scaled_down {
        // The base config belongs to the template: it changes with it, in the validator's turn.
        if let Err(NotOurs(object)) = ensure::<ConfigMap>(client, &namespace, &objects.config_map).await? {
            return Ok(degraded(objects, &object));
        }
    }
    if scaled_down && !current {
        // Nobody goes down for it.
        apply::apply_object::<StatefulSet>(client, &namespace, &objects.stateful_set, labels::MANAGER).await?;
    } else if stored.spec.as_ref().and_then(|spec| spec.replicas) != Some(objects.replicas) {
        let scale = resources::scale(&node.name_any(), &namespace, objects.replicas);
        apply::apply_object::<StatefulSet>(client, &namespace, &scale, labels::MANAGER_REPLICAS).await?;
        tracing::info!(
            validator = node.name_any(),
            namespace,
            replicas = objects.replicas,
            "StatefulSet scaled"
        );
    }
    let ready_replicas = stored
        .status
        .as_ref()
        .and_then(|status| status.ready_replicas)
        .unwrap_or(0);
    Ok(ready(node, objects, ready_replicas))
}

/// Hash of the spec that a stored template was built from.
fn built_from(stored: &StatefulSet) -> Option<String> {
    stored
        .spec
        .as_ref()?
        .template
        .metadata
        .as_ref()?
        .annotations
        .as_ref()?
        .get(labels::SPEC_HASH)
        .cloned()
}

/// Creates an object of ours, or repairs it where it lacks what we set.
async fn ensure<K>(client: &Client, namespace: &str, desired: &Value) -> Result<Result<(), NotOurs>, ApplyError>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let name = desired["metadata"]["name"].as_str().unwrap_or_default();
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    if let Some(stored) = deadline(api.get_opt(name)).await? {
        if !is_ours(stored.labels()) {
            return Ok(Err(NotOurs(format!("{} {name}", K::kind(&())))));
        }
        if resources::holds(&serde_json::to_value(&stored)?, &without_type(desired)) {
            return Ok(Ok(()));
        }
    }
    apply::apply_object::<K>(client, namespace, desired, labels::MANAGER).await?;
    Ok(Ok(()))
}

/// A stored object does not repeat its kind.
fn without_type(desired: &Value) -> Value {
    let mut desired = desired.clone();
    if let Some(object) = desired.as_object_mut() {
        object.remove("apiVersion");
        object.remove("kind");
    }
    desired
}

fn finding(r#type: &'static str, status: bool, reason: &'static str, message: impl Into<String>) -> Finding {
    Finding {
        r#type,
        status,
        reason,
        message: message.into(),
    }
}

fn ready(node: &StellarNode, objects: &ValidatorObjects, ready_replicas: i32) -> NodeReport {
    let condition = if node.spec.suspended {
        finding(
            "Ready",
            false,
            "Suspended",
            "it is suspended: its StatefulSet is scaled to 0, Service and storage stay",
        )
    } else if ready_replicas >= objects.replicas {
        finding("Ready", true, "PodReady", "its pod is Ready")
    } else {
        finding("Ready", false, "PodNotReady", "its pod is not Ready")
    };
    NodeReport {
        replicas: objects.replicas,
        ready_replicas,
        conditions: vec![condition],
    }
}

fn degraded(objects: &ValidatorObjects, object: &str) -> NodeReport {
    let message = format!(
        "{object} is there and not managed by {}: rename or delete it, or label it {}={} to hand it over",
        labels::OPERATOR,
        labels::MANAGED_BY,
        labels::OPERATOR
    );
    let conditions = vec![
        finding("Ready", false, "Degraded", message.clone()),
        finding("Degraded", true, "NotOurs", message),
    ];
    NodeReport {
        replicas: objects.replicas,
        ready_replicas: 0,
        conditions,
    }
}

fn invalid(error: &resources::BuildError) -> NodeReport {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    let conditions = vec![
        finding("Ready", false, "ConfigInvalid", message.clone()),
        finding("ConfigInvalid", true, "Refused", message),
    ];
    NodeReport {
        replicas: 0,
        ready_replicas: 0,
        conditions,
    }
}
