//! The discovery loop: observe, decide, apply, report, for ever.
//!
//! It never blocks the StellarNode controller and survives the error or panic of one cycle. What is done is decided in
//! `decide`; this file only runs it.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use jiff::Timestamp;
use kube::Client;
use kube::runtime::events::EventType;
use tokio::sync::watch;
use tracing::Instrument as _;

use super::AbortOnDrop;
use super::apply::{self, ApplyError};
use super::budgets::BudgetStep;
use super::decide::{Plan, decide};
use super::groups;
use super::notices::Notices;
use super::observe::Caches;
use super::options::Options;
use super::resources::BuildSettings;
use super::rollout::Step;
use super::snapshot::{Cause, Snapshot, Turn};
use super::status_writer::{Reports, StatusWriter};
use crate::peers::NodeId;
use crate::{clock, labels, metrics};

/// How soon a cycle in which something failed is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// The loop.
pub struct Discovery {
    client: Client,
    caches: Arc<Caches>,
    own_namespace: String,
    options: Options,
    settings: BuildSettings,
    notices: Notices,
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discovery")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Discovery {
    /// Discovery over these caches; [`Self::run`] runs the loop.
    pub fn new(
        client: Client,
        caches: Arc<Caches>,
        own_namespace: String,
        options: Options,
        settings: BuildSettings,
    ) -> Self {
        let notices = Notices::new(client.clone(), Arc::clone(&caches));
        Self {
            client,
            caches,
            own_namespace,
            options,
            settings,
            notices,
        }
    }

    /// Observes, decides, applies and reports for ever.
    pub async fn run(self) {
        let (decided, reports) = watch::channel(Reports::default());
        let writer = StatusWriter::new(self.client.clone(), Arc::clone(&self.caches), self.notices.clone());
        // Its own task, which ends with this one: the sender goes.
        let writer = AbortOnDrop(tokio::spawn(writer.run(reports)));
        self.decide_for_ever(&decided).await;
        drop(writer);
    }

