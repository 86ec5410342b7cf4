//! Executes the plan of one cycle and logs the results.
//!
//! The writes are independent: one that is slow or fails delays no other. Nothing is decided here. Before a validator
//! goes down, the same function decides a second time, on pods that were read just before.

use std::error::Error;
use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use kube::Client;
use kube::runtime::events::EventType;
use tracing::Level;
use tracing::field::display;

use super::apply;
use super::decide::{ListRemoval, ListWrite, Plan, RecordWrite, decide};
use crate::controller::ControllerConfig;
use crate::controller::apply::{ApplyError, StatusPatcher, recorder};
use crate::controller::model::snapshot::{Cause, ListId, Slot, Snapshot};
use crate::controller::observe::caches::Caches;
use crate::controller::peering::budgets::BudgetStep;
use crate::controller::peering::groups;
use crate::controller::rollout::plan::{SlotPlan, Step};
use crate::controller::status::events::{EventReason, Events, Reporting};
use crate::labels;
use crate::peers::NodeId;
use crate::util::error_chain;
use crate::util::retry::Failures;

/// Concurrent writes of one kind.
const AT_ONCE: usize = 16;
/// How long the lists wait for the records. A listed validator should be recorded as a member first: otherwise a crash
/// between the two writes could take a newcomer off the list. But a slow StatefulSet must not hold up every list.
const RECORDS_FIRST: Duration = Duration::from_millis(300);

/// Makes the writes of discovery.
pub struct Executor {
    client: Client,
    pub(super) caches: Arc<Caches>,
    pub(super) config: ControllerConfig,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Executor {
    pub fn new(client: Client, caches: Arc<Caches>, config: ControllerConfig) -> Self {
        Self { client, caches, config }
    }

    pub(super) fn events(&self) -> (Events, Reporting) {
        Events::new(recorder(self.client.clone()), Arc::clone(&self.caches))
    }

    pub(super) fn status_patcher(&self) -> StatusPatcher {
        StatusPatcher::new(self.client.clone())
    }
}

pub(super) struct Execution<'a> {
    pub(super) executor: &'a Executor,
    pub(super) events: &'a Events,
    pub(super) failures: &'a Failures,
    pub(super) plan: &'a Plan,
    /// The snapshot that the plan was made from.
    pub(super) snapshot: &'a Snapshot,
}

