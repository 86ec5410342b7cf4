//! Keeps the volume claim of a node: whom it belongs to, and that it grows when it is to.
//!
//! The shell around [`ClaimStep`], which decides. Nothing is ever deleted here.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::controller::apply::{self, ApplyError};
use crate::controller::resources::ClaimStep;
use crate::crd::{RetentionPolicy, StorageStatus};
use crate::kubernetes::api::{ApiError, deadline};
use crate::kubernetes::stored::is_ours;
use crate::labels;

/// Who makes a claim that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    /// We do.
    Operator,
    /// Kubernetes does, from the StatefulSet. One that does not carry our label was made from somebody else's, and is
    /// left alone.
    StatefulSet,
}

/// What becomes of the volume claim of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    claim: String,
    policy: RetentionPolicy,
}

impl Retention {
    /// What is asked for; `None` for a node without a claim of its own. Reads the object as it is stored, so that a
    /// node that cannot be parsed keeps its volume, too.
    pub(crate) fn asked(name: &str, spec: &Value) -> Option<Self> {
        let storage = &spec["storage"];
        let claim = match spec["nodeType"].as_str()? {
            "Validator" => labels::pod_claim_name(name),
            "SorobanRpc" => labels::claim_name(name),
            _ => return None,
        };
        let policy = match storage["retentionPolicy"].as_str() {
            Some("Delete") => RetentionPolicy::Delete,
            _ => RetentionPolicy::Retain,
        };
        Some(Self { claim, policy })
    }
}

/// Takes the claim of a node that retains it out of the node's ownership, before anything else is done that may fail;
/// gives back what is in force then.
///
/// # Errors
/// When the API server refuses or does not answer; a conflict means that the claim changed meanwhile.
pub(crate) async fn retain(
    client: &Client,
    namespace: &str,
    owner: &str,
    asked: &Retention,
) -> Result<Option<StorageStatus>, ApplyError> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let Some(stored) = deadline(api.get_opt(&asked.claim)).await? else {
        return Ok(None);
    };
    let step = release(&stored, owner, asked.policy);
    if let Some(patch) = &step {
        apply::change_metadata::<PersistentVolumeClaim>(client, namespace, &asked.claim, patch).await?;
        tracing::info!(
            claim = asked.claim,
            namespace,
            "volume claim retained: its StellarNode owns it no more"
        );
    }
    let owned = step.is_none() && owned_by(&stored, owner);
    Ok(Some(StorageStatus {
        claim: asked.claim.clone(),
        retention_policy: if owned {
            RetentionPolicy::Delete
        } else {
            RetentionPolicy::Retain
        },
    }))
}

fn owned_by(claim: &PersistentVolumeClaim, owner: &str) -> bool {
    claim.owner_references().iter().any(|reference| reference.uid == owner)
}

/// The change that takes a claim of ours from its node, where it is to stay and does not yet.
fn release(stored: &PersistentVolumeClaim, owner: &str, policy: RetentionPolicy) -> Option<Value> {
    let is_due = policy == RetentionPolicy::Retain && is_ours(stored.labels()) && owned_by(stored, owner);
    is_due.then(|| {
        let others = stored
            .owner_references()
            .iter()
            .filter(|reference| reference.uid != owner);
        json!({ "metadata": {
            "resourceVersion": stored.metadata.resource_version,
            "ownerReferences": others.collect::<Vec<_>>(),
        } })
    })
}

/// Makes the claim, or what may be changed of it; gives back why it was not enlarged. `owner` is the uid of its node.
pub(crate) async fn reconcile(
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

/// Whether the API server would answer the same again: an object that it holds for invalid, or a right that is not
/// given.
pub(crate) fn is_final(code: u16) -> bool {
    matches!(code, 400 | 403 | 422)
}

#[cfg(test)]
mod tests {
    use RetentionPolicy::{Delete, Retain};
    use axum::http::Method;

    use super::*;
    use crate::kubernetes::played::api_server;

    fn claim(owners: &[&str], ours: bool) -> PersistentVolumeClaim {
        let owners: Vec<Value> = owners
            .iter()
            .map(|uid| json!({ "apiVersion": "a/v1", "kind": "K", "name": "n", "uid": uid }))
            .collect();
        let labels = if ours {
            json!({ labels::MANAGED_BY: labels::OPERATOR })
        } else {
            json!({})
        };
        let metadata = json!({ "name": "c", "labels": labels, "ownerReferences": owners, "resourceVersion": "7" });
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    #[tokio::test]
    async fn the_status_says_what_is_in_force_and_not_what_is_asked_for() {
        for (owners, ours, policy, in_force) in [
            (&["1"][..], true, Delete, Delete),
            (&["1"], true, Retain, Retain),
            // Not made its node's yet, or of somebody else.
            (&[], true, Delete, Retain),
            (&["2"], true, Delete, Retain),
            // Not ours to take away.
            (&["1"], false, Retain, Delete),
        ] {
            let stored = serde_json::to_value(claim(owners, ours)).unwrap();
            let (client, calls) = api_server(move |_| stored.clone());
            let asked = Retention {
                claim: "c".to_owned(),
                policy,
            };
            let status = retain(&client, "a", "1", &asked).await.unwrap();
            let status = status.map(|status| (status.claim, status.retention_policy));
            let case = format!("{owners:?} {ours} {policy:?}");
            assert_eq!(status, Some(("c".to_owned(), in_force)), "{case}");
            let is_taken_away = owners.contains(&"1") && in_force == Retain;
            assert_eq!(calls.bodies(&Method::PATCH).len(), usize::from(is_taken_away), "{case}");
        }
    }

    #[test]
    fn a_retained_claim_is_taken_from_its_node_and_from_nobody_else() {
        let left = |claim: &PersistentVolumeClaim, policy| {
            let patch = release(claim, "1", policy)?;
            assert_eq!(patch["metadata"]["resourceVersion"], "7");
            patch["metadata"]["ownerReferences"].as_array().map(Vec::len)
        };
        assert_eq!(left(&claim(&["1"], true), Retain), Some(0));
        assert_eq!(left(&claim(&["1", "2"], true), Retain), Some(1));
        assert_eq!(left(&claim(&["2"], true), Retain), None);
        assert_eq!(left(&claim(&["1"], false), Retain), None);
        assert_eq!(left(&claim(&["1"], true), Delete), None);
    }

    #[test]
    fn what_is_asked_for_is_read_of_nodes_that_cannot_be_parsed_too() {
        let asked = |spec: Value| Retention::asked("v1", &spec).map(|asked| (asked.claim, asked.policy));
        let of = |name: &str, policy| Some((name.to_owned(), policy));
        let unreadable =
            json!({ "nodeType": "Validator", "replicas": "x", "storage": { "retentionPolicy": "Retain" } });
        assert_eq!(asked(unreadable), of("data-v1-0", Retain));
        assert_eq!(asked(json!({ "nodeType": "Validator" })), of("data-v1-0", Retain));
        let delete = json!({ "nodeType": "SorobanRpc", "storage": { "retentionPolicy": "Delete" } });
        assert_eq!(asked(delete), of("v1-data", Delete));
        assert_eq!(asked(json!({ "nodeType": "Horizon" })), None);
    }
}
