//! The status of a StellarNode, in parts by their managers; also of one that cannot be parsed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::{ApplyError, server_side};
use crate::crd::{GuardedNode, StellarNode};
use crate::kubernetes::api::deadline;
use crate::labels;

/// Part of a StellarNode's status, by the manager that owns that part; gives back the node as it is now, if it can be
/// read.
///
/// # Errors
/// When the API server refuses.
pub async fn status(
    client: &Client,
    node: &StellarNode,
    manager: &str,
    part: &Value,
) -> Result<Option<StellarNode>, ApplyError> {
    status_of(client, &node.metadata, manager, part).await
}

/// A StellarNode as it stands, whether it can be parsed or not; `None` if it is gone.
///
/// # Errors
/// When the API server refuses.
pub async fn raw_node(client: &Client, node: &ObjectMeta) -> Result<Option<DynamicObject>, ApplyError> {
    let namespace = node.namespace.as_deref().unwrap_or_default();
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<StellarNode>(&()));
    // By a list: the operator has the right to list and watch StellarNodes, and no other to read one.
    let only = ListParams::default().fields(&format!("metadata.name={}", node.name.as_deref().unwrap_or_default()));
    Ok(deadline(api.list(&only)).await?.items.pop())
}

/// The controller's part of the status of a StellarNode that cannot be parsed.
///
/// # Errors
/// When the API server refuses.
pub async fn unreadable(client: &Client, node: &ObjectMeta, part: &Value) -> Result<(), ApplyError> {
    status_of(client, node, labels::MANAGER_NODE_STATUS, part).await?;
    Ok(())
}

async fn status_of(
    client: &Client,
    node: &ObjectMeta,
    manager: &str,
    part: &Value,
) -> Result<Option<StellarNode>, ApplyError> {
    let name = node.name.as_deref().unwrap_or_default();
    let namespace = node.namespace.as_deref().unwrap_or_default();
    // The answer may be an object that cannot be parsed.
    let api: Api<GuardedNode> = Api::namespaced(client.clone(), namespace);
    let body = json!({
        "apiVersion": labels::API_VERSION,
        "kind": labels::KIND,
        "metadata": { "name": name, "uid": node.uid },
        "status": part,
    });
    let answer = deadline(api.patch_status(name, &server_side(manager), &Patch::Apply(&body))).await?;
    Ok(answer.0.ok())
}
