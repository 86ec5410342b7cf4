//! One StellarNode → its objects: here those of a validator, Service, base config and StatefulSet; those of the other
//! types are `horizon_rpc`'s.
//!
//! It creates what is missing, repairs what somebody changed, scales, and holds a changed pod template back: that goes
//! out in the validator's slot, which is for `rollout` to give.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::runtime::reflector::Store;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::Value;

use super::apply::{self, ApplyError};
use super::exclusivity::seeds::Present;
use super::exclusivity::{self, Claims, Holder, InUse, Start};
use super::node::volume::{self, Maker, Retention, is_final};
use super::node::workload::{Wanted, WorkloadStep, Write, second_pods};
use super::node::{orphan, server};
use super::resources::{self, BuildSettings, ValidatorObjects};
use super::status;
use super::status::cache::StatusCache;
use super::status::events::{EventReason, Events};
use super::status::node::{NodeReport, in_use, invalid, not_ours, owned_by, refused};
use super::status::validator::{Running, endpoint, ready_replicas};
use crate::crd::{GuardedNode, NodeType, StellarNode, StorageStatus};
use crate::kubernetes::api::{ApiError, deadline, list_in_parts};
use crate::kubernetes::stored::is_ours;
use crate::labels;
use crate::peers::NodeId;
use crate::util::clock;
use crate::util::survive::survive;

/// How soon a reconcile that failed is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// How often a validator that waits for another to stop is looked at.
const WAITING: Duration = Duration::from_secs(5);
/// How soon a StellarNode is tried again whose reconcile panicked: it will again, and says so each time.
const AFTER_PANIC: Duration = Duration::from_secs(60);

/// What every reconcile needs.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What the builders take from the operator's own settings.
    pub settings: BuildSettings,
    /// How soon it is looked again where something outside the StellarNode must change first, of which no watch tells:
    /// a quota, somebody else's object.
    pub look_again: Duration,
    /// The StellarNodes, as the stream that triggers the reconciles knows them: whoever was created before is there.
    pub nodes: Store<GuardedNode>,
    /// Events on the StellarNodes.
    pub events: Events,
    /// Who was started with what only one may use.
    pub claims: Claims,
    /// What we wrote and the cache may not have yet.
    pub writes: StatusCache,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Reconciles one StellarNode. A panic in it is its own affair: the others go on.
///
/// # Errors
/// When the API server does not answer or refuses; the reconcile is tried again.
pub async fn reconcile(node: Arc<GuardedNode>, context: Arc<Context>) -> Result<Action, ApplyError> {
    let (name, namespace) = (node.meta().name.clone(), node.meta().namespace.clone());
    survive(reconcile_one(node, context)).await.unwrap_or_else(|| {
        let (node, namespace) = (name.unwrap_or_default(), namespace.unwrap_or_default());
        tracing::error!(node, namespace, "the reconcile of a StellarNode panicked; tried again");
        Ok(Action::requeue(AFTER_PANIC))
    })
}

async fn reconcile_one(node: Arc<GuardedNode>, context: Arc<Context>) -> Result<Action, ApplyError> {
    let node = match &node.0 {
        Ok(node) => node,
        Err(invalid) => {
            let name = invalid.metadata.name.as_deref().unwrap_or_default();
            tracing::warn!(
                node = name,
                error = invalid.error,
                "StellarNode cannot be parsed; its objects stay as they are"
            );
            if let Some(stored) = apply::raw_node(&context.client, &invalid.metadata).await? {
                let storage = retain(&invalid.metadata, &stored.data["spec"], &context.client).await?;
                let mut before = stored.data["status"].clone();
                if let (Some(storage), true) = (storage, before.is_object()) {
                    before["storage"] = serde_json::to_value(storage)?;
                }
                if let Some(part) = status::unreadable_part(invalid, &before, clock::now()) {
                    apply::unreadable(&context.client, &invalid.metadata, &part).await?;
                }
            }
            return Ok(Action::await_change());
        }
    };
    // First of all, and of one that is being deleted, too: a volume is lost once, and nothing that fails below may cost
    // it.
    let storage = retain(&node.metadata, &serde_json::to_value(&node.spec)?, &context.client).await?;
    if node.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let (mut report, next) = match node.spec.node_type {
        NodeType::Validator => Box::pin(validator(node, &context)).await?,
        NodeType::Horizon | NodeType::SorobanRpc => {
            Box::pin(server::reconcile(node, &context.client, context.look_again)).await?
        }
    };
    report.storage = storage;
    let known = context.writes.freshest(node);
    if let Some(part) = status::node_part(&known, &report, clock::now()) {
        let answer = apply::status(&context.client, node, labels::MANAGER_NODE_STATUS, &part).await?;
        answer.into_iter().for_each(|answer| context.writes.wrote(answer));
        context.events.warn_of(&known, &report.conditions);
    }
    Ok(next)
}

