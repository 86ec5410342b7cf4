//! The objects that a StellarNode is made into: created, repaired, taken over, removed.
//!
//! Server-side apply onto what was seen; nothing is decided here.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::{ApplyError, merge, only_uid, server_side};
use crate::api::deadline;
use crate::controller::convert::is_ours;
use crate::controller::resources;
use crate::labels;

/// No object has this resourceVersion (etcd's first write is its second revision). An apply with it creates an object, and
/// is a conflict where there is one: a create would make our fields those of an update, which no later apply takes away.
const NOT_THERE: &str = "1";

/// Server-side apply of one built object onto what was seen of it: its resourceVersion, or that there was none. Somebody
/// else's object that came in between is not touched.
///
/// # Errors
/// When the API server refuses; a conflict means that it changed, came or went meanwhile.
pub async fn apply_object<K>(
    client: &Client,
    namespace: &str,
    object: &Value,
    manager: &str,
    seen: Option<&str>,
) -> Result<K, ApplyError>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    applied(client, namespace, object, &server_side(manager), seen).await
}

/// As [`apply_object`], with these parameters: as a dry run it asks whether the API server would take the object.
pub(super) async fn applied<K>(
    client: &Client,
    namespace: &str,
    object: &Value,
    params: &PatchParams,
    seen: Option<&str>,
) -> Result<K, ApplyError>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let mut object = object.clone();
    object["metadata"]["resourceVersion"] = json!(seen.unwrap_or(NOT_THERE));
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Ok(deadline(api.patch(name, params, &Patch::Apply(&object))).await?)
}

/// Creates an object of ours, or repairs it where it lacks what we set; writes nothing where it lacks nothing.
///
/// # Errors
/// When somebody else's object has its name, or the API server refuses.
pub async fn ensure<K>(client: &Client, namespace: &str, desired: &Value) -> Result<(), ApplyError>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Serialize
        + serde::de::DeserializeOwned,
{
    let name = desired["metadata"]["name"].as_str().unwrap_or_default();
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let stored = deadline(api.get_opt(name)).await?;
    if let Some(stored) = &stored {
        if !is_ours(stored.labels()) {
            return Err(ApplyError::NotOurs(format!("{} {name}", K::kind(&()))));
        }
        if resources::holds(&serde_json::to_value(stored)?, &without_type(desired)) {
            return Ok(());
        }
    }
    let seen = stored
        .as_ref()
        .and_then(|stored| stored.meta().resource_version.as_deref());
    apply_object::<K>(client, namespace, desired, labels::MANAGER, seen).await?;
    Ok(())
}

/// Makes a StatefulSet that was handed over that of its node, in its metadata alone.
///
/// # Errors
/// When the API server refuses; a conflict means that the StatefulSet changed meanwhile.
pub async fn adopt(client: &Client, stored: &StatefulSet, metadata: &Value) -> Result<(), ApplyError> {
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &stored.namespace().unwrap_or_default());
    let mut patch = json!({ "metadata": metadata });
    patch["metadata"]["resourceVersion"] = json!(stored.resource_version());
    let manager = merge(labels::MANAGER_REPLICAS);
    deadline(api.patch_metadata(&stored.name_any(), &manager, &Patch::Merge(&patch))).await?;
    Ok(())
}

/// Removes an object of ours that a node has no use for any more; one of another owner, or of nobody's, stays.
///
/// # Errors
/// When the API server refuses.
pub async fn remove_owned<K>(client: &Client, namespace: &str, name: &str, owner: &str) -> Result<(), ApplyError>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let stored = deadline(api.get_opt(name)).await?;
    let owned = |object: &K| {
        let by_us = object.owner_references().iter().any(|reference| reference.uid == owner);
        by_us && is_ours(object.labels()) && object.meta().deletion_timestamp.is_none()
    };
    if let Some(uid) = stored.filter(owned).and_then(|object| object.uid()) {
        deadline(api.delete(name, &only_uid(&uid))).await?;
        tracing::info!(kind = %K::kind(&()), name, namespace, "removed: its node has no use for it any more");
    }
    Ok(())
}

/// A stored object does not repeat its kind.
pub fn without_type(desired: &Value) -> Value {
    let mut desired = desired.clone();
    if let Some(object) = desired.as_object_mut() {
        object.remove("apiVersion");
        object.remove("kind");
    }
    desired
}
