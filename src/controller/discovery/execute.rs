//! Carries out what one cycle decided, and says what it did.
//!
//! Every write is one of its own: where one is slow or fails, the others are done all the same. Nothing is decided
//! here; what takes somebody down is decided once more, by the same function, on what is read just before.

use std::error::Error;
use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use kube::runtime::events::EventType;

use super::decide::{ListRemoval, ListWrite, Plan, RecordWrite, decide};
use super::{Discovery, apply};
use crate::controller::apply::ApplyError;
use crate::controller::model::snapshot::{Cause, ListId, Slot, Snapshot};
use crate::controller::peering::budgets::BudgetStep;
use crate::controller::peering::groups;
use crate::controller::rollout::plan::{SlotPlan, Step};
use crate::controller::status::events::{EventReason, Events};
use crate::labels;
use crate::util::error_chain;
use crate::util::retry::Failures;

/// Writes of one sort that are under way at once.
const AT_ONCE: usize = 16;
/// How long lists wait for records. Who is in a list should be remembered as a member, or a crash between the two
/// writes could take a newcomer out again. But one StatefulSet that cannot be written in time keeps no list from
/// anybody.
const RECORDS_FIRST: Duration = Duration::from_millis(300);

/// Writes what is decided.
#[derive(Debug)]
pub(crate) struct Writes<'a> {
    discovery: &'a Discovery,
    events: Events,
}

impl<'a> Writes<'a> {
    pub(crate) fn new(discovery: &'a Discovery, events: Events) -> Self {
        Self { discovery, events }
    }

    /// Writes all of a plan that was made from this snapshot.
    pub(crate) async fn carry_out(&self, snapshot: &Snapshot, plan: &Plan, failures: &Failures) {
        let records = plan.records.iter().map(|record| self.record(record, failures));
        let mut records = pin!(all(records.collect()));
        let early = tokio::time::timeout(RECORDS_FIRST, &mut records).await.is_ok();
        let late = async {
            if !early {
                records.await;
            }
        };
        if plan.lists.is_empty() {
            tracing::debug!(lists = snapshot.lists.len(), "peers unchanged");
        }
        let lists = plan.lists.iter().map(|write| self.list(snapshot, write, failures));
        let removals = plan.removals.iter().map(|removal| self.removal(removal, failures));
        let budgets = plan.budgets.iter().map(|step| self.budget(step, failures));
        let slots = plan.slots.iter();
        let slots = slots.map(|(network, slots)| self.slots(snapshot, plan, network, slots, failures));
        tokio::join!(
            late,
            all(lists.collect()),
            all(removals.collect()),
            all(budgets.collect()),
            all(slots.collect()),
        );
    }

    async fn record(&self, record: &RecordWrite, failures: &Failures) {
        let node = &record.node;
        match apply::record(&self.discovery.client, record).await {
            Ok(()) => {}
            Err(error) if error.is_conflict() => {
                failures.conflict();
                tracing::debug!(validator = %node, error = &error as &dyn Error, "membership changed meanwhile; decided again");
            }
            Err(error) => {
                let error = &error as &dyn Error;
                if failures.is_news(format!("membership of {node}")) {
                    tracing::error!(validator = %node, error, "membership not written; tried again");
                } else {
                    tracing::debug!(validator = %node, error, "membership still not written");
                }
            }
        }
    }

