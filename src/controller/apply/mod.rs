//! Every write, each with a deadline and a precondition: here those of discovery and of turns, in `objects` and `status` the rest.
//!
//! Nothing is decided here. Annotations, lists and turns are written by merge patches of exactly our fields with a
//! resourceVersion: a server-side apply of one annotation would give up whatever else its manager set before.

mod objects;
mod status;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde::Serialize;
use serde_json::{Value, json};

use super::budgets::BudgetStep;
use super::decide::{ListRemoval, ListWrite, Plan, RecordWrite};
use super::resources::{self, BuildError, BuildSettings, OtherOwner};
use super::snapshot::{LastRestart, PublishedList, Snapshot, Turn, TurnLease, Workload};
use super::sole_use::{InUse, Sole};
use crate::api::{ApiError, deadline};
use crate::crd::StellarNode;
use crate::labels;
use crate::peers::View;

use objects::applied;
pub use objects::{adopt, apply_object, ensure, remove_owned, without_type};
pub use status::{raw_node, status, unreadable};

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server refused, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The objects of the StellarNode cannot be built.
    #[error("the objects of the StellarNode cannot be built")]
    Build(#[from] BuildError),
    /// What was built is not what the API takes: a defect of this program.
    #[error("the object does not have the shape of its kind")]
    Shape(#[from] serde_json::Error),
    /// Somebody else's object stands where one of ours should be.
    #[error("{0} is there and not managed by stellar-operator: rename or delete it")]
    NotOurs(String),
    /// An object that is ours by its label belongs to another owner.
    #[error("{object} belongs to {owner}")]
    Owned {
        /// Which object.
        object: String,
        /// Its owner.
        owner: OtherOwner,
    },
    /// What only one may use is another validator's.
    #[error("{} has the same {}", .0.holder, match .0.what { Sole::Seed => "seed", Sole::Database => "database" })]
    InUse(InUse),
    /// What was decided is about a spec or an object that is another by now: it is decided again.
    #[error("what was decided is out of date")]
    Outdated,
}

impl ApplyError {
    /// Whether somebody else wrote in between: decide again, and say nothing above DEBUG.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Api(error) => error.is_conflict() || error.code() == Some(404),
            Self::Outdated => true,
            Self::Build(_) | Self::Shape(_) | Self::NotOurs(_) | Self::Owned { .. } | Self::InUse(_) => false,
        }
    }
}

fn merge(manager: &str) -> PatchParams {
    PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    }
}

fn server_side(manager: &str) -> PatchParams {
    PatchParams::apply(manager).force()
}

/// JSON in an annotation; `null` clears it.
fn annotation<T: Serialize>(value: Option<&T>) -> Result<Value, serde_json::Error> {
    value.map_or(Ok(Value::Null), |value| serde_json::to_string(value).map(Value::String))
}

/// Writes what is to be remembered of a validator.
///
/// # Errors
/// When the API server refuses; a conflict means that the StatefulSet changed meanwhile.
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
///
/// # Errors
/// When the API server refuses; a conflict means that somebody else wrote or created it meanwhile.
pub async fn list(client: &Client, write: &ListWrite, seen: Option<&PublishedList>) -> Result<(), ApplyError> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &write.id.namespace);
    let labels = json!({
        labels::NAME: labels::STELLAR_NODE,
        labels::MANAGED_BY: labels::OPERATOR,
        labels::NETWORK: write.network.short_hash(),
    });
    let Some(seen) = seen else {
        // Not an apply: that would write into somebody else's ConfigMap of this name.
        let object: ConfigMap = serde_json::from_value(json!({
            "metadata": { "name": write.id.name, "labels": labels },
            "data": write.data,
        }))?;
        deadline(api.create(&created_by(labels::MANAGER), &object)).await?;
        return Ok(());
    };
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

fn created_by(manager: &str) -> PostParams {
    PostParams {
        field_manager: Some(manager.to_owned()),
        ..PostParams::default()
    }
}

/// Removes the list of a group that is gone.
///
/// # Errors
/// When the API server refuses.
pub async fn remove_list(client: &Client, removal: &ListRemoval) -> Result<(), ApplyError> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &removal.id.namespace);
    deadline(api.delete(&removal.id.name, &only_uid(&removal.uid))).await?;
    Ok(())
}

/// Does what a group's PodDisruptionBudget needs.
///
/// # Errors
/// When the API server refuses; a conflict means that somebody else wrote it meanwhile, or has one of this name.
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
                // One that somebody edited may have it, and the two exclude each other.
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

fn only_uid(uid: &str) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            ..Preconditions::default()
        }),
        ..DeleteParams::default()
    }
}

