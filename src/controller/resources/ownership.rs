//! Ownership of objects, and whether a stored StatefulSet can become ours.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource as _, ResourceExt as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::{holds, object_labels, stateful_set, without_type};
use crate::crd::StellarNode;
use crate::kubernetes::stored::is_ours;
use crate::labels;

/// Another controller of an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name}")]
pub struct OtherOwner {
    pub kind: String,
    pub name: String,
}

/// Why an object of ours cannot be written: another one has its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// The object is not managed by us.
    #[error("{0} is there and not managed by stellar-operator: rename or delete it")]
    NotOurs(String),
    /// The object is ours by its label and belongs to another owner.
    #[error("{object} belongs to {owner}")]
    Owned {
        /// Kind and name of the object.
        object: String,
        owner: OtherOwner,
    },
}

/// Whether an object that was read lacks something that we set, or does not exist. Fails where the object is not ours.
pub fn lacks<K>(read: Option<&K>, desired: &Value) -> Result<bool, Obstacle>
where
    K: kube::Resource<DynamicType = ()> + Serialize,
{
    let Some(read) = read else { return Ok(true) };
    check_ours(read)?;
    check_owner(read, desired)?;
    let holds_all = |read: Value| holds(&read, &without_type(desired));
    Ok(!serde_json::to_value(read).is_ok_and(holds_all))
}

/// Checks that an object is managed by us.
pub fn check_ours<K>(read: &K) -> Result<(), Obstacle>
where
    K: kube::Resource<DynamicType = ()>,
{
    if is_ours(read.labels()) {
        return Ok(());
    }
    Err(Obstacle::NotOurs(format!("{} {}", K::kind(&()), read.name_any())))
}

/// Checks that an object of ours belongs to the owner that `desired` names: two nodes can have objects of one name, as
/// the Service of a validator `x` and that of a Horizon called `x-headless`. Fails where another owner controls it.
pub fn check_owner<K>(read: &K, desired: &Value) -> Result<(), Obstacle>
where
    K: kube::Resource<DynamicType = ()>,
{
    let own = desired["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let own: Vec<&str> = own.filter_map(|owner| owner["uid"].as_str()).collect();
    match other_controller(read.owner_references(), &own) {
        Some(owner) if !own.is_empty() => Err(Obstacle::Owned {
            object: format!("{} {}", K::kind(&()), read.name_any()),
            owner,
        }),
        _ => Ok(()),
    }
}

/// The controller among these owners, unless it is one of `own`.
fn other_controller(owners: &[OwnerReference], own: &[&str]) -> Option<OtherOwner> {
    let mut owners = owners.iter();
    let rival = owners.find(|owner| owner.controller == Some(true) && !own.contains(&owner.uid.as_str()))?;
    Some(OtherOwner {
        kind: rival.kind.clone(),
        name: rival.name.clone(),
    })
}

/// The labels and the owner reference that a StatefulSet still needs to belong to its StellarNode; `None` if it has
/// them. The operator writes nothing else on a StatefulSet that was handed over: the pod template changes in the
/// validator's slot. Fails when another object controls it.
pub fn belonging(stored: &StatefulSet, node: &StellarNode) -> Result<Option<Value>, OtherOwner> {
    let Some(own) = node.controller_owner_ref(&()) else {
        return Ok(None);
    };
    let owners = stored.owner_references();
    if let Some(rival) = other_controller(owners, &[&own.uid]) {
        return Err(rival);
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

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;

    use super::*;

    #[test]
    fn an_object_of_ours_that_another_node_controls_is_the_other_nodes() {
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
