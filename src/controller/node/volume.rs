//! Keeps the volume claim of a node: which owner it has, and that it grows when its spec asks for it. Pure.
//!
//! [`ClaimStep`] compares a claim with its spec. No write here deletes a claim.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::write::Write;
use crate::controller::resources::{ClaimStep, Obstacle};
use crate::crd::{RetentionPolicy, StorageStatus};
use crate::kubernetes::stored::is_ours;
use crate::labels;

/// What creates a claim that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    Operator,
    /// Kubernetes, from the StatefulSet. A claim without our label was made from another program's StatefulSet and is
    /// left alone.
    StatefulSet,
}

/// What becomes of the volume claim of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    claim: String,
    policy: RetentionPolicy,
}

impl Retention {
    /// What the spec asks for; `None` for a node without a claim of its own. It reads the spec as it is stored, so that
    /// a node that cannot be parsed keeps its volume as well.
    pub fn asked(name: &str, spec: &Value) -> Option<Self> {
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

    pub(super) fn claim(&self) -> &str {
        &self.claim
    }

    /// What is in force for the claim that was read.
    pub(crate) fn in_force(&self, claim: Option<&PersistentVolumeClaim>, owner: &str) -> Option<StorageStatus> {
        let owned = owned_by(claim?, owner);
        Some(StorageStatus {
            claim: self.claim.clone(),
            retention_policy: if owned {
                RetentionPolicy::Delete
            } else {
                RetentionPolicy::Retain
            },
        })
    }

    /// The write that ends the ownership of a node whose claim is to stay; `None` where it does not own the claim, or
    /// the claim is not ours.
    pub(crate) fn release(&self, claim: Option<&PersistentVolumeClaim>, owner: &str) -> Option<Write> {
        let claim = claim?;
        let is_due = self.policy == RetentionPolicy::Retain && is_ours(claim.labels()) && owned_by(claim, owner);
        is_due.then(|| {
            let owners = claim.owner_references().iter();
            let others: Vec<_> = owners.filter(|reference| reference.uid != owner).collect();
            let metadata = json!({ "ownerReferences": others });
            Write::metadata(metadata, labels::MANAGER, claim)
                .logged("volume claim retained: its StellarNode does not own it any more")
        })
    }
}

fn owned_by(claim: &PersistentVolumeClaim, owner: &str) -> bool {
    claim.owner_references().iter().any(|reference| reference.uid == owner)
}

/// Creates the claim, or changes what may be changed of it. `owner` is the uid of its node. Fails where a claim that
/// this program has to create is not ours.
pub(super) fn ensure(
    read: Option<&PersistentVolumeClaim>,
    desired: &Value,
    owner: &str,
    maker: Maker,
) -> Result<Option<Write>, Obstacle> {
    let name = || desired["metadata"]["name"].as_str().unwrap_or_default();
    let (claim, may_fail) = match (read, maker) {
        (None, Maker::Operator) => (desired.clone(), false),
        (Some(stored), Maker::Operator) if !is_ours(stored.labels()) => {
            return Err(Obstacle::NotOurs(format!("PersistentVolumeClaim {}", name())));
        }
        (None, Maker::StatefulSet) => return Ok(None),
        (Some(stored), Maker::StatefulSet) if !is_ours(stored.labels()) => return Ok(None),
        (Some(stored), _) => match ClaimStep::of(stored, desired, owner) {
            ClaimStep::None => return Ok(None),
            ClaimStep::Update(claim) => (claim, false),
            ClaimStep::Grow(claim) => (claim, true),
        },
    };
    let write = Write::apply(claim, labels::MANAGER, read).logged("volume claim written");
    Ok(Some(Write { may_fail, ..write }))
}

#[cfg(test)]
mod tests {
    use RetentionPolicy::{Delete, Retain};

    use super::*;
    use crate::controller::node::write::Change;

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

    fn retention(policy: RetentionPolicy) -> Retention {
        let claim = "c".to_owned();
        Retention { claim, policy }
    }

    #[test]
    fn the_status_says_what_is_in_force_and_not_what_is_asked_for() {
        for (owners, in_force) in [(&["1"][..], Delete), (&[], Retain), (&["2"], Retain)] {
            let status = retention(Delete).in_force(Some(&claim(owners, true)), "1");
            let status = status.map(|status| (status.claim, status.retention_policy));
            assert_eq!(status, Some(("c".to_owned(), in_force)), "{owners:?}");
        }
        assert!(retention(Delete).in_force(None, "1").is_none());
    }

    #[test]
    fn a_retained_claim_is_taken_from_its_node_and_from_no_other_owner() {
        let left = |claim: &PersistentVolumeClaim, policy| {
            let write = retention(policy).release(Some(claim), "1")?;
            let Change::Metadata(patch, _) = write.change else {
                panic!("{write:?}");
            };
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
