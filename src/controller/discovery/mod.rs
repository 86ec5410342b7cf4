//! The discovery loop: each cycle observes, decides, applies and reports.
//!
//! The loop never blocks the StellarNode controller, and survives an error or a panic of a cycle. `decide` makes the
//! plan of a cycle and `execute` carries it out; this file only calls them.

pub mod apply;
pub mod decide;
#[cfg(test)]
mod decide_tests;
mod execute;
pub mod group_metrics;
pub(crate) mod shared_seeds;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::model::snapshot::Snapshot;
use super::status::events::Events;
use super::status::writer::{Reports, StatusWriter};
use crate::labels;
use crate::peers::NodeId;
use crate::util::clock;
use crate::util::retry::{Failures, RETRY, retry_after};
use crate::util::survive::survive;
use decide::decide;
use execute::Execution;
pub use execute::Executor;

/// Runs the loop. Returns only after a panic in one of its tasks; the caller then restarts all of them.
pub async fn run(executor: Executor) {
    let (events, reporting) = executor.events();
    let (decided, reports) = watch::channel(Reports::default());
    let caches = Arc::clone(&executor.caches);
    let writer = StatusWriter::new(executor.status_patcher(), caches, events.clone());
    // Their drop ends these tasks with the loop.
    let mut reporters = JoinSet::new();
    reporters.spawn(writer.run(reports));
    reporters.spawn(reporting.run());
    let outputs = Outputs { events, decided };
    tokio::select! {
        () = run_cycles(&executor, &outputs) => {}
        Some(ended) = reporters.join_next() => tracing::error!(?ended, "a part of discovery ended"),
    }
}

async fn run_cycles(executor: &Executor, outputs: &Outputs) {
    executor.caches.wait_until_complete().await;
    let interval = Duration::from_secs(executor.config.options.discovery_interval_secs);
    let mut logged = Logged::default();
    let mut failed: u32 = 0;
    loop {
        let now = clock::now();
        let span = tracing::info_span!("discovery");
        let begin = Instant::now();
        let cycle = survive(run_cycle(executor, now, &mut logged, outputs))
            .instrument(span)
            .await;
        let failures = &logged.failures;
        let done = cycle.is_some() && !failures.any() && !failures.has_conflict();
        executor.config.metrics.discovered(begin.elapsed(), done);
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
                tracing::error!(
                    "a discovery cycle panicked; nothing was removed, and the next cycle starts from the caches"
                );
                retry_after(failed)
            }
        };
        tokio::select! {
            () = executor.caches.changed() => tokio::time::sleep(executor.config.options.settle).await,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Runs one cycle. Returns when something may change without an event.
async fn run_cycle(executor: &Executor, now: Timestamp, logged: &mut Logged, outputs: &Outputs) -> Option<Timestamp> {
    let snapshot = executor.caches.snapshot(now);
    log_observed(&snapshot, logged);
    let mut plan = decide(&snapshot, &executor.config.options);
    let shared = executor.caches.shared_keys();
    shared_seeds::report(&shared, &snapshot, &mut plan.reports, &mut plan.group_metrics);
    outputs
        .decided
        .send_replace(Arc::new(std::mem::take(&mut plan.reports)));
    let slots = snapshot.slots.values().map(|lease| lease.slots.len()).sum();
    let metrics = std::mem::take(&mut plan.group_metrics);
    executor.config.metrics.groups(metrics, slots);
    logged.failures.next();
    let execution = Execution {
        executor,
        events: &outputs.events,
        failures: &logged.failures,
        plan: &plan,
        snapshot: &snapshot,
    };
    execution.run().await;
    plan.wake
}

/// Where the loop sends Events and what it reports to each validator.
struct Outputs {
    events: Events,
    decided: watch::Sender<Reports>,
}

fn until(now: Timestamp, time: Timestamp) -> Duration {
    // A little later, so that the waits that end at `time` are over.
    Duration::try_from(time.duration_since(now)).unwrap_or_default() + Duration::from_millis(20)
}

/// Problems that are in the log already.
#[derive(Debug, Default)]
struct Logged {
    failures: Failures,
    unreadable: BTreeSet<NodeId>,
    leases: BTreeSet<String>,
}

fn log_observed(snapshot: &Snapshot, logged: &mut Logged) {
    for validator in &snapshot.validators {
        if !validator.is_wanted() {
            tracing::debug!(validator = %validator.id, "skipped: suspended, scaled to 0 or being deleted");
        }
    }
    let broken = snapshot.slots.iter().filter(|(_, lease)| !lease.readable);
    let leases: BTreeSet<String> = broken.map(|(network, _)| labels::slots_lease_name(network)).collect();
    for lease in leases.difference(&logged.leases) {
        tracing::warn!(
            lease,
            "the Lease of the slots cannot be read; no validator gets a slot until it is deleted"
        );
    }
    for node in snapshot.unreadable.difference(&logged.unreadable) {
        tracing::warn!(node = %node, "StellarNode cannot be parsed; what is known of it stays as it is");
    }
    logged.unreadable.clone_from(&snapshot.unreadable);
    logged.leases = leases;
}
