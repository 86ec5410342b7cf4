//! Writes of whole objects and of their metadata, each onto the object that was read. Nothing is decided here.

use std::fmt::Debug;

use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{ApplyError, merge, only_uid, server_side};
use crate::controller::resources;
use crate::kubernetes::api::deadline;
use crate::labels;

/// A kind of namespaced objects that is read and written here.
pub(crate) trait Namespaced:
    kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned
{
}

impl<K> Namespaced for K where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned
{
}

/// No object has this resourceVersion, because etcd's first write is its second revision. An apply with it creates an
/// object, and conflicts with one that exists. A create would record our fields as those of an update, which no later
/// apply removes.
const NOT_THERE: &str = "1";

/// Server-side apply of one built object onto the resourceVersion that was read, or onto none. An object that another
/// program created meanwhile is not touched.
pub(crate) async fn apply_object<K>(
    client: &Client,
    namespace: &str,
    object: &Value,
    manager: &str,
    read: Option<&str>,
) -> Result<K, ApplyError>
where
    K: Namespaced,
{
    applied(client, namespace, object, &server_side(manager), read).await
}

/// As [`apply_object`], with these parameters: a dry run asks whether the API server would accept the object.
pub(crate) async fn applied<K>(
    client: &Client,
    namespace: &str,
    object: &Value,
    params: &PatchParams,
    read: Option<&str>,
) -> Result<K, ApplyError>
where
    K: Namespaced,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let mut object = object.clone();
    object["metadata"]["resourceVersion"] = json!(read.unwrap_or(NOT_THERE));
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Ok(deadline(api.patch(name, params, &Patch::Apply(&object))).await?)
}

/// Creates an object of ours, or repairs it where it lacks what we set; writes nothing where it lacks nothing. Fails
/// when an object of this name is not ours, or the API server refuses.
pub(crate) async fn ensure<K>(client: &Client, namespace: &str, desired: &Value) -> Result<(), ApplyError>
where
    K: Namespaced + Serialize,
{
    let name = desired["metadata"]["name"].as_str().unwrap_or_default();
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let read = deadline(api.get_opt(name)).await?;
    if resources::lacks(read.as_ref(), desired)? {
        let version = read.as_ref().and_then(|read| read.meta().resource_version.as_deref());
        apply_object::<K>(client, namespace, desired, labels::MANAGER, version).await?;
    }
    Ok(())
}

/// Changes the metadata of an object. The patch names the resourceVersion that was read.
pub(crate) async fn change_metadata<K>(
    client: &Client,
    namespace: &str,
    name: &str,
    patch: &Value,
    manager: &str,
) -> Result<(), ApplyError>
where
    K: Namespaced,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    deadline(api.patch_metadata(name, &merge(manager), &Patch::Merge(patch))).await?;
    Ok(())
}

/// Deletes the object with this uid.
pub(crate) async fn delete<K>(client: &Client, namespace: &str, name: &str, uid: &str) -> Result<(), ApplyError>
where
    K: Namespaced,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    deadline(api.delete(name, &only_uid(uid))).await?;
    Ok(())
}
