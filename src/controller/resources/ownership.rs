//! Ownership of objects, and whether a stored StatefulSet can become ours.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use super::{holds, object_labels, stateful_set};
use crate::crd::StellarNode;
use crate::labels;

/// Another controller of an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name}")]
pub struct OtherOwner {
    pub kind: String,
    pub name: String,
}

/// The labels and the owner reference that a StatefulSet still needs to belong to its StellarNode; `None` if it has
/// them. The operator writes nothing else on a StatefulSet that was handed over: the pod template changes in the
/// validator's slot.
///
/// # Errors
/// When another object controls it.
pub fn belonging(stored: &StatefulSet, node: &StellarNode) -> Result<Option<Value>, OtherOwner> {
    let Some(own) = node.controller_owner_ref(&()) else {
        return Ok(None);
    };
    let owners = stored.owner_references();
    let rival = owners
        .iter()
        .find(|owner| owner.controller == Some(true) && owner.uid != own.uid);
    if let Some(rival) = rival {
        return Err(OtherOwner {
            kind: rival.kind.clone(),
            name: rival.name.clone(),
        });
    }
    let labels = object_labels(&node.name_any(), labels::VALIDATOR);
    if owners.contains(&own) && holds(&json!(stored.labels()), &labels) {
        return Ok(None);
    }
    let others = owners.iter().filter(|owner| owner.uid != own.uid);
    let owners: Vec<_> = others.chain([&own]).collect();
    Ok(Some(json!({ "labels": labels, "ownerReferences": owners })))
}

/// Whether a stored StatefulSet can become the one that we build for this validator.
/// [`keep_what_never_changes`](super::keep_what_never_changes) takes over its immutable fields, so its selector must
/// select our pods, and its claims must include the volume that these mount. No foreign field that stays may run a
/// second stellar-core, such as a container of another name.
pub fn is_convertible(stored: &StatefulSet, node: &StellarNode) -> bool {
    let Some(spec) = &stored.spec else { return false };
    let containers = spec.template.spec.iter().flat_map(|pod| &pod.containers);
    let mut others = containers.filter(|container| container.name != labels::CORE_CONTAINER);
    if others.any(|container| labels::CORE_CONTAINERS.contains(&container.name.as_str()))
        || belonging(stored, node).is_err()
    {
        return false;
    }
    let labels = object_labels(&node.name_any(), labels::VALIDATOR);
    let selects = |(name, value): (&String, &String)| labels[name] == *value;
    let mut claims = spec.volume_claim_templates.iter().flatten();
    spec.selector.match_expressions.iter().flatten().next().is_none()
        && spec.selector.match_labels.iter().flatten().all(selects)
        && (!stateful_set::keeps_data(&node.spec)
            || claims.any(|claim| claim.metadata.name.as_deref() == Some(labels::DATA_VOLUME)))
}
