//! Writes of whole objects, each onto the object that was read. Nothing is decided here.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::ApplyError;
use crate::controller::resources;
use crate::kubernetes::api::{deadline, server_side};
use crate::labels;

/// No object has this resourceVersion, because etcd's first write is its second revision. An apply with it creates an
/// object, and conflicts with one that exists. A create would record our fields as those of an update, which no later
/// apply removes.
const NOT_THERE: &str = "1";

/// Server-side apply of one built object onto the resourceVersion that was read, or onto none. An object that another
/// program created meanwhile is not touched.
pub(crate) async fn apply_object<K>(
    api: &Api<K>,
    object: &Value,
    manager: &str,
    read: Option<&str>,
) -> Result<(), ApplyError>
where
    K: Clone + Debug + DeserializeOwned,
{
    apply_object_with(api, object, &server_side(manager), read).await
}

/// As [`apply_object`], with these parameters: a dry run asks whether the API server would accept the object.
pub(crate) async fn apply_object_with<K>(
    api: &Api<K>,
    object: &Value,
    params: &PatchParams,
    read: Option<&str>,
) -> Result<(), ApplyError>
where
    K: Clone + Debug + DeserializeOwned,
{
    let mut object = object.clone();
    object["metadata"]["resourceVersion"] = json!(read.unwrap_or(NOT_THERE));
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    deadline(api.patch(name, params, &Patch::Apply(&object))).await?;
    Ok(())
}

/// Creates a ConfigMap of ours, or repairs it where it lacks what we set; writes nothing where it lacks nothing. Fails
/// when a ConfigMap of this name is not ours, or the API server refuses.
pub(crate) async fn ensure(api: &Api<ConfigMap>, desired: &Value) -> Result<(), ApplyError> {
    let name = desired["metadata"]["name"].as_str().unwrap_or_default();
    let read = deadline(api.get_opt(name)).await?;
    if resources::lacks(read.as_ref(), desired)? {
        let version = read.as_ref().and_then(|read| read.metadata.resource_version.as_deref());
        apply_object(api, desired, labels::MANAGER, version).await?;
    }
    Ok(())
}