/// Takes the volume of a node that retains it out of the node's ownership; gives back what is in force for it.
async fn retain(metadata: &ObjectMeta, spec: &Value, client: &Client) -> Result<Option<StorageStatus>, ApplyError> {
    let (name, namespace) = (metadata.name.as_deref(), metadata.namespace.as_deref());
    let (Some(name), Some(namespace), Some(uid)) = (name, namespace, metadata.uid.as_deref()) else {
        return Ok(None);
    };
    match Retention::asked(name, spec) {
        Some(asked) => volume::retain(client, namespace, uid, &asked).await,
        None => Ok(None),
    }
}

/// What follows from a reconcile that failed.
#[allow(clippy::needless_pass_by_value, reason = "the signature is kube's")]
pub fn on_error(node: Arc<GuardedNode>, error: &ApplyError, _: Arc<Context>) -> Action {
    let name = node.meta().name.clone().unwrap_or_default();
    let namespace = node.meta().namespace.clone().unwrap_or_default();
    let conflict = error.is_conflict();
    let error = error as &dyn std::error::Error;
    if conflict {
        tracing::debug!(
            node = name,
            namespace,
            error,
            "StellarNode changed meanwhile; reconciled again"
        );
    } else {
        tracing::warn!(node = name, namespace, error, "StellarNode not reconciled; tried again");
    }
    Action::requeue(RETRY)
}

async fn validator(node: &StellarNode, context: &Context) -> Result<(NodeReport, Action), ApplyError> {
    let look_again = Action::requeue(context.look_again);
    let (mut report, next) = match resources::build(node, &context.settings) {
        Err(error) => (leave_running(node, &error, context).await?, Action::await_change()),
        Ok(objects) => match Box::pin(apply_objects(node, &objects, context)).await {
            Err(ApplyError::NotOurs(object)) => (not_ours(objects.replicas, &object), look_again),
            Err(ApplyError::Owned { object, owner }) => (owned_by(objects.replicas, &object, &owner), look_again),
            Err(ApplyError::InUse(found)) => (in_use(&found), Action::requeue(WAITING)),
            Err(ApplyError::Api(ApiError::Refused(status))) if is_final(status.code) => {
                let name = node.name_any();
                let namespace = node.namespace().unwrap_or_default();
                tracing::warn!(
                    validator = name,
                    namespace,
                    error = status.message,
                    "the API server refuses its objects"
                );
                let ready = stored(node, &context.client).await?.as_ref().map_or(0, ready_replicas);
                (refused(objects.replicas, ready, &status.message), look_again)
            }
            report => (report?, Action::await_change()),
        },
    };
    report.endpoint = endpoint(node);
    Ok((report, next))
}

