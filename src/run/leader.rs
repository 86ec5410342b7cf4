//! Leader election. The leader runs discovery, the StellarNode controller and the certificate upkeep.
//!
//! The election uses a Lease, like client-go's `tools/leaderelection`. It only saves work: preconditions on each write
//! prevent double writes, even while two replicas both believe to lead.
//!
//! This is our own code because the crate for our version of kube (kube-lease-manager 0.13) compares the times in the
//! Lease with the local clock, and takes over a Lease without a precondition: a clock that jumps would depose a leader.
//! This code trusts no clock. A replica takes a Lease from its holder only after *this* process has seen it unchanged
//! for its whole duration, and a holder stops its work before that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch};
use kube::{Api, Client, ResourceExt as _};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{debug, error, info, warn};

use crate::kubernetes::api::{ApiError, created_by, deadline, merge};
use crate::labels;
use crate::metrics::Metrics;
use crate::util::clock;
use crate::util::durations::lease_duration;

/// Arguments of the election.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Replicas")]
pub struct LeaderConfig {
    /// How long a leader may be silent before another replica takes over; in whole seconds
    #[arg(long, env = "LEASE_DURATION", default_value = "15s", value_parser = lease_duration)]
    pub lease_duration: Duration,
    /// Name of this replica, unique among the replicas; its pod's name, or a random one if absent
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,
}

/// The reason why a round of the election failed. The next round tries again.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(
        "Lease {} exists and is not managed by stellar-operator: delete it",
        labels::LEADER_LEASE
    )]
    NotOurs,
}

/// One replica in the election.
#[derive(Debug)]
pub struct Election {
    leases: Api<Lease>,
    identity: String,
    duration: Duration,
    history: History,
    metrics: Arc<Metrics>,
}

/// The newest seen version of the Lease. If the API server returns an older one, its storage was restored to an earlier
/// state: the caches of this process are then of a lost future, and its watches would wait for it silently.
#[derive(Debug, Default)]
struct History {
    newest: AtomicU64,
    went_back: Notify,
}

