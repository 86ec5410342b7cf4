//! What a reconcile of a Horizon or SorobanRpc writes: Deployment, Service, captive-core config, volume claim and
//! PodDisruptionBudget. Pure.
//!
//! There are no slots here: these take no part in consensus, and their Deployment replaces its pods itself.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use serde_json::Value;

use super::decide::{Decision, Settings};
use super::stored::Stored;
use super::volume::{self, Maker};
use super::write::{Write, delete_owned, ensure};
use crate::controller::model::conditions::{Finding, Progressing};
use crate::controller::resources::horizon_rpc::{self, HorizonRpcObjects};
use crate::controller::resources::{self, BuildError, Obstacle};
use crate::controller::status::horizon_rpc::Serving;
use crate::controller::status::node::{NodeReport, in_the_way, invalid};
use crate::crd::StellarNode;
use crate::kubernetes::stored::{self, is_ours};
use crate::labels;

/// Decides for a node whose objects can be built.
pub(super) fn decide(
    node: &StellarNode,
    objects: &HorizonRpcObjects,
    stored: &Stored,
    settings: &Settings,
) -> Decision {
    let serving = Serving {
        suspended: node.spec.suspended,
        replicas: objects.replicas,
        endpoint: &objects.endpoint,
        deployment: stored.deployment.as_ref(),
    };
    let mut decision = Decision::report(serving.report());
    match write(node, objects, stored, &mut decision) {
        Ok(()) => decision,
        Err(obstacle) => {
            let mut report = standing_still(in_the_way(objects.replicas, &obstacle));
            report.endpoint = Some(objects.endpoint.clone());
            decision.stopped(report, settings.look_again)
        }
    }
}

/// Decides for a node whose objects cannot be built: what runs goes on. A suspension is obeyed all the same.
pub(super) fn leave_running(node: &StellarNode, error: &BuildError, stored: &Stored) -> Decision {
    let (name, namespace) = (node.name_any(), node.namespace().unwrap_or_default());
    let deployment = stored.deployment.as_ref().filter(|stored| is_ours(stored.labels()));
    let replicas = |deployment: &Deployment| deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let mut report = standing_still(invalid(error, deployment.map_or(0, replicas), ready(stored)));
    report.endpoint = Some(horizon_rpc::endpoint(&name, &namespace));
    let mut decision = Decision::report(report);
    if node.spec.suspended
        && let (Some(deployment), Ok(kept)) = (deployment, horizon_rpc::kept(node))
    {
        decision.writes.extend(keep(deployment, &kept));
        decision.again = !decision.writes.is_empty();
    }
    decision
}

/// Number of pods of its Deployment that are Ready, where the Deployment is ours.
pub(super) fn ready(stored: &Stored) -> i32 {
    let ours = stored.deployment.as_ref().filter(|stored| is_ours(stored.labels()));
    let status = ours.and_then(|deployment| deployment.status.as_ref());
    status.and_then(|status| status.ready_replicas).unwrap_or(0)
}

/// Adds that no rollout is under way.
pub(super) fn standing_still(mut report: NodeReport) -> NodeReport {
    let message = "nothing is rolled out while it is in this state";
    report
        .conditions
        .push(Finding::new(Progressing::Stopped, false, message));
    report
}

/// Adds the writes to a decision, up to the first that another object stands in the way of.
fn write(
    node: &StellarNode,
    objects: &HorizonRpcObjects,
    stored: &Stored,
    decision: &mut Decision,
) -> Result<(), Obstacle> {
    // Without a rest pattern: an object that is built and never written does not compile.
    let HorizonRpcObjects {
        config_map,
        claim,
        service,
        deployment,
        deployment_kept,
        disruption_budget,
        replicas: _,
        endpoint: _,
    } = objects;
    let uid = node.uid().unwrap_or_default();
    let writes = &mut decision.writes;
    writes.extend(ensure(stored.service.as_ref(), service)?);
    if let Some(config_map) = config_map {
        writes.extend(ensure(stored.config_map.as_ref(), config_map)?);
    }
    if let Some(claim) = claim {
        writes.extend(volume::ensure(stored.claim.as_ref(), claim, &uid, Maker::Operator)?);
    }
    writes.extend(match disruption_budget {
        Some(budget) => ensure(stored.disruption_budget.as_ref(), budget)?,
        None => delete_owned(stored.disruption_budget.as_ref(), &uid),
    });
    let change = match &stored.deployment {
        None => Some(whole(deployment, None, "Deployment created")),
        Some(stored) => {
            resources::check_ours(stored)?;
            if is_current(stored, deployment) {
                keep(stored, deployment_kept)
            } else {
                resources::check_owner(stored, deployment)?;
                Some(whole(deployment, Some(stored), "Deployment changed with its spec"))
            }
        }
    };
    // What the status says follows from the Deployment that the API server answers with.
    decision.again = change.is_some();
    writes.extend(change);
    if config_map.is_none() {
        // Last: until the Deployment is changed, its pods mount it.
        writes.extend(delete_owned(stored.config_map.as_ref(), &uid));
    }
    Ok(())
}

/// The whole Deployment, for a new one and where the spec changed.
fn whole(deployment: &Value, read: Option<&Deployment>, log: &str) -> Write {
    Write::apply(deployment.clone(), labels::MANAGER, read).logged(log)
}

/// Repairs what can be repaired without a change of the pod template.
fn keep(read: &Deployment, kept: &Value) -> Option<Write> {
    let lacks = !serde_json::to_value(read).is_ok_and(|read| resources::holds(&read, &resources::without_type(kept)));
    lacks.then(|| Write::apply(kept.clone(), labels::MANAGER_REPLICAS, Some(read)).logged("Deployment repaired"))
}

/// Whether a stored Deployment was built from the same spec as this one.
fn is_current(read: &Deployment, built: &Value) -> bool {
    let template = read.spec.as_ref().map(|spec| &spec.template);
    template.and_then(stored::template_from) == resources::built_from(&built["spec"]["template"])
}