async fn apply_objects(
    node: &StellarNode,
    objects: &ValidatorObjects,
    context: &Context,
) -> Result<NodeReport, ApplyError> {
    let client = &context.client;
    let namespace = node.namespace().unwrap_or_default();
    let stored = match stored(node, client).await? {
        Some(stored) if is_ours(stored.labels()) => Some(keep_ownership(node, stored, client).await?),
        other => other,
    };
    if let Some(stored) = stored.as_ref().filter(|stored| is_ours(stored.labels()))
        && objects.replicas == 0
    {
        // First of all: a person must be able to stop a validator, whatever else cannot be written.
        scale(node, stored, 0, context).await?;
    }
    apply::ensure::<Service>(client, &namespace, &objects.service).await?;
    let _start = check_sole_use(node, objects.replicas > 0, stored.as_ref(), context).await?;
    let Some(stored) = stored else {
        create(node, objects, client).await?;
        return Ok(Running::new(node, objects.replicas, None).report());
    };
    if !is_ours(stored.labels()) {
        return Err(ApplyError::NotOurs(format!("StatefulSet {}", stored.name_any())));
    }
    let step = WorkloadStep::of(
        &stored,
        Wanted {
            replicas: objects.replicas,
            spec_hash: &resources::spec_hash(&node.spec),
            program: &context.settings.operator_image,
        },
    );
    if step.base_config {
        apply::ensure::<ConfigMap>(client, &namespace, &objects.config_map).await?;
    }
    match step.write {
        Write::All => {
            let mut desired = objects.stateful_set.clone();
            resources::keep_what_never_changes(&mut desired, &stored);
            let seen = stored.metadata.resource_version.as_deref();
            apply::apply_object::<StatefulSet>(client, &namespace, &desired, labels::MANAGER, seen).await?;
        }
        Write::Replicas(replicas) => scale(node, &stored, replicas, context).await?,
        Write::Nothing => {}
    }
    let uid = node.uid().unwrap_or_default();
    let refused = match &objects.claim {
        Some(claim) => volume::reconcile(client, &namespace, claim, &uid, Maker::StatefulSet).await?,
        None => None,
    };
    let running = Running {
        volume_refused: refused,
        ..Running::new(node, objects.replicas, Some(&stored))
    };
    Ok(running.report())
}

/// Sees to it that a StatefulSet of ours belongs to its node and goes with it; gives it back as it is then.
async fn keep_ownership(node: &StellarNode, stored: StatefulSet, client: &Client) -> Result<StatefulSet, ApplyError> {
    let owned = |owner| ApplyError::Owned {
        object: format!("StatefulSet {}", stored.name_any()),
        owner,
    };
    let Some(metadata) = resources::belonging(&stored, node).map_err(owned)? else {
        return Ok(stored);
    };
    apply::adopt(client, &stored, &metadata).await?;
    tracing::info!(
        validator = node.name_any(),
        namespace = node.namespace().unwrap_or_default(),
        "StatefulSet taken over; its template stays until its slot"
    );
    let changed = self::stored(node, client).await?;
    changed.ok_or(ApplyError::Outdated)
}

/// The StatefulSet of a validator's name.
async fn stored(node: &StellarNode, client: &Client) -> Result<Option<StatefulSet>, ApplyError> {
    let namespace = node.namespace().unwrap_or_default();
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &namespace);
    Ok(deadline(api.get_opt(&node.name_any())).await?)
}

/// Creates the StatefulSet. Where its pod runs already, it gets the template of that, so that nobody goes down for it.
async fn create(node: &StellarNode, objects: &ValidatorObjects, client: &Client) -> Result<(), ApplyError> {
    let (name, namespace) = (node.name_any(), node.namespace().unwrap_or_default());
    let orphaned = orphan::template_of_orphan(client, &namespace, &name).await?;
    let taken_over = orphaned.is_some();
    let mut stateful_set = objects.stateful_set.clone();
    if let Some(template) = orphaned {
        stateful_set["spec"]["template"] = template;
    }
    let built = &objects.stateful_set["spec"]["template"];
    if resources::built_from(&stateful_set["spec"]["template"]) == resources::built_from(built) {
        // The base config belongs to the template: it changes with it, in the validator's slot.
        apply::ensure::<ConfigMap>(client, &namespace, &objects.config_map).await?;
    }
    apply::apply_object::<StatefulSet>(client, &namespace, &stateful_set, labels::MANAGER, None).await?;
    tracing::info!(validator = name, namespace, taken_over, "StatefulSet created");
    Ok(())
}

