//! Reconciles one StellarNode: *read* what is stored → *decide* (pure) → *apply* the writes → *report* the status.
//!
//! This file only runs these steps; [`node`](super::node) holds them.

use std::sync::Arc;
use std::time::Duration;

use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};
use serde_json::Value;

use super::apply::{ApplyError, StatusPatcher};
use super::exclusivity::Claims;
use super::node::apply::Writer;
use super::node::decide::{Built, RETRY, Settings, conclude, decide};
use super::node::read::Reader;
use super::node::volume::Retention;
use super::resources::BuildSettings;
use super::status::events::Events;
use super::status::node::NodeReport;
use super::status::{self, cache::StatusCache};
use crate::crd::{GuardedNode, StellarNode, StorageStatus};
use crate::peers::NodeId;
use crate::util::clock;
use crate::util::survive::survive;

/// How soon a StellarNode is reconciled again whose reconcile panicked. The log names it each time.
const AFTER_PANIC: Duration = Duration::from_secs(60);
/// How often one reconcile reads and decides: a second time after an adoption, a released volume or a changed
/// Deployment. After the last time it is left to the next reconcile.
const ROUNDS: usize = 3;

/// What every reconcile needs.
pub(crate) struct Context {
    pub(crate) build: BuildSettings,
    pub(crate) settings: Settings,
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) patcher: StatusPatcher,
    pub(crate) events: Events,
    /// The validators that this process started.
    pub(crate) claims: Claims,
    /// The statuses that were written and that the cache may not have yet.
    pub(crate) statuses: StatusCache,
}

/// Reconciles one StellarNode. A panic concerns this node alone: the others go on. Fails when the API server does not
/// answer, or an object changed after it was read. [`on_error`] decides when it is repeated.
pub(crate) async fn reconcile(node: Arc<GuardedNode>, context: Arc<Context>) -> Result<Action, ApplyError> {
    let (name, namespace) = (node.meta().name.clone(), node.meta().namespace.clone());
    let work = Box::pin(async {
        match &node.0 {
            Ok(node) => Box::pin(reconcile_one(node, &context)).await,
            Err(invalid) => reconcile_unreadable(invalid, &context).await,
        }
    });
    survive(work).await.unwrap_or_else(|| {
        let (node, namespace) = (name.unwrap_or_default(), namespace.unwrap_or_default());
        tracing::error!(node, namespace, "the reconcile of a StellarNode panicked; tried again");
        Ok(Action::requeue(AFTER_PANIC))
    })
}

async fn reconcile_one(node: &StellarNode, context: &Context) -> Result<Action, ApplyError> {
    let id = NodeId::new(node.namespace().unwrap_or_default(), node.name_any());
    let built = Built::of(node, &context.build);
    for round in 1.. {
        let (stored, start) = context.reader.read(node, &built, &context.claims).await?;
        let decision = decide(node, &built, &stored, &context.settings);
        if let Some(start) = start.as_ref().filter(|_| decision.starts) {
            start.claim(node);
        }
        let answer = context.writer.apply(&id, &decision.writes).await?;
        // Until here: another validator with the same seed is not started meanwhile.
        drop(start);
        if decision.again && answer.refused.is_none() && round < ROUNDS {
            continue;
        }
        let (report, next) = conclude(node, decision, &answer, &stored, &context.settings);
        if let Some(report) = report {
            write_status(node, &report, context).await?;
        }
        return Ok(next);
    }
    Ok(Action::requeue(RETRY))
}

async fn write_status(node: &StellarNode, report: &NodeReport, context: &Context) -> Result<(), ApplyError> {
    let known = context.statuses.freshest(node);
    let Some(part) = status::node_part(&known, report, clock::now()) else {
        return Ok(());
    };
    if let Some(answer) = context.patcher.controllers_part(&node.metadata, &part).await? {
        context.statuses.wrote(answer);
    }
    context.events.warn_of(&known, &report.conditions);
    Ok(())
}

/// A StellarNode that cannot be parsed: its volume is retained, its status says so, and its objects stay.
async fn reconcile_unreadable(invalid: &InvalidObject, context: &Context) -> Result<Action, ApplyError> {
    let metadata = &invalid.metadata;
    let id = NodeId::new(
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    );
    tracing::warn!(
        node = id.name,
        namespace = id.namespace,
        error = invalid.error,
        "StellarNode cannot be parsed; its objects stay as they are"
    );
    let Some(stored) = context.reader.raw(&id.namespace, &id.name).await? else {
        return Ok(Action::await_change());
    };
    let storage = retain(&id, metadata.uid.as_deref(), &stored.data["spec"], context).await?;
    let mut before = stored.data["status"].clone();
    if let (Some(storage), true) = (storage, before.is_object()) {
        before["storage"] = serde_json::to_value(storage)?;
    }
    if let Some(part) = status::unreadable_part(invalid, &before, clock::now()) {
        context.patcher.controllers_part(metadata, &part).await?;
    }
    Ok(Action::await_change())
}

/// Ends the ownership of a node whose volume is to stay. Returns what is in force for the volume then.
async fn retain(
    id: &NodeId,
    uid: Option<&str>,
    spec: &Value,
    context: &Context,
) -> Result<Option<StorageStatus>, ApplyError> {
    let (Some(uid), Some(retention)) = (uid, Retention::asked(&id.name, spec)) else {
        return Ok(None);
    };
    let claim = context.reader.claim(&id.namespace, &retention).await?;
    let Some(release) = retention.release(claim.as_ref(), uid) else {
        return Ok(retention.in_force(claim.as_ref(), uid));
    };
    context.writer.apply(id, &[release]).await?;
    let claim = context.reader.claim(&id.namespace, &retention).await?;
    Ok(retention.in_force(claim.as_ref(), uid))
}

/// When a reconcile that failed is repeated.
#[allow(clippy::needless_pass_by_value, reason = "the signature is kube's")]
pub(crate) fn on_error(node: Arc<GuardedNode>, error: &ApplyError, _: Arc<Context>) -> Action {
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