impl History {
    /// Records a version. The versions of one resource are ordered numbers (Kubernetes docs, "API Concepts", "Resource
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
    /// Creates a participant in the election of this namespace.
    pub fn new(client: Client, namespace: &str, config: LeaderConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            identity: config.pod_name.unwrap_or_else(random_name),
            duration: config.lease_duration,
            history: History::default(),
            metrics,
        }
    }

    /// Completes when the API server returns an older Lease than before: its storage was restored to an earlier state.
    pub async fn history_went_back(&self) {
        self.history.went_back.notified().await;
    }

    /// Runs `work` whenever this replica leads. On `stop`, it drops the work and releases the Lease, so that another
    /// replica takes over at once.
    pub async fn run<W: Future<Output = ()>>(&self, work: impl FnMut() -> W, stop: impl Future<Output = ()>) {
        tokio::select! {
            never = self.campaign(work) => match never {},
            () = stop => {}
        }
        self.metrics.leading(false);
        match self.release().await {
            Ok(true) => info!("released the lead"),
            Ok(false) => {}
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "the lead could not be released; another replica takes over when the Lease expires"
            ),
        }
    }

    async fn campaign<W: Future<Output = ()>>(&self, mut work: impl FnMut() -> W) -> std::convert::Infallible {
        let mut seen = Seen::default();
        let mut failing = false;
        loop {
            match self.try_acquire(&mut seen).await {
                Ok(Some(since)) => {
                    failing = false;
                    info!(identity = self.identity, "leading");
                    self.metrics.leading(true);
                    tokio::select! {
                        () = work() => error!("the leader's work ended; restarting it"),
                        () = self.keep_renewing(since) => warn!("the lead is lost; the work stops until it is regained"),
                    }
                    self.metrics.leading(false);
                }
                Ok(None) => failing = false,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    // Warn once per outage.
                    if std::mem::replace(&mut failing, true) {
                        debug!(error, "the leader's Lease still cannot be acquired; retrying");
                    } else {
                        warn!(error, "the leader's Lease cannot be acquired; retrying");
                    }
                }
            }
            sleep(pause(self.duration)).await;
        }
    }

    /// Acquires the Lease if it is available; returns since when it is held.
    async fn try_acquire(&self, seen: &mut Seen) -> Result<Option<Instant>, LeaderError> {
        // For the holder the Lease starts with the request, for the others with the response, so that no replica
        // overestimates its time.
        let asked = Instant::now();
        let Some(lease) = deadline(self.leases.get_opt(labels::LEADER_LEASE)).await? else {
            let params = created_by(labels::MANAGER_LEADER);
            let created = deadline(self.leases.create(&params, &self.first_lease())).await;
            return acquired(created.map(|lease| {
                self.history.note(&lease);
                asked
            }));
        };
        self.history.note(&lease);
        if lease.labels().get(labels::MANAGED_BY).map(String::as_str) != Some(labels::OPERATOR) {
            return Err(LeaderError::NotOurs);
        }
        let spec = lease.spec.unwrap_or_default();
        let available = seen.may_acquire(&spec, &self.identity, self.duration, Instant::now());
        if let Some(holder) = seen.new_holder(&spec) {
            info!(leader = holder, identity = self.identity, "another replica leads");
        }
        if !available {
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
        acquired(taken.map(|_| asked))
    }

    /// Renews the Lease; returns when it is lost, or could not be renewed for so long that it may be.
    async fn keep_renewing(&self, since: Instant) {
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
            // A renewal that hangs, such as on a dead API server, must leave time for another attempt.
            match timeout_at(end.min(now + patience / 3), self.renew(&mut version)).await {
                Ok(Ok(true)) => {
                    renewed = now;
                    wait = pause;
                    continue;
                }
                Ok(Ok(false)) => return,
                Ok(Err(error)) => debug!(
                    error = &error as &dyn std::error::Error,
                    "the Lease is not renewed; retrying"
                ),
                Err(_) => debug!("no answer to the renewal of the Lease; retrying"),
            }
            version = None;
            wait = pause / 3;
        }
    }

    /// Writes a new renew time; returns whether this replica still holds the Lease. `version` is that of our last
    /// write, if known.
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

    /// Releases the Lease for any other replica; returns whether it was ours.
    async fn release(&self) -> Result<bool, LeaderError> {
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
        let params = merge(labels::MANAGER_LEADER);
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

/// How often the holder renews a Lease of this duration, and the others check it.
fn pause(duration: Duration) -> Duration {
    duration / 5
}

/// How long a holder keeps working without a renewal: less than the others wait.
fn patience(duration: Duration) -> Duration {
    duration * 2 / 3
}

/// Maps a conflict to `None`: another replica wrote first, which is no error.
fn acquired(written: Result<Instant, ApiError>) -> Result<Option<Instant>, LeaderError> {
    match written {
        Ok(since) => Ok(Some(since)),
        Err(error) if error.is_conflict() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A random name, unique per process: two replicas with one name would both lead.
fn random_name() -> String {
    let mut bytes = [0; 8];
    // Without random bytes there is no TLS either; the time still distinguishes two processes.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        bytes = clock::now().as_millisecond().to_be_bytes();
    }
    format!("{}-{:016x}", labels::OPERATOR, u64::from_be_bytes(bytes))
}

/// The last state of the Lease that this process saw, and when.
#[derive(Debug, Default)]
struct Seen {
    /// Holder and renew time, and when this process first saw these two.
    last: Option<(Option<String>, Option<Timestamp>, Instant)>,
    /// The holder that was logged last.
    logged: Option<String>,
}

impl Seen {
    /// Whether `me` may acquire the Lease at `now`: it has no holder, it is ours already, or its holder has not renewed
    /// it for as long as it asked for.
    fn may_acquire(&mut self, spec: &LeaseSpec, me: &str, duration: Duration, now: Instant) -> bool {
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

    /// The holder, if it differs from the one logged last.
    fn new_holder(&mut self, spec: &LeaseSpec) -> Option<String> {
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
        let is_new = holder != self.logged;
        self.logged.clone_from(&holder);
        holder.filter(|_| is_new)
    }
}

#[cfg(test)]
#[path = "leader_tests.rs"]
mod tests;