/// Whether a validator that does not run may have what only one may use. The start lasts as long as what is returned.
async fn check_sole_use<'a>(
    node: &StellarNode,
    is_to_run: bool,
    stored: Option<&StatefulSet>,
    context: &'a Context,
) -> Result<Option<Start<'a>>, ApplyError> {
    let kinds = exclusivity::taken_into_use(is_to_run, stored);
    if kinds.is_empty() {
        return Ok(None);
    }
    let start = context.claims.start(node, &kinds).ok_or(ApplyError::Outdated)?;
    let namespace = node.namespace().unwrap_or_default();
    let all = context.nodes.state();
    let in_use = |what, holder| Err(ApplyError::InUse(InUse { what, holder }));
    for &what in &kinds {
        let rivals = exclusivity::rivals(node, what, &all);
        if let Some(elder) = exclusivity::elder(node, what, stored, &rivals) {
            return in_use(what, Holder::Validator(elder.name_any()));
        }
        let stateful_sets: Api<StatefulSet> = Api::namespaced(context.client.clone(), &namespace);
        for rival in &rivals {
            let theirs = deadline(stateful_sets.get_opt(&rival.name_any())).await?;
            if theirs.is_some_and(|theirs| exclusivity::has_it(&theirs, what, stored)) {
                return in_use(what, Holder::Validator(rival.name_any()));
            }
        }
    }
    let present = present(node, &namespace, &context.client).await?;
    for &what in &kinds {
        if let Some(holder) = present.holder(node, what, stored, &all) {
            return in_use(what, holder);
        }
    }
    // Last, so that nobody claims what it is not started with.
    for &what in kinds.iter().rev() {
        let rivals = exclusivity::rivals(node, what, &all);
        if let Some(rival) = context.claims.claim(node, what, &rivals) {
            return in_use(what, Holder::Validator(rival.name_any()));
        }
    }
    Ok(Some(start))
}

/// The StatefulSets and pods of a namespace that use what this validator was given.
///
/// It asks the API server, because a cache may lag behind.
async fn present(node: &StellarNode, namespace: &str, client: &Client) -> Result<Present, ApplyError> {
    let mut present = Present::default();
    let of_nodes = ListParams::default().labels(labels::INSTANCE);
    let stateful_sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let take = |found| present.add_stateful_sets(found, node);
    list_in_parts(&stateful_sets, of_nodes.clone(), take).await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    list_in_parts(&pods, of_nodes, |found| present.add_pods(found, node)).await?;
    Ok(present)
}

/// Nothing can be built from this spec: what runs goes on, but a suspension is obeyed, for a person must be able to
/// stop a validator whatever rules came later.
async fn leave_running(
    node: &StellarNode,
    error: &resources::BuildError,
    context: &Context,
) -> Result<NodeReport, ApplyError> {
    let client = &context.client;
    let stored = stored(node, client).await?;
    let Some(stored) = stored.filter(|stored| is_ours(stored.labels())) else {
        return Ok(invalid(error, 0, 0));
    };
    let stored = match keep_ownership(node, stored, client).await {
        Err(ApplyError::Owned { .. }) => return Ok(invalid(error, 0, 0)),
        stored => stored?,
    };
    if node.spec.suspended {
        scale(node, &stored, 0, context).await?;
    }
    let replicas = stored.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    Ok(invalid(
        error,
        if node.spec.suspended { 0 } else { replicas },
        ready_replicas(&stored),
    ))
}

/// Scales a StatefulSet of ours that has another number of replicas.
async fn scale(node: &StellarNode, stored: &StatefulSet, replicas: i32, context: &Context) -> Result<(), ApplyError> {
    if stored.spec.as_ref().and_then(|spec| spec.replicas) == Some(replicas) {
        return Ok(());
    }
    let namespace = node.namespace().unwrap_or_default();
    let seen = stored.metadata.resource_version.as_deref();
    let body = resources::scale(&node.name_any(), &namespace, replicas);
    let manager = labels::MANAGER_REPLICAS;
    apply::apply_object::<StatefulSet>(&context.client, &namespace, &body, manager, seen).await?;
    tracing::info!(validator = node.name_any(), namespace, replicas, "StatefulSet scaled");
    if let Some(note) = second_pods(stored, replicas) {
        tracing::warn!(validator = node.name_any(), namespace, "{note}");
        let (id, reason) = (
            NodeId::new(&namespace, node.name_any()),
            EventReason::SecondPod.as_str(),
        );
        context.events.tell(&id, EventType::Warning, reason, "Scaled", note);
    }
    Ok(())
}
