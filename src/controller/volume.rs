//! Keeps the volume claim of a node: whom it belongs to, and that it grows when it is to.
//!
//! The shell around [`ClaimStep`], which decides. Nothing is ever deleted here.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;

use super::apply::{self, ApplyError};
use super::convert::is_ours;
use super::resources::ClaimStep;
use crate::api::{ApiError, deadline};
use crate::labels;

/// Who makes a claim that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    /// We do.
    Operator,
    /// Kubernetes does, from the StatefulSet. One that does not carry our label was made from somebody else's, and is left
    /// alone.
    StatefulSet,
}

/// Makes the claim, or what may be changed of it; gives back why it was not enlarged. `owner` is the uid of its node.
pub(super) async fn reconcile(
    client: &Client,
    namespace: &str,
    desired: &Value,
    owner: &str,
    maker: Maker,
) -> Result<Option<String>, ApplyError> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let name = desired["metadata"]["name"].as_str().unwrap_or_default();
    let stored = deadline(api.get_opt(name)).await?;
    let seen = stored.as_ref().and_then(kube::ResourceExt::resource_version);
    let step = match (stored, maker) {
        (None, Maker::Operator) => ClaimStep::Update(desired.clone()),
        (None, Maker::StatefulSet) => ClaimStep::None,
        (Some(stored), Maker::Operator) if !is_ours(stored.labels()) => {
            return Err(ApplyError::NotOurs(format!("PersistentVolumeClaim {name}")));
        }
        (Some(stored), Maker::StatefulSet) if !is_ours(stored.labels()) => ClaimStep::None,
        (Some(stored), _) => ClaimStep::of(&stored, desired, owner),
    };
    let write = async |claim: &Value| {
        apply::apply_object::<PersistentVolumeClaim>(client, namespace, claim, labels::MANAGER, seen.as_deref())
            .await?;
        tracing::info!(claim = name, namespace, "volume claim written");
        Ok::<(), ApplyError>(())
    };
    match step {
        ClaimStep::None => Ok(None),
        ClaimStep::Update(claim) => write(&claim).await.map(|()| None),
        ClaimStep::Grow(claim) => match write(&claim).await {
            Err(ApplyError::Api(ApiError::Refused(status))) if is_final(status.code) => Ok(Some(status.message)),
            grown => grown.map(|()| None),
        },
    }
}

/// Whether the API server would answer the same again: an object that it holds for invalid, or a right that is not given.
pub(super) fn is_final(code: u16) -> bool {
    matches!(code, 400 | 403 | 422)
}
