//! What one reconcile writes, and what it reports. Pure: the objects that a StellarNode should have and those that are
//! stored in, [`Decision`] out.
//!
//! It creates what is missing, repairs what another program changed, and scales. It never changes the pod template of a
//! validator that runs: that waits for the validator's slot, which `rollout` gives.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use serde_json::Value;

use super::horizon_rpc;
use super::stored::{Orphan, Stored};
use super::volume::{self, Maker, Retention};
use super::workload::{Part, Wanted, WorkloadStep, second_pods};
use super::write::{Write, ensure};
use crate::controller::model::conditions::{ConditionType, Degraded, Finding};
use crate::controller::resources::horizon_rpc::HorizonRpcObjects;
use crate::controller::resources::{self, BuildError, BuildSettings, Obstacle, ValidatorObjects};
use crate::controller::status::node::{NodeReport, in_the_way, in_use, invalid, refused};
use crate::controller::status::validator::{Running, endpoint, ready_replicas};
use crate::crd::{NodeType, StellarNode};
use crate::kubernetes::stored::is_ours;
use crate::labels;

/// How soon a reconcile that failed, or met another start, is repeated.
pub const RETRY: Duration = Duration::from_secs(2);
/// How soon a validator is looked at again that waits for another one to stop.
const WAITING: Duration = Duration::from_secs(5);

/// The objects that a StellarNode should have.
#[derive(Debug)]
pub enum Built {
    Validator(Box<ValidatorObjects>),
    Server(Box<HorizonRpcObjects>),
    /// None: they cannot be built from the spec.
    Invalid(BuildError),
}

impl Built {
    pub fn of(node: &StellarNode, settings: &BuildSettings) -> Self {
        match node.spec.node_type {
            NodeType::Validator => resources::build(node, settings).map(|objects| Self::Validator(Box::new(objects))),
            NodeType::Horizon | NodeType::SorobanRpc => {
                resources::horizon_rpc::build(node).map(|objects| Self::Server(Box::new(objects)))
            }
        }
        .unwrap_or_else(Self::Invalid)
    }
}

/// What a decision knows of the operator's own settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Image of the program in the validators' pods.
    pub operator_image: String,
    /// How soon a node is looked at again that waits for a change which no watch shows, such as a quota.
    pub look_again: Duration,
}

/// What one reconcile does.
#[derive(Debug)]
pub struct Decision {
    pub writes: Vec<Write>,
    /// Whether they take a seed or a database into use.
    pub starts: bool,
    /// Whether the next step depends on what the API server answers: then everything is read and decided once more.
    pub again: bool,
    /// What the status says after the writes; `None` where it stays as it is.
    pub report: Option<NodeReport>,
    /// When the node is looked at again.
    pub next: Action,
}

impl Decision {
    /// Writes nothing, reports nothing, and waits for the next change.
    fn nothing() -> Self {
        Self {
            writes: Vec::new(),
            starts: false,
            again: false,
            report: None,
            next: Action::await_change(),
        }
    }

    pub(super) fn report(report: NodeReport) -> Self {
        Self {
            report: Some(report),
            ..Self::nothing()
        }
    }

    /// The same decision, where another object stands in the way of its next write. It starts nothing then.
    pub(super) fn stopped(self, report: NodeReport, next: Duration) -> Self {
        Self {
            starts: false,
            report: Some(report),
            next: Action::requeue(next),
            ..self
        }
    }
}

/// What the API server said to the writes of a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Why it refused a write for good; the writes after that one were not made.
    pub refused: Option<String>,
    /// Why it refused to enlarge the volume.
    pub volume_refused: Option<String>,
}

