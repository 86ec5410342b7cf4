//! The volume claim of a node: `data-{name}-0` of a validator, `{name}-data` of a SorobanRpc that has storage.
//!
//! It outlives its StatefulSet or Deployment in any case. The StellarNode owns it only with `retentionPolicy: Delete`,
//! so that whoever deletes a node that retains its volume deletes nothing else. It grows and never shrinks.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::holds;
use crate::crd::{RetentionPolicy, StorageConfig};
use crate::kubernetes::quantity::Quantity;

/// Where a claim keeps the size that is asked for.
const SIZE: &str = "/spec/resources/requests/storage";

/// The claim with this metadata, which names its StellarNode as its owner.
pub(super) fn build(mut metadata: Value, storage: &StorageConfig) -> Value {
    if storage.retention_policy == RetentionPolicy::Retain {
        metadata["ownerReferences"] = json!([]);
    }
    if let Some(annotations) = &storage.annotations {
        metadata["annotations"] = json!(annotations);
    }
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": spec(storage),
    })
}

/// What a claim for this storage asks for.
pub(super) fn spec(storage: &StorageConfig) -> Value {
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": storage.size } },
    });
    if let Some(class) = &storage.storage_class {
        spec["storageClassName"] = json!(class);
    }
    spec
}

/// What is to be done about a claim that is there.
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimStep {
    /// Nothing.
    None,
    /// Apply this: whom it belongs to changed, or its annotations did.
    Update(Value),
    /// Apply this: it is to grow, which its storage class may refuse.
    Grow(Value),
}

impl ClaimStep {
    /// Compares a claim with what it should be. `owner` is the uid of its StellarNode.
    pub fn of(stored: &PersistentVolumeClaim, desired: &Value, owner: &str) -> Self {
        let mut applied = desired.clone();
        let spec = stored.spec.as_ref();
        let requests = spec.and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
        let size = requests
            .and_then(|requests| requests.get("storage"))
            .map(|size| size.0.as_str());
        let wanted = desired.pointer(SIZE).and_then(Value::as_str);
        let grows = match (size.and_then(Quantity::parse), wanted.and_then(Quantity::parse)) {
            (Some(size), Some(wanted)) => wanted > size,
            _ => false,
        };
        if let (Some(size), Some(place), false) = (size, applied.pointer_mut(SIZE), grows) {
            *place = json!(size);
        }
        // What never changes is applied as it is: the API server refuses anything else.
        if let Some(class) = applied.pointer_mut("/spec/storageClassName") {
            *class = json!(spec.and_then(|spec| spec.storage_class_name.as_ref()));
        }
        if let Some(modes) = spec.and_then(|spec| spec.access_modes.as_ref()) {
            applied["spec"]["accessModes"] = json!(modes);
        }
        if grows {
            return Self::Grow(applied);
        }
        let metadata = json!(stored.metadata);
        let owned = stored.owner_references().iter().any(|reference| reference.uid == owner);
        let to_be_owned = desired["metadata"]["ownerReferences"]
            .as_array()
            .is_some_and(|list| !list.is_empty());
        let written = |part: &str| match &desired["metadata"][part] {
            Value::Null => true,
            desired => holds(&metadata[part], desired),
        };
        if owned == to_be_owned && written("labels") && written("annotations") {
            Self::None
        } else {
            Self::Update(applied)
        }
    }
}
