//! Writes each validator's discovery status, and Events for new warnings.
//!
//! It runs in its own task, so that a thousand status writes never delay the next peer list. It writes only the newest
//! decision and skips reports that a newer one replaces. It makes no decisions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use tokio::sync::watch;

use super::cache::StatusCache;
use super::events::Events;
use super::peers::PeersReport;
use crate::controller::apply::{ApplyError, StatusPatcher};
use crate::controller::observe::caches::Caches;
use crate::controller::status;
use crate::peers::NodeId;
use crate::util::clock;
use crate::util::retry::retry_after;
use crate::util::survive::survive;

const CONCURRENCY: usize = 8;

pub type Reports = Arc<BTreeMap<NodeId, PeersReport>>;

/// Writes the discovery status of validators.
pub struct StatusWriter {
    patcher: StatusPatcher,
    caches: Arc<Caches>,
    events: Events,
    writes: StatusCache,
}

impl fmt::Debug for StatusWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusWriter").finish_non_exhaustive()
    }
}

impl StatusWriter {
    pub fn new(patcher: StatusPatcher, caches: Arc<Caches>, events: Events) -> Self {
        Self {
            patcher,
            caches,
            events,
            writes: StatusCache::default(),
        }
    }

    /// Writes each new set of reports until the sender is dropped.
    pub async fn run(self, mut newest: watch::Receiver<Reports>) {
        let mut failed: u32 = 0;
        loop {
            let reports = Arc::clone(&newest.borrow_and_update());
            let failure = self.write_all(&reports, &newest).await;
            failed = if failure { failed.saturating_add(1) } else { 0 };
            let newer = async {
                if failure {
                    // A failed write is retried even without a new decision.
                    let newer = tokio::time::timeout(retry_after(failed), newest.changed());
                    newer.await.unwrap_or(Ok(()))
                } else {
                    newest.changed().await
                }
            };
            if newer.await.is_err() {
                return;
            }
        }
    }

    /// Writes all reports, and returns whether a write failed.
    async fn write_all(&self, reports: &Reports, newest: &watch::Receiver<Reports>) -> bool {
        let writes = reports.iter().map(|(id, report)| async move {
            let overtaken = newest.has_changed().unwrap_or(true);
            if overtaken {
                return false;
            }
            // A panic in one report must not keep the others from being written.
            survive(self.write(id, report)).await.unwrap_or_else(|| {
                tracing::error!(validator = %id, "writing the status panicked; retrying");
                true
            })
        });
        let failures = stream::iter(writes.collect::<Vec<_>>()).buffer_unordered(CONCURRENCY);
        failures.fold(false, |any, failed| async move { any || failed }).await
    }

    async fn write(&self, id: &NodeId, report: &PeersReport) -> bool {
        let Some(guarded) = self.caches.guarded(id) else {
            return false;
        };
        let Ok(node) = &guarded.0 else { return false };
        let node = &*self.writes.freshest(node);
        let Some(part) = status::peers_part(node, report, clock::now()) else {
            return false;
        };
        match self.patcher.discoverys_part(&node.metadata, &part).await {
            Ok(answer) => answer.into_iter().for_each(|answer| self.writes.wrote(answer)),
            Err(error) => {
                log_failure(&error, id);
                return true;
            }
        }
        self.events.warn_of(node, &report.conditions);
        false
    }
}

fn log_failure(error: &ApplyError, node: &NodeId) {
    let conflict = error.is_conflict();
    let error = error as &dyn std::error::Error;
    if conflict {
        tracing::debug!(validator = %node, error, "status changed meanwhile; deciding again");
    } else {
        tracing::warn!(validator = %node, error, "status not written; retrying");
    }
}
