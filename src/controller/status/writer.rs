//! Tells each validator what was decided of it: status, and Events on transitions.
//!
//! Its own task: a thousand statuses that change with one newcomer never keep the next list waiting. It writes what was
//! decided last; what a newer decision overtakes is not written. Nothing is decided here.

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

/// Writes that are under way at once.
const AT_ONCE: usize = 8;

/// What each validator is to be told.
pub type Reports = Arc<BTreeMap<NodeId, PeersReport>>;

/// Writes statuses.
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
    /// A writer over these caches.
    pub fn new(patcher: StatusPatcher, caches: Arc<Caches>, events: Events) -> Self {
        Self {
            patcher,
            caches,
            events,
            writes: StatusCache::default(),
        }
    }

    /// Writes what is decided, until nobody decides any more.
    pub async fn run(self, mut decided: watch::Receiver<Reports>) {
        let mut failed: u32 = 0;
        loop {
            let reports = Arc::clone(&decided.borrow_and_update());
            let failure = self.write_all(&reports, &decided).await;
            failed = if failure { failed.saturating_add(1) } else { 0 };
            let newer = async {
                if failure {
                    // What failed is tried again, whether or not something else is decided.
                    let newer = tokio::time::timeout(retry_after(failed), decided.changed());
                    newer.await.unwrap_or(Ok(()))
                } else {
                    decided.changed().await
                }
            };
            if newer.await.is_err() {
                return;
            }
        }
    }

    /// Tells whether a write failed.
    async fn write_all(&self, reports: &Reports, decided: &watch::Receiver<Reports>) -> bool {
        let writes = reports.iter().map(|(id, report)| async move {
            let overtaken = decided.has_changed().unwrap_or(true);
            if overtaken {
                return false;
            }
            // One that cannot even be worked out keeps no other from its status.
            survive(self.write(id, report)).await.unwrap_or_else(|| {
                tracing::error!(validator = %id, "writing its status panicked; tried again");
                true
            })
        });
        let failures = stream::iter(writes.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        failures.fold(false, |failed, this| async move { failed || this }).await
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
        tracing::debug!(validator = %node, error, "status changed meanwhile; decided again");
    } else {
        tracing::warn!(validator = %node, error, "status not written; tried again");
    }
}
