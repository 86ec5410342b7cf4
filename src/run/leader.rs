//! Elects the replica that runs discovery, the StellarNode controller and the upkeep of the certificate.
//!
//! The election holds a Lease as client-go's `tools/leaderelection` does. It only saves work: while two replicas
//! believe that they lead, the precondition of each write keeps them from doing anything twice.
//!
//! kube-lease-manager 0.13, the crate for our version of kube, compares the times in the Lease with the local clock and
//! takes a Lease over without a precondition: a clock that jumps would depose a leader. This code trusts no clock. It
//! takes a Lease only after *this* process has seen it unchanged for its whole duration, and the holder stops its work
//! before that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{debug, error, info, warn};

use crate::kubernetes::api::{ApiError, deadline};
use crate::labels;
use crate::metrics::Metrics;
use crate::util::clock;
use crate::util::durations::lease_duration;

/// Arguments of the election.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Replicas")]
pub struct LeaderConfig {
    /// How long another replica waits before it takes over from a leader that is not heard of any more; in whole
    /// seconds
    #[arg(long, env = "LEASE_DURATION", default_value = "15s", value_parser = lease_duration)]
    pub lease_duration: Duration,
    /// What this replica calls itself; one name for each replica. Its pod's name, or one made up at random if absent
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,
}

/// A round of the election failed. The next round tries again.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// The API server refused, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A Lease of this name exists, and it is not ours.
    #[error(
        "Lease {} is there and not managed by stellar-operator: delete it",
        labels::LEADER_LEASE
    )]
    NotOurs,
}

/// This replica in the election.
#[derive(Debug)]
pub struct Election {
    leases: Api<Lease>,
    identity: String,
    duration: Duration,
    history: History,
    metrics: Arc<Metrics>,
}

/// Detects that the API server was restored to an earlier state, by a Lease that is older than the newest one seen. The
/// caches then hold a later state than the server, and their watches would wait for it silently.
#[derive(Debug, Default)]
struct History {
    newest: AtomicU64,
    went_back: Notify,
}

impl History {
    /// Notes a version. Versions of one resource compare as numbers (Kubernetes docs, "API Concepts", "Resource
    /// versions"); any other form is ignored.
    fn note(&self, lease: &Lease) {
        let version = lease.metadata.resource_version.as_deref();
        let Some(version) = version.and_then(|version| version.parse().ok()) else {
            return;
        };
        if self.newest.fetch_max(version, Ordering::Relaxed) > version {
            self.went_back.notify_one();
        }
    }
}

