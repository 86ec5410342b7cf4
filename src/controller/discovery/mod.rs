//! The discovery loop: observe, decide, apply, report, for ever.
//!
//! It never blocks the StellarNode controller and survives the error or panic of one cycle. What is done is decided in
//! `decide`, and done in `execute`; this file only runs it.

pub mod apply;
pub mod decide;
#[cfg(test)]
mod decide_tests;
pub(crate) mod execute;
pub mod group_metrics;
pub(crate) mod shared_seeds;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::ControllerConfig;
use super::model::snapshot::Snapshot;
use super::observe::caches::Caches;
use super::status::events::Events;
use super::status::writer::{Reports, StatusWriter};
use crate::labels;
use crate::peers::NodeId;
use crate::util::clock;
use crate::util::retry::{Failures, RETRY, retry_after};
use crate::util::survive::survive;
use decide::decide;
use execute::Writes;

/// The loop.
pub struct Discovery {
    client: Client,
    caches: Arc<Caches>,
    config: ControllerConfig,
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discovery")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Discovery {
    /// Discovery over these caches; [`Self::run`] runs the loop.
    pub fn new(client: Client, caches: Arc<Caches>, config: ControllerConfig) -> Self {
        Self { client, caches, config }
    }

    /// Observes, decides, applies and reports for ever. It ends where one of its parts does, so that all of it is begun
    /// anew.
    pub async fn run(self) {
        let (events, reporting) = Events::new(self.client.clone(), Arc::clone(&self.caches));
        let (decided, reports) = watch::channel(Reports::default());
        let writer = StatusWriter::new(self.client.clone(), Arc::clone(&self.caches), events.clone());
        // Tasks of their own, which end with this one.
        let mut beside = JoinSet::new();
        beside.spawn(writer.run(reports));
        beside.spawn(reporting.run());
        let run = Running {
            writes: Writes::new(&self, events),
            decided,
        };
        tokio::select! {
            () = self.decide_for_ever(&run) => {}
            Some(ended) = beside.join_next() => tracing::error!(?ended, "a part of discovery ended"),
        }
    }

    async fn decide_for_ever(&self, run: &Running<'_>) {
        self.caches.wait_until_complete().await;
        let interval = Duration::from_secs(self.config.options.discovery_interval_secs);
        let mut told = Told::default();
        let mut failed: u32 = 0;
        loop {
            let now = clock::now();
            let span = tracing::info_span!("discovery");
            let begin = Instant::now();
            let cycle = survive(self.cycle(now, &mut told, run)).instrument(span).await;
            let failures = &told.failures;
            let done = cycle.is_some() && !failures.any() && !failures.has_conflict();
            self.config.metrics.discovered(begin.elapsed(), done);
            failed = if cycle.is_none() || failures.any() {
                failed.saturating_add(1)
            } else {
                0
            };
            let pause = match cycle {
                Some(_) if failed > 0 => retry_after(failed).min(interval),
                Some(_) if failures.has_conflict() => RETRY.min(interval),
                Some(Some(time)) => until(now, time).min(interval),
                Some(None) => interval,
                None => {
                    tracing::error!("a discovery cycle panicked; the next one starts anew and nothing was removed");
                    retry_after(failed)
                }
            };
            tokio::select! {
                () = self.caches.changed() => tokio::time::sleep(self.config.options.settle).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn cycle(&self, now: Timestamp, told: &mut Told, run: &Running<'_>) -> Option<Timestamp> {
        let snapshot = self.caches.snapshot(now);
        log_observed(&snapshot, told);
        let mut plan = decide(&snapshot, &self.config.options);
        let shared = self.caches.shared_keys();
        shared_seeds::tell(&shared, &snapshot, &mut plan.reports, &mut plan.group_metrics);
        run.decided.send_replace(Arc::new(std::mem::take(&mut plan.reports)));
        let slots = snapshot.slots.values().map(|lease| lease.slots.len()).sum();
        let metrics = std::mem::take(&mut plan.group_metrics);
        self.config.metrics.groups(metrics, slots);
        told.failures.next();
        run.writes.carry_out(&snapshot, &plan, &told.failures).await;
        plan.wake
    }
}

/// Whom the loop hands over to.
struct Running<'a> {
    writes: Writes<'a>,
    decided: watch::Sender<Reports>,
}

fn until(now: Timestamp, time: Timestamp) -> Duration {
    // A moment more, so that what ends then has ended.
    Duration::try_from(time.duration_since(now)).unwrap_or_default() + Duration::from_millis(20)
}

/// What the log was told of, so that it is told once.
#[derive(Debug, Default)]
struct Told {
    failures: Failures,
    unreadable: BTreeSet<NodeId>,
    leases: BTreeSet<String>,
}

fn log_observed(snapshot: &Snapshot, told: &mut Told) {
    for validator in &snapshot.validators {
        if !validator.is_wanted() {
            tracing::debug!(validator = %validator.id, "skipped: suspended, scaled to 0 or being deleted");
        }
    }
    let broken = snapshot.slots.iter().filter(|(_, lease)| !lease.readable);
    let leases: BTreeSet<String> = broken.map(|(network, _)| labels::slots_lease_name(network)).collect();
    for lease in leases.difference(&told.leases) {
        tracing::warn!(
            lease,
            "the Lease of the slots cannot be read; nobody gets a slot until it is deleted"
        );
    }
    for node in snapshot.unreadable.difference(&told.unreadable) {
        tracing::warn!(node = %node, "StellarNode cannot be parsed; what is known of it stays as it is");
    }
    told.unreadable.clone_from(&snapshot.unreadable);
    told.leases = leases;
}