/// The object of a write, which is a field of its log lines.
#[derive(Clone, Copy, Debug)]
enum Subject<'a> {
    Validator(&'a NodeId),
    ConfigMap(&'a str),
    Budget(&'a str),
    Lease(&'a str),
}

/// The log lines of a write that does not succeed: level of the first failure; for a conflict, unless that is a failure
/// like any other; for the first failure; for the failures of the next cycles.
struct Lines(Level, Option<&'static str>, &'static str, &'static str);

#[rustfmt::skip]
mod lines {
    use super::{Level, Lines};

    pub(super) const RECORD: Lines = Lines(Level::ERROR, Some("membership changed meanwhile; decided again"), "membership not written; tried again", "membership still not written");
    pub(super) const LIST: Lines = Lines(Level::ERROR, Some("list of peers changed meanwhile; decided again"), "list of peers not written; tried again. No validator is restarted for it until then", "list of peers still not written");
    pub(super) const REMOVAL: Lines = Lines(Level::ERROR, None, "list of peers not removed; tried again", "list of peers still not removed");
    pub(super) const BUDGET: Lines = Lines(Level::WARN, None, "PodDisruptionBudget not written; tried again", "PodDisruptionBudget still not written");
    pub(super) const SLOTS: Lines = Lines(Level::WARN, Some("slots changed meanwhile; decided again"), "slots not written; tried again", "slots still not written");
    /// The caches hold only Leases with our label, so another one of this name is a lasting conflict.
    pub(super) const FIRST_SLOTS: Lines = Lines(Level::WARN, None, "slots not written; tried again. A Lease of this name without our label has to be deleted", "slots still not written");
    pub(super) const STEP: Lines = Lines(Level::WARN, Some("rolling update: changed meanwhile; decided again"), "rolling update failed; tried again, and discovery goes on", "rolling update still fails");
}

impl Execution<'_> {
    pub(super) async fn run(&self) {
        let plan = self.plan;
        let records = plan.records.iter().map(|record| self.record(record));
        let mut records = pin!(all(records.collect()));
        let early = tokio::time::timeout(RECORDS_FIRST, &mut records).await.is_ok();
        let late = async {
            if !early {
                records.await;
            }
        };
        if plan.lists.is_empty() {
            tracing::debug!(lists = self.snapshot.lists.len(), "peers unchanged");
        }
        let lists = plan.lists.iter().map(|write| self.list(write));
        let removals = plan.removals.iter().map(|removal| self.removal(removal));
        let budgets = plan.budgets.iter().map(|step| self.budget(step));
        let slots = plan.slots.iter().map(|(network, slots)| self.slots(network, slots));
        tokio::join!(
            late,
            all(lists.collect()),
            all(removals.collect()),
            all(budgets.collect()),
            all(slots.collect()),
        );
    }

    async fn record(&self, record: &RecordWrite) {
        if let Err(error) = apply::record(&self.executor.client, record).await {
            self.settle(&error, Subject::Validator(&record.node), &lines::RECORD);
        }
    }

    async fn list(&self, write: &ListWrite) {
        let ListId { namespace, name } = &write.id;
        let config_map = format!("{namespace}/{name}");
        let seen = self.snapshot.lists.get(&write.id);
        let result = apply::list(&self.executor.client, write, seen).await;
        self.executor.config.metrics.list_written(result.is_ok());
        if let Err(error) = result {
            self.settle(&error, Subject::ConfigMap(&config_map), &lines::LIST);
        } else if write.repair {
            tracing::info!(
                config_map,
                peers = write.peers,
                "another program changed the list of peers; it was put right"
            );
            let note = format!("another program changed ConfigMap {name}; it was put right");
            let reason = EventReason::PeersRepaired.as_str();
            for node in &write.members {
                self.events
                    .report(node, EventType::Warning, reason, "Repair", note.clone());
            }
        } else {
            tracing::info!(config_map, peers = write.peers, "list of peers written");
        }
    }

    async fn removal(&self, removal: &ListRemoval) {
        let config_map = format!("{}/{}", removal.id.namespace, removal.id.name);
        match apply::remove_list(&self.executor.client, removal).await {
            Ok(()) => tracing::info!(config_map, "no validator refers to the list of peers any more; removed"),
            // Another ConfigMap of this name, or none.
            Err(error) if error.is_conflict() => {}
            Err(error) => {
                self.settle(&error, Subject::ConfigMap(&config_map), &lines::REMOVAL);
            }
        }
    }

    async fn budget(&self, step: &BudgetStep) {
        let (BudgetStep::Write { id, .. } | BudgetStep::Remove { id, .. }) = step;
        let budget = format!("{}/{}", id.namespace, id.name);
        match apply::budget(&self.executor.client, step).await {
            Ok(()) => {}
            // A user's own budget of this name protects the validators as well.
            Err(error) if error.is_conflict() => {
                let error = &error as &dyn Error;
                tracing::debug!(
                    budget,
                    error,
                    "a PodDisruptionBudget of another owner has this name; it stays"
                );
            }
            Err(error) => {
                self.settle(&error, Subject::Budget(&budget), &lines::BUDGET);
            }
        }
    }

    /// Takes the steps of the slots and then writes the Lease, so that the next holder sees the effect of the steps.
    async fn slots(&self, network: &str, slots: &SlotPlan) {
        for step in &slots.steps {
            self.step(step).await;
        }
        let Some(write) = &slots.write else { return };
        let seen = self.snapshot.slots.get(network);
        let Executor { client, config, .. } = self.executor;
        match apply::slots(client, &config.own_namespace, network, seen, write).await {
            Ok(()) => log_slots(seen.map_or(&[], |lease| &lease.slots), &write.slots),
            Err(error) => {
                let lease = labels::slots_lease_name(network);
                let lines = seen.map_or(&lines::FIRST_SLOTS, |_| &lines::SLOTS);
                self.settle(&error, Subject::Lease(&lease), lines);
            }
        }
    }

    async fn step(&self, step: &Step) {
        let client = &self.executor.client;
        let (node, result) = match step {
            Step::Restart(slot) | Step::ApplyTemplate(slot) => (&slot.node, self.take_down(step, slot).await),
            Step::GiveBack(slot) => (&slot.node, apply::give_back(client, self.snapshot, slot).await),
            Step::DeletePod {
                node,
                name,
                uid,
                resource_version,
            } => {
                let deleted = apply::delete_pod(client, &node.namespace, name, uid, resource_version);
                (node, deleted.await)
            }
        };
        if let Err(error) = result {
            if self.settle(&error, Subject::Validator(node), &lines::STEP) {
                let note = format!(
                    "its restart could not be written and is tried again: {}",
                    error_chain::on_one_line(&error)
                );
                let reason = EventReason::RestartFailed.as_str();
                self.events.report(node, EventType::Warning, reason, "Restart", note);
            }
            return;
        }
        if let Step::Restart(slot) | Step::ApplyTemplate(slot) = step {
            let ListId { namespace, name } = &slot.group;
            let metrics = &self.executor.config.metrics;
            metrics.restarted(namespace, name, slot.cause.as_str());
        }
        if let Some((reason, action, note)) = event_of(step) {
            let reason = reason.as_str();
            tracing::info!(validator = %node, reason, "rolling update: {note}");
            self.events.report(node, EventType::Normal, reason, action, note);
        } else {
            tracing::info!(validator = %node, "rolling update: its slot is given back, nothing was done in it");
        }
    }

    /// Takes the holder of a slot down if a second decision, on pods read now, agrees. The caches alone may be old:
    /// while a watch is broken, a validator that went down still votes there.
    async fn take_down(&self, step: &Step, slot: &Slot) -> Result<(), ApplyError> {
        let Executor { client, caches, config } = self.executor;
        let groups = groups::form(self.snapshot, &config.options);
        let its = groups.iter().filter(|group| group.includes(&slot.group));
        let namespaces = its
            .map(|group| group.id.namespace.as_str())
            .chain([slot.node.namespace.as_str()]);
        let now = self.snapshot.now;
        let seen = caches.snapshot_now(client, &namespaces.collect(), now).await?;
        let decided = decide(&seen, &config.options);
        if !decided.slots.values().any(|slots| slots.steps.contains(step)) {
            return Err(ApplyError::Outdated);
        }
        if slot.cause != Cause::SpecChanged {
            return apply::restart(client, self.snapshot, self.plan, slot).await;
        }
        let node = caches.node(&slot.node).ok_or(ApplyError::Outdated)?;
        apply::template(client, self.snapshot, slot, &node, &config.settings).await
    }

    /// Logs a write that did not succeed and notes it for the next cycle. Returns whether it is a new failure.
    fn settle(&self, error: &ApplyError, subject: Subject<'_>, lines: &Lines) -> bool {
        let Lines(level, conflict, failed, fails_still) = *lines;
        let conflict = conflict.filter(|_| error.is_conflict());
        let error = error as &dyn Error;
        let (mut validator, mut config_map, mut budget, mut lease) = (None, None, None, None);
        match subject {
            Subject::Validator(node) => validator = Some(display(node)),
            Subject::ConfigMap(name) => config_map = Some(name),
            Subject::Budget(name) => budget = Some(name),
            Subject::Lease(name) => lease = Some(name),
        }
        if let Some(line) = conflict {
            self.failures.conflict();
            tracing::debug!(validator, config_map, budget, lease, error, "{line}");
            return false;
        }
        let is_news = self.failures.is_news(format!("{subject:?} {fails_still}"));
        if !is_news {
            tracing::debug!(validator, config_map, budget, lease, error, "{fails_still}");
        } else if level == Level::ERROR {
            tracing::error!(validator, config_map, budget, lease, error, "{failed}");
        } else {
            tracing::warn!(validator, config_map, budget, lease, error, "{failed}");
        }
        is_news
    }
}

/// Makes these writes, some at once.
async fn all(writes: Vec<impl Future<Output = ()>>) {
    let writes = stream::iter(writes).buffer_unordered(AT_ONCE);
    writes.for_each(|()| ready(())).await;
}

/// Reason, action and note of the Event for a step that took a pod down. The actions differ, because Events with the
/// same one within minutes show only the first note.
fn event_of(step: &Step) -> Option<(EventReason, &'static str, String)> {
    let (action, note) = match step {
        Step::GiveBack(_) => return None,
        Step::DeletePod { name, .. } => {
            let note = format!("pod {name} is not Ready and is replaced for its new template");
            return Some((EventReason::PodDeleted, "DeletePod", note));
        }
        Step::Restart(slot) if slot.cause == Cause::NotLinked => (
            "RestartForLinks",
            "its group is not connected: restarting it to load the present addresses",
        ),
        Step::Restart(_) => (
            "RestartForPeers",
            "the members of its group changed: restarting it to load the list",
        ),
        Step::ApplyTemplate(_) => ("RestartForSpec", "its spec changed: rolling out the new pod template"),
    };
    Some((EventReason::Restarting, action, note.to_owned()))
}

fn log_slots(before: &[Slot], after: &[Slot]) {
    let is_in = |slots: &[Slot], slot: &Slot| slots.iter().any(|other| other.uid == slot.uid);
    for slot in after.iter().filter(|slot| !is_in(before, slot)) {
        tracing::info!(validator = %slot.node, cause = slot.cause.as_str(), "rolling update: its slot begins");
    }
    for slot in before.iter().filter(|slot| !is_in(after, slot)) {
        tracing::info!(validator = %slot.node, cause = slot.cause.as_str(), "rolling update: its slot is over");
    }
}