    async fn list(&self, snapshot: &Snapshot, write: &ListWrite, failures: &Failures) {
        let config_map = format!("{}/{}", write.id.namespace, write.id.name);
        let result = apply::list(&self.discovery.client, write, snapshot.lists.get(&write.id)).await;
        self.discovery.config.metrics.list_written(result.is_ok());
        match result {
            Ok(()) if write.repair => {
                tracing::info!(
                    config_map,
                    peers = write.peers,
                    "list of peers had been changed by somebody else and was put right"
                );
                let note = format!(
                    "ConfigMap {} had been changed by somebody else and was put right",
                    write.id.name
                );
                for node in &write.members {
                    self.events.tell(
                        node,
                        EventType::Warning,
                        EventReason::PeersRepaired.as_str(),
                        "Repair",
                        note.clone(),
                    );
                }
            }
            Ok(()) => tracing::info!(config_map, peers = write.peers, "list of peers written"),
            Err(error) if error.is_conflict() => {
                failures.conflict();
                tracing::debug!(
                    config_map,
                    error = &error as &dyn Error,
                    "list of peers changed meanwhile; decided again"
                );
            }
            Err(error) => {
                let error = &error as &dyn Error;
                if failures.is_news(format!("list {config_map}")) {
                    tracing::error!(
                        config_map,
                        error,
                        "list of peers not written; tried again, and nobody is restarted for it before"
                    );
                } else {
                    tracing::debug!(config_map, error, "list of peers still not written");
                }
            }
        }
    }

    async fn removal(&self, removal: &ListRemoval, failures: &Failures) {
        let config_map = format!("{}/{}", removal.id.namespace, removal.id.name);
        match apply::remove_list(&self.discovery.client, removal).await {
            Ok(()) => tracing::info!(config_map, "no validator refers to the list of peers any more; removed"),
            Err(error) if error.is_conflict() => {}
            Err(error) => {
                let error = &error as &dyn Error;
                if failures.is_news(format!("removal of {config_map}")) {
                    tracing::error!(config_map, error, "list of peers not removed; tried again");
                } else {
                    tracing::debug!(config_map, error, "list of peers still not removed");
                }
            }
        }
    }

    async fn budget(&self, step: &BudgetStep, failures: &Failures) {
        let Err(error) = apply::budget(&self.discovery.client, step).await else {
            return;
        };
        let (BudgetStep::Write { id, .. } | BudgetStep::Remove { id, .. }) = step;
        let budget = format!("{}/{}", id.namespace, id.name);
        // Somebody's own budget of this name serves as well.
        let somebodys = error.is_conflict();
        let error = &error as &dyn Error;
        if somebodys {
            tracing::debug!(budget, error, "PodDisruptionBudget is somebody else's; left alone");
        } else if failures.is_news(format!("budget {budget}")) {
            tracing::warn!(budget, error, "PodDisruptionBudget not written; tried again");
        } else {
            tracing::debug!(budget, error, "PodDisruptionBudget still not written");
        }
    }

    /// First the steps of those that hold a slot, then the Lease, so that the next holder sees their effect.
    async fn slots(&self, snapshot: &Snapshot, plan: &Plan, network: &str, slots: &SlotPlan, failures: &Failures) {
        for step in &slots.steps {
            self.take(snapshot, plan, step, failures).await;
        }
        let Some(write) = &slots.write else { return };
        let Discovery { client, config, .. } = self.discovery;
        let seen = snapshot.slots.get(network);
        let before = seen.map_or(&[][..], |lease| &lease.slots[..]);
        let Err(error) = apply::slots(client, &config.own_namespace, network, seen, write).await else {
            log_slots(before, &write.slots);
            return;
        };
        let lease = labels::slots_lease_name(network);
        let conflict = error.is_conflict() && seen.is_some();
        let error = &error as &dyn Error;
        if conflict {
            failures.conflict();
            tracing::debug!(lease, error, "slots changed meanwhile; decided again");
        } else if !failures.is_news(format!("slots {network}")) {
            tracing::debug!(lease, error, "slots still not written");
        } else if seen.is_none() {
            tracing::warn!(
                lease,
                error,
                "slots not written; tried again. A Lease of this name without our label has to be deleted"
            );
        } else {
            tracing::warn!(lease, error, "slots not written; tried again");
        }
    }

