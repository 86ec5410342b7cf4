//! The writes of discovery, each with a deadline and a precondition: records, lists, slots, restarts.
//!
//! Nothing is decided here. Annotations, lists and slots are merge patches of our fields with a resourceVersion. A
//! server-side apply of one annotation would remove the other fields of its manager. A conflict means that the object
//! changed, came or went since the snapshot.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde::Serialize;
use serde_json::{Value, json};

use super::decide::{ListRemoval, ListWrite, Plan, RecordWrite};
use crate::controller::apply::{ApplyError, apply_object_with, ensure};
use crate::controller::model::snapshot::{LastRestart, PublishedList, Slot, SlotLease, Snapshot, Workload};
use crate::controller::peering::budgets::BudgetStep;
use crate::controller::resources::{self, BuildSettings};
use crate::controller::rollout::plan::PlannedSlots;
use crate::crd::StellarNode;
use crate::kubernetes::api::{created_by, deadline, merge, only_uid, server_side};
use crate::labels;

/// JSON in an annotation; `null` clears it.
fn annotation<T: Serialize>(value: Option<&T>) -> Result<Value, serde_json::Error> {
    value.map_or(Ok(Value::Null), |value| serde_json::to_string(value).map(Value::String))
}

/// Records the membership of a validator on its StatefulSet.
pub async fn record(client: &Client, write: &RecordWrite) -> Result<(), ApplyError> {
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &write.node.namespace);
    let patch = json!({ "metadata": {
        "resourceVersion": write.resource_version,
        "annotations": {
            labels::MEMBER: annotation(write.member.as_ref())?,
            labels::LOADED_PEERS: annotation(write.assumed.as_ref())?,
        },
    } });
    deadline(api.patch_metadata(&write.workload, &merge(labels::MANAGER_ROLLOUT), &Patch::Merge(&patch))).await?;
    Ok(())
}

/// Writes a list: creates its ConfigMap, or changes the one that was seen.
pub async fn list(client: &Client, write: &ListWrite, seen: Option<&PublishedList>) -> Result<(), ApplyError> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &write.id.namespace);
    let labels = json!({
        labels::NAME: labels::STELLAR_NODE,
        labels::MANAGED_BY: labels::OPERATOR,
        labels::NETWORK: write.network.short_hash(),
    });
    let Some(seen) = seen else {
        // A create and no apply: an apply would write into a ConfigMap of another owner.
        let object: ConfigMap = serde_json::from_value(json!({
            "metadata": { "name": write.id.name, "labels": labels },
            "data": write.data,
        }))?;
        deadline(api.create(&created_by(labels::MANAGER), &object)).await?;
        return Ok(());
    };
    if seen.list.is_none() && seen.data.is_empty() {
        return whole_list(&api, write, seen, &labels).await;
    }
    let gone = seen
        .data
        .keys()
        .filter(|key| !write.data.contains_key(*key))
        .map(|key| (key.clone(), Value::Null));
    let kept = write
        .data
        .iter()
        .map(|(key, text)| (key.clone(), Value::String(text.clone())));
    let data: BTreeMap<String, Value> = gone.chain(kept).collect();
    let patch = json!({
        "metadata": { "resourceVersion": seen.resource_version, "labels": labels },
        "data": data,
        "binaryData": null,
    });
    deadline(api.patch(&write.id.name, &merge(labels::MANAGER), &Patch::Merge(&patch))).await?;
    Ok(())
}

/// Replaces all data of a ConfigMap whose present data is unknown: the caches drop data that is too large for a list.
async fn whole_list(
    api: &Api<ConfigMap>,
    write: &ListWrite,
    seen: &PublishedList,
    own: &Value,
) -> Result<(), ApplyError> {
    let label = |(name, value): (&String, &Value)| json!({ "op": "add", "path": format!("/metadata/labels/{}", name.replace('/', "~1")), "value": value });
    let mut steps = vec![
        // A replaced version that is out of date is a conflict; a failed `test` would not be.
        json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": seen.resource_version }),
        json!({ "op": "add", "path": "/data", "value": write.data }),
        json!({ "op": "add", "path": "/binaryData", "value": null }),
    ];
    steps.extend(own.as_object().into_iter().flatten().map(label));
    let patch: Patch<()> = Patch::Json(serde_json::from_value(Value::Array(steps))?);
    deadline(api.patch(&write.id.name, &merge(labels::MANAGER), &patch)).await?;
    Ok(())
}

/// Removes the list of a group that is gone.
pub async fn remove_list(client: &Client, removal: &ListRemoval) -> Result<(), ApplyError> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &removal.id.namespace);
    deadline(api.delete(&removal.id.name, &only_uid(&removal.uid))).await?;
    Ok(())
}

/// Writes or removes the PodDisruptionBudget of a group.
pub async fn budget(client: &Client, step: &BudgetStep) -> Result<(), ApplyError> {
    match step {
        BudgetStep::Write {
            id,
            max_unavailable,
            seen,
        } => {
            let api: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), &id.namespace);
            let mut body = resources::disruption_budget(&id.name, *max_unavailable);
            if let Some(version) = seen {
                body["metadata"]["resourceVersion"] = json!(version);
                // An edit may have set it, and it excludes maxUnavailable.
                body["spec"]["minAvailable"] = Value::Null;
                deadline(api.patch(&id.name, &merge(labels::MANAGER), &Patch::Merge(&body))).await?;
            } else {
                let object = serde_json::from_value(body)?;
                deadline(api.create(&created_by(labels::MANAGER), &object)).await?;
            }
        }
        BudgetStep::Remove { id, uid } => {
            let api: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), &id.namespace);
            deadline(api.delete(&id.name, &only_uid(uid))).await?;
        }
    }
    Ok(())
}