    async fn decide_for_ever(&self, decided: &watch::Sender<Reports>) {
        self.caches.wait_until_complete().await;
        let interval = Duration::from_secs(self.options.discovery_interval_secs);
        let mut told = Told::default();
        loop {
            let now = clock::now();
            let span = tracing::info_span!("discovery");
            let begin = Instant::now();
            let cycle = AssertUnwindSafe(self.cycle(now, &mut told, decided))
                .catch_unwind()
                .instrument(span)
                .await;
            let done = cycle.as_ref().is_ok_and(|outcome| !outcome.retry);
            metrics::get().discovered(begin.elapsed(), done);
            let pause = match cycle {
                Ok(Outcome { retry: true, .. }) => RETRY.min(interval),
                Ok(Outcome { wake: Some(time), .. }) => until(now, time).min(interval),
                Ok(Outcome { wake: None, .. }) => interval,
                Err(_) => {
                    tracing::error!("a discovery cycle panicked; the next one starts anew and nothing was removed");
                    RETRY
                }
            };
            tokio::select! {
                () = self.caches.changed() => tokio::time::sleep(self.options.settle).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn cycle(&self, now: Timestamp, told: &mut Told, decided: &watch::Sender<Reports>) -> Outcome {
        let snapshot = self.caches.snapshot(now);
        log_observed(&snapshot, told);
        let mut plan = decide(&snapshot, &self.options);
        decided.send_replace(Arc::new(std::mem::take(&mut plan.reports)));
        let turns = snapshot.turns.values().map(|lease| lease.turns.len()).sum();
        metrics::get().groups(&plan.figures, turns);
        let mut outcome = Outcome {
            retry: false,
            wake: plan.wake,
        };
        outcome.retry |= self.write_records(&plan).await;
        outcome.retry |= self.write_lists(&snapshot, &plan).await;
        outcome.retry |= self.write_budgets(&plan).await;
        outcome.retry |= self.write_turns(&snapshot, &plan).await;
        outcome
    }

    async fn write_records(&self, plan: &Plan) -> bool {
        let mut failed = false;
        for record in &plan.records {
            if let Err(error) = apply::record(&self.client, record).await {
                failed |= log_failure(&error, "membership", &record.node);
            }
        }
        failed
    }

    async fn write_lists(&self, snapshot: &Snapshot, plan: &Plan) -> bool {
        let mut failed = false;
        for write in &plan.lists {
            let config_map = format!("{}/{}", write.id.namespace, write.id.name);
            let result = apply::list(&self.client, write, snapshot.lists.get(&write.id)).await;
            metrics::get().list_written(result.is_ok());
            match result {
                Ok(()) if write.repair => {
                    tracing::info!(
                        config_map,
                        peers = write.peers,
                        "list of peers had been changed by somebody else and was put right"
                    );
                    for node in &write.members {
                        self.notices
                            .tell(
                                node,
                                EventType::Warning,
                                "PeersRepaired",
                                "Repair",
                                format!(
                                    "ConfigMap {} had been changed by somebody else and was put right",
                                    write.id.name
                                ),
                            )
                            .await;
                    }
                }
                Ok(()) => tracing::info!(config_map, peers = write.peers, "list of peers written"),
                Err(error) if error.is_conflict() => {
                    tracing::debug!(
                        config_map,
                        error = &error as &dyn std::error::Error,
                        "list of peers changed meanwhile; decided again"
                    );
                    failed = true;
                }
                Err(error) => {
                    tracing::error!(
                        config_map,
                        error = &error as &dyn std::error::Error,
                        "list of peers not written; tried again, and nobody is restarted for it before"
                    );
                    failed = true;
                }
            }
        }
        if plan.lists.is_empty() {
            tracing::debug!(lists = snapshot.lists.len(), "peers unchanged");
        }
        for removal in &plan.removals {
            let config_map = format!("{}/{}", removal.id.namespace, removal.id.name);
            match apply::remove_list(&self.client, removal).await {
                Ok(()) => tracing::info!(config_map, "no validator refers to the list of peers any more; removed"),
                Err(error) if error.is_conflict() => {}
                Err(error) => {
                    tracing::error!(
                        config_map,
                        error = &error as &dyn std::error::Error,
                        "list of peers not removed; tried again"
                    );
                    failed = true;
                }
            }
        }
        failed
    }

    async fn write_budgets(&self, plan: &Plan) -> bool {
        let mut failed = false;
        for step in &plan.budgets {
            if let Err(error) = apply::budget(&self.client, step).await {
                let conflict = error.is_conflict();
                let (BudgetStep::Write { id, .. } | BudgetStep::Remove { id, .. }) = step;
                let error = &error as &dyn std::error::Error;
                // Somebody's own budget of this name serves as well.
                failed |= !conflict;
                tracing::debug!(
                    namespace = id.namespace,
                    name = id.name,
                    error,
                    "PodDisruptionBudget not written; tried again"
                );
            }
        }
        failed
    }

    async fn write_turns(&self, snapshot: &Snapshot, plan: &Plan) -> bool {
        let mut failed = false;
        for (network, turns) in &plan.turns {
            for step in &turns.steps {
                failed |= self.take(snapshot, plan, step).await;
            }
            let Some(write) = &turns.write else { continue };
            let seen = snapshot.turns.get(network);
            let before = seen.map_or(&[][..], |lease| &lease.turns[..]);
            match apply::turns(&self.client, &self.own_namespace, network, seen, write).await {
                Ok(()) => log_turns(before, write),
                Err(error) if seen.is_none() => {
                    let lease = labels::turns_lease_name(network);
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        lease,
                        error,
                        "turns not written; tried again. A Lease of this name without our label has to be deleted"
                    );
                    failed = true;
                }
                Err(error) => {
                    let lease = labels::turns_lease_name(network);
                    tracing::debug!(
                        lease,
                        error = &error as &dyn std::error::Error,
                        "turns not written; decided again"
                    );
                    failed = true;
                }
            }
        }
        failed
    }

    /// Does what a turn is for; tells whether it failed.
    async fn take(&self, snapshot: &Snapshot, plan: &Plan, step: &Step) -> bool {
        let (node, result) = match step {
            Step::Restart(turn) => (
                &turn.node,
                apply::planned_restart(&self.client, snapshot, plan, turn).await,
            ),
            Step::ApplyTemplate(turn) => (&turn.node, self.apply_template(snapshot, turn).await),
            Step::GiveBack(turn) => (&turn.node, apply::planned_give_back(&self.client, snapshot, turn).await),
            Step::DeletePod {
                node,
                name,
                uid,
                resource_version,
            } => {
                let deleted = apply::delete_pod(&self.client, &node.namespace, name, uid, resource_version);
                (node, deleted.await)
            }
        };
        match result {
            Ok(()) => {
                if let Step::Restart(turn) | Step::ApplyTemplate(turn) = step {
                    metrics::get().restarted(turn.cause.as_str());
                }
                if let Some((reason, note)) = event_of(step) {
                    tracing::info!(validator = %node, reason, "rolling update: {note}");
                    let told = self.notices.tell(node, EventType::Normal, reason, "Restart", note);
                    told.await;
                } else {
                    tracing::info!(validator = %node, "rolling update: its turn is given back, nothing was done in it");
                }
                false
            }
            Err(error) if error.is_conflict() => {
                tracing::debug!(validator = %node, error = &error as &dyn std::error::Error, "rolling update: changed meanwhile; decided again");
                true
            }
            Err(error) => {
                tracing::warn!(validator = %node, error = &error as &dyn std::error::Error, "rolling update failed; tried again, and discovery goes on");
                true
            }
        }
    }

    async fn apply_template(&self, snapshot: &Snapshot, turn: &Turn) -> Result<(), ApplyError> {
        let validator = snapshot.validators.iter().find(|validator| validator.uid == turn.uid);
        let workload = validator
            .and_then(|validator| validator.workload.as_ref())
            .ok_or(ApplyError::SpecMoved)?;
        let node = self.caches.node(&turn.node).ok_or(ApplyError::SpecMoved)?;
        apply::template(&self.client, turn, workload, &node, &self.settings).await
    }
}

/// Reason and note of the Event for a step that was done; `None` if it took nobody down.
fn event_of(step: &Step) -> Option<(&'static str, String)> {
    match step {
        Step::GiveBack(_) => None,
        Step::DeletePod { name, .. } => Some((
            "PodDeleted",
            format!("pod {name} is not Ready and is replaced for its new template"),
        )),
        Step::Restart(turn) => {
            let why = match turn.cause {
                Cause::NotLinked => "its group is not connected: restarting it to load the present addresses",
                Cause::PeersChanged | Cause::SpecChanged => {
                    "the members of its group changed: restarting it to load the list"
                }
            };
            Some(("Restarting", why.to_owned()))
        }
        Step::ApplyTemplate(_) => Some((
            "Restarting",
            "its spec changed: rolling out the new pod template".to_owned(),
        )),
    }
}

/// What follows from a cycle.
struct Outcome {
    /// Something was not written: decide again soon.
    retry: bool,
    /// When something may change without an event.
    wake: Option<Timestamp>,
}

fn until(now: Timestamp, time: Timestamp) -> Duration {
    // A moment more, so that what ends then has ended.
    Duration::try_from(time.duration_since(now)).unwrap_or_default() + Duration::from_millis(20)
}

/// Logs a write that failed; it is always tried again.
pub(super) fn log_failure(error: &ApplyError, what: &str, node: &NodeId) -> bool {
    let conflict = error.is_conflict();
    let error = error as &dyn std::error::Error;
    if conflict {
        tracing::debug!(validator = %node, error, "{what} changed meanwhile; decided again");
    } else {
        tracing::warn!(validator = %node, error, "{what} not written; tried again");
    }
    true
}

/// What the log was told of, so that it is told once.
#[derive(Debug, Default)]
struct Told {
    unreadable: BTreeSet<NodeId>,
    leases: BTreeSet<String>,
}

fn log_observed(snapshot: &Snapshot, told: &mut Told) {
    for validator in &snapshot.validators {
        if !groups::is_wanted(validator) {
            tracing::debug!(validator = %validator.id, "skipped: suspended, scaled to 0 or being deleted");
        }
    }
    let broken = snapshot.turns.iter().filter(|(_, lease)| !lease.readable);
    let leases: BTreeSet<String> = broken.map(|(network, _)| labels::turns_lease_name(network)).collect();
    for lease in leases.difference(&told.leases) {
        tracing::warn!(
            lease,
            "the Lease of the turns cannot be read; nobody gets a turn until it is deleted"
        );
    }
    for node in snapshot.unreadable.difference(&told.unreadable) {
        tracing::warn!(node = %node, "StellarNode cannot be parsed; what is known of it stays as it is");
    }
    *told = Told {
        unreadable: snapshot.unreadable.clone(),
        leases,
    };
}

fn log_turns(before: &[Turn], after: &[Turn]) {
    let is_in = |turns: &[Turn], turn: &Turn| turns.iter().any(|other| other.uid == turn.uid);
    for turn in after.iter().filter(|turn| !is_in(before, turn)) {
        tracing::info!(validator = %turn.node, cause = turn.cause.as_str(), "rolling update: its turn begins");
    }
    for turn in before.iter().filter(|turn| !is_in(after, turn)) {
        tracing::info!(validator = %turn.node, cause = turn.cause.as_str(), "rolling update: its turn is over");
    }
}