impl Election {
    /// The election among the replicas of this namespace.
    pub fn new(client: Client, namespace: &str, config: LeaderConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            identity: config.pod_name.unwrap_or_else(random_name),
            duration: config.lease_duration,
            history: History::default(),
            metrics,
        }
    }

    /// Completes when the API server holds an older Lease than before: its storage was restored to an earlier state.
    pub async fn history_went_back(&self) {
        self.history.went_back.notified().await;
    }

    /// Runs `work` while this replica leads. At `stop` it drops the work and gives up the Lease, so that another
    /// replica takes over at once.
    pub async fn run<W: Future<Output = ()>>(&self, work: impl FnMut() -> W, stop: impl Future<Output = ()>) {
        tokio::select! {
            never = self.campaign(work) => match never {},
            () = stop => {}
        }
        self.metrics.leading(false);
        match self.give_up().await {
            Ok(true) => info!("gave up the lead"),
            Ok(false) => {}
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "the lead could not be given up; another replica takes over when the Lease has run out"
            ),
        }
    }

    async fn campaign<W: Future<Output = ()>>(&self, mut work: impl FnMut() -> W) -> std::convert::Infallible {
        let mut seen = Seen::default();
        let mut failing = false;
        loop {
            match self.stand(&mut seen).await {
                Ok(Some(since)) => {
                    failing = false;
                    info!(identity = self.identity, "leading");
                    self.metrics.leading(true);
                    tokio::select! {
                        () = work() => error!("the leader's work ended; it is begun anew"),
                        () = self.hold(since) => warn!("the lead is lost; the work stops until it is regained"),
                    }
                    self.metrics.leading(false);
                }
                Ok(None) => failing = false,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    // Log the first failure at WARN, the rest at DEBUG.
                    if std::mem::replace(&mut failing, true) {
                        debug!(error, "the leader's Lease still cannot be had; tried again");
                    } else {
                        warn!(error, "the leader's Lease cannot be had; tried again");
                    }
                }
            }
            sleep(pause(self.duration)).await;
        }
    }

    /// Takes the Lease if possible. Returns since when this replica holds it.
    async fn stand(&self, seen: &mut Seen) -> Result<Option<Instant>, LeaderError> {
        // The holder counts from its request and the others count from their answer, so a holder stops first.
        let asked = Instant::now();
        let Some(lease) = deadline(self.leases.get_opt(labels::LEADER_LEASE)).await? else {
            let created = deadline(self.leases.create(&created(), &self.first_lease())).await;
            return won(created.map(|lease| {
                self.history.note(&lease);
                asked
            }));
        };
        self.history.note(&lease);
        if lease.labels().get(labels::MANAGED_BY).map(String::as_str) != Some(labels::OPERATOR) {
            return Err(LeaderError::NotOurs);
        }
        let spec = lease.spec.unwrap_or_default();
        let stands = seen.stands(&spec, &self.identity, self.duration, Instant::now());
        if let Some(holder) = seen.news(&spec) {
            info!(leader = holder, identity = self.identity, "another replica leads");
        }
        if !stands {
            return Ok(None);
        }
        let transitions = i32::from(spec.holder_identity.as_deref() != Some(self.identity.as_str()));
        let taken = self
            .write(json!({
                "metadata": { "resourceVersion": lease.metadata.resource_version },
                "spec": {
                    "holderIdentity": self.identity,
                    "leaseDurationSeconds": self.duration.as_secs(),
                    "acquireTime": MicroTime(clock::now()),
                    "renewTime": MicroTime(clock::now()),
                    "leaseTransitions": spec.lease_transitions.unwrap_or(0).saturating_add(transitions),
                },
            }))
            .await;
        won(taken.map(|_| asked))
    }

    /// Renews the Lease. Returns when the Lease is lost, or when renewals failed for so long that it may be.
    async fn hold(&self, since: Instant) {
        let (pause, patience) = (pause(self.duration), patience(self.duration));
        let mut renewed = since;
        let mut version: Option<String> = None;
        let mut wait = pause;
        loop {
            let end = renewed + patience;
            sleep_until(end.min(Instant::now() + wait)).await;
            let now = Instant::now();
            if now >= end {
                return;
            }
            // A renewal that hangs, such as with an API server that is gone, must leave time for another attempt.
            match timeout_at(end.min(now + patience / 3), self.renew(&mut version)).await {
                Ok(Ok(true)) => {
                    renewed = now;
                    wait = pause;
                    continue;
                }
                Ok(Ok(false)) => return,
                Ok(Err(error)) => debug!(
                    error = &error as &dyn std::error::Error,
                    "the Lease is not renewed; tried again"
                ),
                Err(_) => debug!("no answer to the renewal of the Lease; tried again"),
            }
            version = None;
            wait = pause / 3;
        }
    }

    /// Writes a new time. Returns whether this replica still holds the Lease. `version` is that of the last write, if
    /// it is known.
    async fn renew(&self, version: &mut Option<String>) -> Result<bool, LeaderError> {
        if version.is_none() {
            let lease = deadline(self.leases.get(labels::LEADER_LEASE)).await?;
            self.history.note(&lease);
            if lease.spec.and_then(|spec| spec.holder_identity).as_ref() != Some(&self.identity) {
                return Ok(false);
            }
            *version = lease.metadata.resource_version;
        }
        let renewed = self
            .write(json!({
                "metadata": { "resourceVersion": version },
                "spec": { "renewTime": MicroTime(clock::now()) },
            }))
            .await?;
        self.history.note(&renewed);
        *version = renewed.metadata.resource_version;
        Ok(true)
    }

    /// Gives up the Lease. Returns whether this replica held it.
    async fn give_up(&self) -> Result<bool, LeaderError> {
        let Some(lease) = deadline(self.leases.get_opt(labels::LEADER_LEASE)).await? else {
            return Ok(false);
        };
        if lease.spec.and_then(|spec| spec.holder_identity).as_ref() != Some(&self.identity) {
            return Ok(false);
        }
        self.write(json!({
            "metadata": { "resourceVersion": lease.metadata.resource_version },
            "spec": { "holderIdentity": null },
        }))
        .await?;
        Ok(true)
    }

    async fn write(&self, patch: serde_json::Value) -> Result<Lease, ApiError> {
        let params = PatchParams {
            field_manager: Some(labels::MANAGER_LEADER.to_owned()),
            ..PatchParams::default()
        };
        deadline(self.leases.patch(labels::LEADER_LEASE, &params, &Patch::Merge(&patch))).await
    }

    fn first_lease(&self) -> Lease {
        let now = MicroTime(clock::now());
        Lease {
            metadata: ObjectMeta {
                name: Some(labels::LEADER_LEASE.to_owned()),
                labels: Some([(labels::MANAGED_BY.to_owned(), labels::OPERATOR.to_owned())].into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        }
    }
}

/// How often the holder renews a Lease of this duration, and the others read it.
fn pause(duration: Duration) -> Duration {
    duration / 5
}

/// How long a holder works on while renewals fail: less than the others wait.
fn patience(duration: Duration) -> Duration {
    duration * 2 / 3
}

fn created() -> PostParams {
    PostParams {
        field_manager: Some(labels::MANAGER_LEADER.to_owned()),
        ..PostParams::default()
    }
}

/// A conflict is no failure: another replica wrote first.
fn won(written: Result<Instant, ApiError>) -> Result<Option<Instant>, LeaderError> {
    match written {
        Ok(since) => Ok(Some(since)),
        Err(error) if error.is_conflict() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A name that no other process has. Two replicas with the same name would both lead.
fn random_name() -> String {
    let mut bytes = [0; 8];
    // Without random bytes TLS fails, too. The time still distinguishes two processes.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        bytes = clock::now().as_millisecond().to_be_bytes();
    }
    format!("{}-{:016x}", labels::OPERATOR, u64::from_be_bytes(bytes))
}

/// The Lease as this process last saw it.
#[derive(Debug, Default)]
struct Seen {
    /// Holder and time of the last renewal, and when this process first saw them.
    last: Option<(Option<String>, Option<Timestamp>, Instant)>,
    /// The holder in the last log line.
    logged: Option<String>,
}

impl Seen {
    /// Whether `me` may take the Lease now: it has no holder, `me` is the holder, or the holder has not renewed it for
    /// the duration that it asked for.
    fn stands(&mut self, spec: &LeaseSpec, me: &str, duration: Duration, now: Instant) -> bool {
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
        let renewed = spec.renew_time.as_ref().map(|time| time.0);
        let since = match &self.last {
            Some((last_holder, last_renewed, since)) if (last_holder, last_renewed) == (&holder, &renewed) => *since,
            _ => now,
        };
        self.last = Some((holder.clone(), renewed, since));
        let asked = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        let asked = asked.map_or(duration, Duration::from_secs);
        holder.is_none_or(|holder| holder == me) || now.duration_since(since) >= asked
    }

    /// The holder, if no log line named it yet.
    fn news(&mut self, spec: &LeaseSpec) -> Option<String> {
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
        let news = holder != self.logged;
        self.logged.clone_from(&holder);
        holder.filter(|_| news)
    }
}

#[cfg(test)]
#[path = "leader_tests.rs"]
mod tests;