/// Decides what one reconcile does.
pub fn decide(node: &StellarNode, built: &Built, stored: &Stored, settings: &Settings) -> Decision {
    let uid = node.uid().unwrap_or_default();
    let spec = serde_json::to_value(&node.spec).unwrap_or_default();
    let retention = Retention::asked(&node.name_any(), &spec);
    let release = retention
        .as_ref()
        .and_then(|asked| asked.release(stored.claim.as_ref(), &uid));
    let is_leaving = node.metadata.deletion_timestamp.is_some();
    // First of all, and of a node that is being deleted as well: a volume is lost once.
    if release.is_some() || is_leaving {
        return Decision {
            again: !is_leaving,
            writes: release.into_iter().collect(),
            ..Decision::nothing()
        };
    }
    let mut decision = match built {
        Built::Validator(objects) => validator(node, objects, stored, settings),
        Built::Server(objects) => horizon_rpc::decide(node, objects, stored, settings),
        Built::Invalid(error) => match node.spec.node_type {
            NodeType::Validator => leave_running(node, error, stored),
            NodeType::Horizon | NodeType::SorobanRpc => horizon_rpc::leave_running(node, error, stored),
        },
    };
    if let Some(report) = &mut decision.report {
        if node.spec.node_type == NodeType::Validator {
            report.endpoint = endpoint(node);
        }
        report.storage = retention.and_then(|asked| asked.in_force(stored.claim.as_ref(), &uid));
    }
    decision
}

/// What the status says once the API server has answered, and when the node is looked at again.
pub fn conclude(
    node: &StellarNode,
    decision: Decision,
    answer: &Answer,
    stored: &Stored,
    settings: &Settings,
) -> (Option<NodeReport>, Action) {
    let Decision { report, next, .. } = decision;
    let look_again = Action::requeue(settings.look_again);
    if let Some(message) = &answer.refused {
        let stopped = |before: NodeReport| NodeReport {
            endpoint: before.endpoint,
            storage: before.storage,
            ..match node.spec.node_type {
                NodeType::Validator => refused(before.replicas, ready(stored), message),
                NodeType::Horizon | NodeType::SorobanRpc => {
                    horizon_rpc::standing_still(refused(before.replicas, horizon_rpc::ready(stored), message))
                }
            }
        };
        (report.map(stopped), look_again)
    } else if let Some(message) = &answer.volume_refused {
        (report.map(|report| not_enlarged(report, message)), look_again)
    } else {
        (report, next)
    }
}

/// Number of pods of its StatefulSet that are Ready.
fn ready(stored: &Stored) -> i32 {
    stored.stateful_set.as_ref().map_or(0, ready_replicas)
}

/// Adds that the volume cannot grow.
fn not_enlarged(mut report: NodeReport, refused: &str) -> NodeReport {
    let is_other = |finding: &Finding| finding.condition() != ConditionType::Degraded;
    report.conditions.retain(is_other);
    let message = format!("its volume cannot grow: {refused}");
    report
        .conditions
        .push(Finding::new(Degraded::VolumeNotEnlarged, true, message));
    report
}

fn validator(node: &StellarNode, objects: &ValidatorObjects, stored: &Stored, settings: &Settings) -> Decision {
    let set = stored.stateful_set.as_ref();
    let running = Running {
        node,
        replicas: objects.replicas,
        spec_hash: &objects.spec_hash,
        stored: set.filter(|set| is_ours(set.labels())),
    };
    let mut decision = Decision::report(running.report());
    match write_validator(node, objects, stored, settings, &mut decision) {
        Ok(()) => decision,
        Err(obstacle) => decision.stopped(in_the_way(objects.replicas, &obstacle), settings.look_again),
    }
}

/// Adds the writes for a validator to a decision, up to the first that another object stands in the way of.
fn write_validator(
    node: &StellarNode,
    objects: &ValidatorObjects,
    stored: &Stored,
    settings: &Settings,
    decision: &mut Decision,
) -> Result<(), Obstacle> {
    let set = stored.stateful_set.as_ref();
    if let Some(set) = set.filter(|set| is_ours(set.labels())) {
        if let Some(adoption) = adoption(node, set)? {
            decision.writes.push(adoption);
            decision.again = true;
            return Ok(());
        }
        if objects.replicas == 0 {
            // Before everything that can fail: a person must be able to stop a validator.
            decision.writes.extend(scale(set, 0));
        }
    }
    decision
        .writes
        .extend(ensure(stored.service.as_ref(), &objects.service)?);
    if stored.contest.is_under_way {
        decision.report = None;
        decision.next = Action::requeue(RETRY);
        return Ok(());
    }
    if let Some(found) = stored.contest.in_use(node, set) {
        decision.report = Some(in_use(&found));
        decision.next = Action::requeue(WAITING);
        return Ok(());
    }
    decision.starts = !stored.contest.kinds.is_empty();
    let Some(set) = set else {
        return create(objects, stored, decision);
    };
    resources::check_ours(set)?;
    let step = WorkloadStep::of(
        set,
        Wanted {
            replicas: objects.replicas,
            spec_hash: &objects.spec_hash,
            program: &settings.operator_image,
        },
    );
    if step.base_config {
        let config = ensure(stored.config_map.as_ref(), &objects.config_map)?;
        decision.writes.extend(config);
    }
    match step.part {
        Part::Whole => {
            let mut desired = objects.stateful_set.clone();
            resources::keep_what_never_changes(&mut desired, set);
            decision.writes.push(Write::apply(desired, labels::MANAGER, Some(set)));
        }
        Part::Replicas(replicas) => decision.writes.extend(scale(set, replicas)),
        Part::Nothing => {}
    }
    if let Some(claim) = &objects.claim {
        let owner = node.uid().unwrap_or_default();
        let write = volume::ensure(stored.claim.as_ref(), claim, &owner, Maker::StatefulSet)?;
        decision.writes.extend(write);
    }
    Ok(())
}

