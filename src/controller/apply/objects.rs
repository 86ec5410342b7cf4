//! The objects that a StellarNode is made into: created, repaired, taken over, removed.
//!
//! Server-side apply onto what was seen; nothing is decided here.

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{ApplyError, merge, only_uid, server_side};
use crate::controller::resources::{self, OtherOwner};
use crate::kubernetes::api::deadline;
use crate::kubernetes::stored::is_ours;
use crate::labels;

/// A kind of objects in namespaces, as it is read and written here.
pub trait Namespaced:
    kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned
{
}

impl<K> Namespaced for K where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned
{
}

/// No object has this resourceVersion (etcd's first write is its second revision). An apply with it creates an object,
/// and is a conflict where there is one: a create would make our fields those of an update, which no later apply takes
/// away.
const NOT_THERE: &str = "1";

/// Server-side apply of one built object onto what was seen of it: its resourceVersion, or that there was none.
/// Somebody else's object that came in between is not touched.
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
    K: Namespaced,
{
    applied(client, namespace, object, &server_side(manager), seen).await
}

/// As [`apply_object`], with these parameters: as a dry run it asks whether the API server would take the object.
pub(crate) async fn applied<K>(
    client: &Client,
    namespace: &str,
    object: &Value,
    params: &PatchParams,
    seen: Option<&str>,
) -> Result<K, ApplyError>
where
    K: Namespaced,
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
    K: Namespaced + Serialize,
{
    let name = desired["metadata"]["name"].as_str().unwrap_or_default();
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let stored = deadline(api.get_opt(name)).await?;
    if let Some(stored) = &stored {
        if !is_ours(stored.labels()) {
            return Err(ApplyError::NotOurs(format!("{} {name}", K::kind(&()))));
        }
        check_owner(stored, desired)?;
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

/// Whether an object of ours is one of another owner's: two nodes can have objects of one name, as the Service of a
/// validator `x` and that of a Horizon called `x-headless`.
///
/// # Errors
/// When another controls it than the one that `desired` names.
pub fn check_owner<K>(stored: &K, desired: &Value) -> Result<(), ApplyError>
where
    K: kube::Resource<DynamicType = ()>,
{
    let own = desired["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let own: Vec<&str> = own.filter_map(|owner| owner["uid"].as_str()).collect();
    let rival = stored
        .owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true) && !own.contains(&owner.uid.as_str()));
    match rival {
        Some(rival) if !own.is_empty() => Err(ApplyError::Owned {
            object: format!("{} {}", K::kind(&()), stored.name_any()),
            owner: OtherOwner {
                kind: rival.kind.clone(),
                name: rival.name.clone(),
            },
        }),
        _ => Ok(()),
    }
}

/// Changes the metadata of an object, which names the resourceVersion that was seen.
///
/// # Errors
/// When the API server refuses; a conflict means that the object changed meanwhile.
pub async fn change_metadata<K>(client: &Client, namespace: &str, name: &str, patch: &Value) -> Result<(), ApplyError>
where
    K: Namespaced,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    deadline(api.patch_metadata(name, &merge(labels::MANAGER), &Patch::Merge(patch))).await?;
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
    K: Namespaced,
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

#[cfg(test)]
mod tests {
    use axum::http::Method;
    use k8s_openapi::api::core::v1::{ConfigMap, Service};

    use super::*;
    use crate::kubernetes::played::api_server;

    #[tokio::test]
    async fn nothing_is_removed_but_what_is_of_the_node() {
        let ours = labels::OPERATOR;
        for (owners, manager, is_going, is_removed) in [
            (&["1"][..], ours, false, true),
            (&["2", "1"], ours, false, true),
            (&["2"], ours, false, false),
            (&[], ours, false, false),
            (&["1"], "somebody", false, false),
            (&["1"], ours, true, false),
        ] {
            let owner = |uid: &&str| json!({ "apiVersion": "a/v1", "kind": "K", "name": "x", "uid": uid });
            let mut metadata = json!({
                "name": "x", "uid": "7", "labels": { labels::MANAGED_BY: manager },
                "ownerReferences": owners.iter().map(owner).collect::<Vec<_>>(),
            });
            if is_going {
                metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            let stored = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
            let (client, calls) = api_server(move |_| stored.clone());
            remove_owned::<ConfigMap>(&client, "a", "x", "1").await.unwrap();
            let removed = calls.bodies(&Method::DELETE);
            // The one that was looked at, and no other of its name.
            let removed: Vec<_> = removed.iter().map(|body| &body["preconditions"]["uid"]).collect();
            let expected: &[Value] = if is_removed { &[json!("7")] } else { &[] };
            assert_eq!(
                removed,
                expected.iter().collect::<Vec<_>>(),
                "{owners:?} {manager} {is_going}"
            );
        }
    }

    #[test]
    fn an_object_of_ours_that_another_node_controls_is_anothers() {
        let service = |owners: &Value| {
            let metadata = json!({ "name": "x-headless", "ownerReferences": owners });
            serde_json::from_value::<Service>(json!({ "metadata": metadata })).unwrap()
        };
        let owner = |uid: &str, controls: bool| json!({ "apiVersion": labels::API_VERSION, "kind": labels::KIND, "name": "x", "uid": uid, "controller": controls });
        let desired = json!({ "metadata": { "ownerReferences": [owner("1", true)] } });
        for (owners, is_ours) in [
            (json!([]), true),
            (json!([owner("1", true)]), true),
            (json!([owner("2", false), owner("1", true)]), true),
            (json!([owner("2", true)]), false),
            (json!([owner("2", true), owner("1", false)]), false),
        ] {
            let checked = check_owner(&service(&owners), &desired);
            assert_eq!(checked.is_ok(), is_ours, "{owners}");
            assert!(
                checked
                    .err()
                    .is_none_or(|error| error.to_string().contains("Service x-headless belongs to"))
            );
        }
    }
}