/// Writes the turns of a network into its Lease.
///
/// # Errors
/// When the API server refuses; a conflict means that somebody else wrote it meanwhile, so that two leaders for a moment
/// never give two turns.
pub async fn turns(
    client: &Client,
    own_namespace: &str,
    network: &str,
    seen: Option<&TurnLease>,
    turns: &[Turn],
) -> Result<(), ApplyError> {
    let api: Api<Lease> = Api::namespaced(client.clone(), own_namespace);
    let name = labels::turns_lease_name(network);
    let holders: Vec<String> = turns.iter().map(|turn| turn.node.to_string()).collect();
    let body = json!({
        "metadata": {
            "name": name,
            "resourceVersion": seen.and_then(|lease| lease.resource_version.clone()),
            "labels": { labels::MANAGED_BY: labels::OPERATOR, labels::NETWORK: network },
            "annotations": { labels::TURNS: serde_json::to_string(turns)? },
        },
        "spec": { "holderIdentity": if holders.is_empty() { Value::Null } else { holders.join(",").into() } },
    });
    if seen.is_some() {
        deadline(api.patch(&name, &merge(labels::MANAGER_ROLLOUT), &Patch::Merge(&body))).await?;
    } else {
        let object: Lease = serde_json::from_value(body)?;
        deadline(api.create(&created_by(labels::MANAGER_ROLLOUT), &object)).await?;
    }
    Ok(())
}

/// Restarts a validator with the template that it has: one write.
///
/// # Errors
/// When the API server refuses; a conflict means that the StatefulSet changed meanwhile.
pub async fn restart(client: &Client, turn: &Turn, workload: &Workload, view: &View) -> Result<(), ApplyError> {
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &turn.node.namespace);
    let last = LastRestart {
        at: turn.since,
        view: view.clone(),
    };
    let patch = json!({
        "metadata": {
            "resourceVersion": workload.resource_version,
            "annotations": { labels::LAST_RESTART: annotation(Some(&last))? },
        },
        "spec": { "template": { "metadata": { "annotations": { labels::RESTARTS: turn.since.to_string() } } } },
    });
    deadline(api.patch(&workload.name, &merge(labels::MANAGER_ROLLOUT), &Patch::Merge(&patch))).await?;
    Ok(())
}

/// Marks a turn as given back unused, so that nobody who still sees it can use it.
///
/// # Errors
/// When the API server refuses; a conflict means that the StatefulSet changed meanwhile.
pub async fn give_back(client: &Client, turn: &Turn, workload: &Workload) -> Result<(), ApplyError> {
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &turn.node.namespace);
    let patch = json!({ "metadata": {
        "resourceVersion": workload.resource_version,
        "annotations": { labels::TURN_GIVEN_BACK: turn.since.to_string() },
    } });
    deadline(api.patch_metadata(&workload.name, &merge(labels::MANAGER_ROLLOUT), &Patch::Merge(&patch))).await?;
    Ok(())
}

/// Applies a changed template: that is the restart. The base config that belongs to it goes first, once it is known that the API
/// server takes the template: a pod of the old one that is made anew meanwhile would start with the new config.
///
/// # Errors
/// When the objects cannot be built, the API server refuses, or the spec or the StatefulSet changed meanwhile.
pub async fn template(
    client: &Client,
    turn: &Turn,
    workload: &Workload,
    node: &StellarNode,
    settings: &BuildSettings,
) -> Result<(), ApplyError> {
    if turn.spec_hash.as_deref() != Some(resources::spec_hash(&node.spec).as_str()) {
        return Err(ApplyError::Outdated);
    }
    let mut objects = resources::build(node, settings)?;
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &turn.node.namespace);
    resources::keep_what_never_changes(&mut objects.stateful_set, &deadline(api.get(&workload.name)).await?);
    let seen = Some(workload.resource_version.as_str());
    let write = async |dry_run: bool| {
        let params = PatchParams {
            dry_run,
            ..server_side(labels::MANAGER)
        };
        applied::<StatefulSet>(client, &turn.node.namespace, &objects.stateful_set, &params, seen).await
    };
    write(true).await?;
    ensure::<ConfigMap>(client, &turn.node.namespace, &objects.config_map).await?;
    write(false).await?;
    Ok(())
}

/// Deletes a pod that Kubernetes would not replace: normal grace, never forced.
///
/// # Errors
/// When the API server refuses; a conflict means that there is another pod by now, or that it changed.
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

/// Marks a turn as given back, on the StatefulSet that its holder was seen to have.
///
/// # Errors
/// As [`give_back`]; also when the holder has none.
pub async fn planned_give_back(client: &Client, snapshot: &Snapshot, turn: &Turn) -> Result<(), ApplyError> {
    give_back(client, turn, workload_of(snapshot, turn)?).await
}

/// Applies the present template for a turn, to the StatefulSet that its holder was seen to have.
///
/// # Errors
/// As [`template`]; also when the holder has no StatefulSet.
pub async fn planned_template(
    client: &Client,
    snapshot: &Snapshot,
    turn: &Turn,
    node: &StellarNode,
    settings: &BuildSettings,
) -> Result<(), ApplyError> {
    template(client, turn, workload_of(snapshot, turn)?, node, settings).await
}

fn workload_of<'a>(snapshot: &'a Snapshot, turn: &Turn) -> Result<&'a Workload, ApplyError> {
    let validator = snapshot.validators.iter().find(|validator| validator.uid == turn.uid);
    validator
        .and_then(|validator| validator.workload.as_ref())
        .ok_or(ApplyError::Outdated)
}

/// Restarts the holder of a turn as a plan says.
///
/// # Errors
/// As [`restart`]; also when the plan is not of that snapshot.
pub async fn planned_restart(client: &Client, snapshot: &Snapshot, plan: &Plan, turn: &Turn) -> Result<(), ApplyError> {
    let view = plan.views.get(&turn.node).ok_or(ApplyError::Outdated)?;
    restart(client, turn, workload_of(snapshot, turn)?, view).await
}