/// Creates the StatefulSet. Where its pod runs already, it gets the template of that pod, so that the pod stays.
fn create(objects: &ValidatorObjects, stored: &Stored, decision: &mut Decision) -> Result<(), Obstacle> {
    let mut desired = objects.stateful_set.clone();
    let mut log = "StatefulSet created";
    match &stored.orphan {
        Some(Orphan::Template(template)) => {
            desired["spec"]["template"] = template.clone();
            log = "StatefulSet created with the template of its running pod";
        }
        Some(Orphan::Unknown) => {
            log =
                "StatefulSet created; the template of its running pod is not known, so Kubernetes may replace the pod";
        }
        None => {}
    }
    let template_of = |set: &Value| resources::built_from(&set["spec"]["template"]).map(str::to_owned);
    if template_of(&desired) == template_of(&objects.stateful_set) {
        // The base config belongs to the template: it changes with it, in the validator's slot.
        let config = ensure(stored.config_map.as_ref(), &objects.config_map)?;
        decision.writes.extend(config);
    }
    let created = Write::apply::<StatefulSet>(desired, labels::MANAGER, None);
    decision.writes.push(created.logged(log));
    Ok(())
}

/// Nothing can be built from the spec: what runs goes on. A suspension is obeyed all the same, because a person must be
/// able to stop a validator whatever rules a later version has.
fn leave_running(node: &StellarNode, error: &BuildError, stored: &Stored) -> Decision {
    let set = stored.stateful_set.as_ref().filter(|set| is_ours(set.labels()));
    let Some((set, Ok(adoption))) = set.map(|set| (set, adoption(node, set))) else {
        return Decision::report(invalid(error, 0, 0));
    };
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let wanted = if node.spec.suspended { 0 } else { wanted };
    let mut decision = Decision::report(invalid(error, wanted, ready_replicas(set)));
    decision.again = adoption.is_some();
    if adoption.is_none() && node.spec.suspended {
        decision.writes.extend(scale(set, 0));
    }
    decision.writes.extend(adoption);
    decision
}

/// Makes a StatefulSet of ours belong to its node, so that it is deleted with it; `None` where it belongs to it.
fn adoption(node: &StellarNode, set: &StatefulSet) -> Result<Option<Write>, Obstacle> {
    let metadata = resources::belonging(set, node).map_err(|owner| Obstacle::Owned {
        object: format!("StatefulSet {}", set.name_any()),
        owner,
    })?;
    Ok(metadata.map(|metadata| {
        Write::metadata(metadata, labels::MANAGER_REPLICAS, set)
            .logged("StatefulSet adopted; its template stays until its slot")
    }))
}

/// Scales a StatefulSet of ours that has another number of replicas.
fn scale(set: &StatefulSet, replicas: i32) -> Option<Write> {
    if set.spec.as_ref().and_then(|spec| spec.replicas) == Some(replicas) {
        return None;
    }
    let namespace = set.namespace().unwrap_or_default();
    let object = resources::scale(&set.name_any(), &namespace, replicas);
    let write = Write::apply(object, labels::MANAGER_REPLICAS, Some(set));
    Some(Write {
        second_pods: second_pods(set, replicas),
        ..write.logged(format!("StatefulSet scaled to {replicas}"))
    })
}
