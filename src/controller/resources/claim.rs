//! The volume claim of a node: `data-{name}-0` of a validator, `{name}-data` of a SorobanRpc with storage.
//!
//! The claim always outlives its StatefulSet or Deployment. The StellarNode owns it only with `retentionPolicy:
//! Delete`; deleting a node with `Retain` leaves the claim. A claim grows and never shrinks.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::holds;
use crate::crd::{RetentionPolicy, StorageConfig};
use crate::kubernetes::quantity::Quantity;

/// JSON pointer to the requested size of a claim.
const SIZE: &str = "/spec/resources/requests/storage";

/// Builds the claim from this metadata, which names the StellarNode as the owner.
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

/// The write that an existing claim needs.
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimStep {
    None,
    /// Apply this: the owner, a label or an annotation differs.
    Update(Value),
    /// Apply this: the requested size grew, which the storage class may refuse.
    Grow(Value),
}

impl ClaimStep {
    /// Compares a stored claim with the desired one. `owner` is the uid of its StellarNode.
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
        // Immutable fields are applied with their stored values: the API server refuses any other.
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