    /// Does what a slot is for.
    async fn take(&self, snapshot: &Snapshot, plan: &Plan, step: &Step, failures: &Failures) {
        let client = &self.discovery.client;
        let (node, result) = match step {
            Step::Restart(slot) | Step::ApplyTemplate(slot) => {
                (&slot.node, self.take_down(snapshot, plan, step, slot).await)
            }
            Step::GiveBack(slot) => (&slot.node, apply::planned_give_back(client, snapshot, slot).await),
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
        match result {
            Ok(()) => {
                if let Step::Restart(slot) | Step::ApplyTemplate(slot) = step {
                    let ListId { namespace, name } = &slot.group;
                    self.discovery
                        .config
                        .metrics
                        .restarted(namespace, name, slot.cause.as_str());
                }
                if let Some(Done { reason, action, note }) = event_of(step) {
                    let reason = reason.as_str();
                    tracing::info!(validator = %node, reason, "rolling update: {note}");
                    self.events.tell(node, EventType::Normal, reason, action, note);
                } else {
                    tracing::info!(validator = %node, "rolling update: its slot is given back, nothing was done in it");
                }
            }
            Err(error) if error.is_conflict() => {
                failures.conflict();
                tracing::debug!(validator = %node, error = &error as &dyn Error, "rolling update: changed meanwhile; decided again");
            }
            Err(error) => {
                let error = &error as &dyn Error;
                if failures.is_news(format!("rolling update of {node}")) {
                    tracing::warn!(validator = %node, error, "rolling update failed; tried again, and discovery goes on");
                    let note = format!(
                        "its restart could not be written and is tried again: {}",
                        error_chain::on_one_line(error)
                    );
                    self.events.tell(
                        node,
                        EventType::Warning,
                        EventReason::RestartFailed.as_str(),
                        "Restart",
                        note,
                    );
                } else {
                    tracing::debug!(validator = %node, error, "rolling update still fails");
                }
            }
        }
    }

    /// Takes the holder of a slot down, if the others can spare it at this moment: their pods are read anew for it. A
    /// watch that broke off or hangs would have them vote for as long as nobody says otherwise.
    async fn take_down(&self, snapshot: &Snapshot, plan: &Plan, step: &Step, slot: &Slot) -> Result<(), ApplyError> {
        let Discovery { client, caches, config } = self.discovery;
        let groups = groups::form(snapshot, &config.options);
        let its = groups.iter().filter(|group| group.includes(&slot.group));
        let namespaces = its
            .map(|group| group.id.namespace.as_str())
            .chain([slot.node.namespace.as_str()]);
        let seen = caches.snapshot_now(client, &namespaces.collect(), snapshot.now).await?;
        let now = decide(&seen, &config.options);
        if !now.slots.values().any(|slots| slots.steps.contains(step)) {
            return Err(ApplyError::Outdated);
        }
        if slot.cause != Cause::SpecChanged {
            return apply::planned_restart(client, snapshot, plan, slot).await;
        }
        let node = caches.node(&slot.node).ok_or(ApplyError::Outdated)?;
        apply::planned_template(client, snapshot, slot, &node, &config.settings).await
    }
}

/// Does these writes, some at once.
async fn all(writes: Vec<impl Future<Output = ()>>) {
    let writes = stream::iter(writes).buffer_unordered(AT_ONCE);
    writes.for_each(|()| ready(())).await;
}

/// What an Event says of a step that was done.
struct Done {
    reason: EventReason,
    /// Apart for each case: what is told twice within minutes is told once with the note of the first.
    action: &'static str,
    note: String,
}

/// The Event for a step that was done; `None` if it took nobody down.
fn event_of(step: &Step) -> Option<Done> {
    let restarting = |action, note: &str| Done {
        reason: EventReason::Restarting,
        action,
        note: note.to_owned(),
    };
    match step {
        Step::GiveBack(_) => None,
        Step::DeletePod { name, .. } => Some(Done {
            reason: EventReason::PodDeleted,
            action: "DeletePod",
            note: format!("pod {name} is not Ready and is replaced for its new template"),
        }),
        Step::Restart(slot) if slot.cause == Cause::NotLinked => Some(restarting(
            "RestartForLinks",
            "its group is not connected: restarting it to load the present addresses",
        )),
        Step::Restart(_) => Some(restarting(
            "RestartForPeers",
            "the members of its group changed: restarting it to load the list",
        )),
        Step::ApplyTemplate(_) => Some(restarting(
            "RestartForSpec",
            "its spec changed: rolling out the new pod template",
        )),
    }
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