/// Writes the slots of a network, and what belongs to them, into its Lease. Fails when the API server refuses. A
/// conflict means that the Lease changed since the snapshot; so two replicas that both lead for a moment never give two
/// slots.
pub async fn slots(
    client: &Client,
    own_namespace: &str,
    network: &str,
    seen: Option<&SlotLease>,
    planned: &PlannedSlots,
) -> Result<(), ApplyError> {
    let PlannedSlots { slots, served, joined } = planned;
    let api: Api<Lease> = Api::namespaced(client.clone(), own_namespace);
    let name = labels::slots_lease_name(network);
    let holders: Vec<String> = slots.iter().map(|slot| slot.node.to_string()).collect();
    let remembered = [
        (
            labels::SLOTS_SERVED,
            annotation(Some(served).filter(|served| !served.is_empty()))?,
        ),
        (
            labels::JOINED_LISTS,
            annotation(Some(joined).filter(|joined| !joined.is_empty()))?,
        ),
    ];
    // A null clears an annotation of the present Lease. A new Lease has none.
    let remembered = remembered
        .into_iter()
        .filter(|(_, value)| seen.is_some() || !value.is_null());
    let mut body = json!({
        "metadata": {
            "name": name,
            "resourceVersion": seen.and_then(|lease| lease.resource_version.clone()),
            "labels": { labels::MANAGED_BY: labels::OPERATOR, labels::NETWORK: network },
            "annotations": { labels::SLOTS: serde_json::to_string(slots)? },
        },
        "spec": { "holderIdentity": if holders.is_empty() { Value::Null } else { holders.join(",").into() } },
    });
    for (name, value) in remembered {
        body["metadata"]["annotations"][name] = value;
    }
    if seen.is_some() {
        deadline(api.patch(&name, &merge(labels::MANAGER_ROLLOUT), &Patch::Merge(&body))).await?;
    } else {
        let object: Lease = serde_json::from_value(body)?;
        deadline(api.create(&created_by(labels::MANAGER_ROLLOUT), &object)).await?;
    }
    Ok(())
}

/// Restarts the holder of a slot with its present template, in one write.
pub async fn restart(client: &Client, snapshot: &Snapshot, plan: &Plan, slot: &Slot) -> Result<(), ApplyError> {
    let view = plan.views.get(&slot.node).ok_or(ApplyError::Outdated)?;
    let workload = workload_of(snapshot, slot)?;
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &slot.node.namespace);
    let last = LastRestart {
        at: slot.since,
        view: view.clone(),
        pod_uid: slot.pod_uid.clone(),
    };
    let patch = json!({
        "metadata": {
            "resourceVersion": workload.resource_version,
            "annotations": { labels::LAST_RESTART: annotation(Some(&last))? },
        },
        "spec": { "template": { "metadata": { "annotations": { labels::RESTARTS: slot.since.to_string() } } } },
    });
    deadline(api.patch(&workload.name, &merge(labels::MANAGER_ROLLOUT), &Patch::Merge(&patch))).await?;
    Ok(())
}

/// Marks a slot as given back unused. A replica that still sees the slot then fails to use it.
pub async fn give_back(client: &Client, snapshot: &Snapshot, slot: &Slot) -> Result<(), ApplyError> {
    let workload = workload_of(snapshot, slot)?;
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &slot.node.namespace);
    let patch = json!({ "metadata": {
        "resourceVersion": workload.resource_version,
        "annotations": { labels::SLOT_GIVEN_BACK: slot.since.to_string() },
    } });
    deadline(api.patch_metadata(&workload.name, &merge(labels::MANAGER_ROLLOUT), &Patch::Merge(&patch))).await?;
    Ok(())
}

/// Applies a changed template, which restarts the pod. Its base config goes first, after a dry run of the template: a
/// pod of the old template that starts in between would load the new config.
pub async fn template(
    client: &Client,
    snapshot: &Snapshot,
    slot: &Slot,
    node: &StellarNode,
    settings: &BuildSettings,
) -> Result<(), ApplyError> {
    if slot.spec_hash.as_deref() != Some(resources::spec_hash(&node.spec).as_str()) {
        return Err(ApplyError::Outdated);
    }
    let workload = workload_of(snapshot, slot)?;
    let mut objects = resources::build(node, settings)?;
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &slot.node.namespace);
    resources::keep_what_never_changes(&mut objects.stateful_set, &deadline(api.get(&workload.name)).await?);
    let seen = Some(workload.resource_version.as_str());
    let write = async |dry_run: bool| {
        let params = PatchParams {
            dry_run,
            ..server_side(labels::MANAGER)
        };
        apply_object_with(&api, &objects.stateful_set, &params, seen).await
    };
    write(true).await?;
    let config_maps = Api::namespaced(client.clone(), &slot.node.namespace);
    ensure(&config_maps, &objects.config_map).await?;
    write(false).await
}

/// Deletes a pod that Kubernetes would not replace, with its normal grace period.
pub async fn delete_pod(
    client: &Client,
    namespace: &str,
    name: &str,
    uid: &str,
    resource_version: &str,
) -> Result<(), ApplyError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut params = only_uid(uid);
    if let Some(preconditions) = &mut params.preconditions {
        preconditions.resource_version = Some(resource_version.to_owned());
    }
    deadline(api.delete(name, &params)).await?;
    Ok(())
}

/// The StatefulSet of the holder of a slot, in the snapshot.
fn workload_of<'a>(snapshot: &'a Snapshot, slot: &Slot) -> Result<&'a Workload, ApplyError> {
    let validator = snapshot.validators.iter().find(|validator| validator.uid == slot.uid);
    validator
        .and_then(|validator| validator.workload.as_ref())
        .ok_or(ApplyError::Outdated)
}
