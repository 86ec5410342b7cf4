//! Which replica does the leader's work: discovery, the StellarNode controller, the upkeep of the certificate.
//!
//! A Lease, held as client-go's `tools/leaderelection` holds it. It only spares work: what must never happen twice is
//! kept from happening twice by the preconditions of each write, also while two replicas believe that they lead.
//!
//! Our own code because the crate that fits our version of kube (kube-lease-manager 0.13) compares the times in the Lease
//! with this machine's clock, and takes a Lease over without a precondition: a clock that jumps would depose a leader.
//! Here nobody's clock is believed. A Lease is taken from its holder only after *this* process has seen it unchanged
//! for its whole duration, and a holder stops its work before that can be.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{debug, error, info, warn};

use crate::api::{ApiError, deadline};
use crate::durations::lease_duration;
use crate::{clock, labels, metrics};

/// Arguments of the election.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Replicas")]
pub struct LeaderConfig {
    /// How long another replica waits before it takes over from a leader that is not heard of any more; in whole seconds
    #[arg(long, env = "LEASE_DURATION", default_value = "15s", value_parser = lease_duration)]
    pub lease_duration: Duration,
    /// What this replica calls itself; one name for each replica. Its pod's name, or one made up at random if absent
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,
}

/// Why a round of the election failed. The next round tries again.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// The API server refused, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Somebody else's Lease has the name.
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
}

impl Election {
    /// The election among the replicas of this namespace.
    pub fn new(client: Client, namespace: &str, config: LeaderConfig) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            identity: config.pod_name.unwrap_or_else(random_name),
            duration: config.lease_duration,
        }
    }

    /// Does `work` whenever this replica leads. Told to `stop`, it drops the work and gives the Lease up, so that another
    /// replica takes over at once.
    pub async fn run<W: Future<Output = ()>>(self, work: impl FnMut() -> W, stop: impl Future<Output = ()>) {
        tokio::select! {
            never = self.campaign(work) => match never {},
            () = stop => {}
        }
        metrics::get().leading(false);
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
                    metrics::get().leading(true);
                    tokio::select! {
                        () = work() => error!("the leader's work ended; it is begun anew"),
                        () = self.hold(since) => warn!("the lead is lost; the work stops until it is regained"),
                    }
                    metrics::get().leading(false);
                }
                Ok(None) => failing = false,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    // One line for each change of state.
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

    /// Takes the Lease if it is there to be taken; tells since when it is held.
    async fn stand(&self, seen: &mut Seen) -> Result<Option<Instant>, LeaderError> {
        // Held since it was asked for at the latest, seen when the answer came: neither of two replicas believes too long.
        let asked = Instant::now();
        let Some(lease) = deadline(self.leases.get_opt(labels::LEADER_LEASE)).await? else {
            let created = deadline(self.leases.create(&created(), &self.first_lease())).await;
            return won(created.map(|_| asked));
        };
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

    /// Renews the Lease; ends when it is lost, or could not be renewed for so long that it may be.
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
            // One that hangs, such as with an API server that has gone, must not use up the time in which another would do.
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

    /// Writes a new time; tells whether we still hold the Lease. `version` is that of our last write, if it is known.
    async fn renew(&self, version: &mut Option<String>) -> Result<bool, LeaderError> {
        if version.is_none() {
            let lease = deadline(self.leases.get(labels::LEADER_LEASE)).await?;
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
        *version = renewed.metadata.resource_version;
        Ok(true)
    }

    /// Leaves the Lease to whoever comes first; tells whether it was ours.
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

/// How often a Lease of this duration is renewed, and looked at by the others.
fn pause(duration: Duration) -> Duration {
    duration / 5
}

/// How long a holder goes on working without being able to renew: less than the others wait.
fn patience(duration: Duration) -> Duration {
    duration * 2 / 3
}

fn created() -> PostParams {
    PostParams {
        field_manager: Some(labels::MANAGER_LEADER.to_owned()),
        ..PostParams::default()
    }
}

/// Whoever wrote first has it: a conflict is no failure.
fn won(written: Result<Instant, ApiError>) -> Result<Option<Instant>, LeaderError> {
    match written {
        Ok(since) => Ok(Some(since)),
        Err(error) if error.is_conflict() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Two processes never have the same: of two with one name, both would lead.
fn random_name() -> String {
    let mut bytes = [0; 8];
    // Without random bytes there is no TLS either; the time still tells two processes apart.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        bytes = clock::now().as_millisecond().to_be_bytes();
    }
    format!("{}-{:016x}", labels::OPERATOR, u64::from_be_bytes(bytes))
}

/// What this process saw of the Lease, and when.
#[derive(Debug, Default)]
struct Seen {
    /// Holder and time of the last renewal, and when we first saw these two.
    last: Option<(Option<String>, Option<Timestamp>, Instant)>,
    /// The holder that was last spoken of.
    told: Option<String>,
}

impl Seen {
    /// Whether `me` may take the Lease as it is `now`: nobody holds it, it is ours already, or its holder has not been
    /// heard of for as long as it asked for.
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

    /// The holder, if it is not the one that was last spoken of.
    fn news(&mut self, spec: &LeaseSpec) -> Option<String> {
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
        let news = holder != self.told;
        self.told.clone_from(&holder);
        holder.filter(|_| news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: Duration = Duration::from_secs(15);

    fn lease(holder: Option<&str>, renewed: i64, seconds: Option<i32>) -> LeaseSpec {
        LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            lease_duration_seconds: seconds,
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_that_nobody_holds_or_that_is_ours_is_taken_at_once() {
        let now = Instant::now();
        for holder in [None, Some(""), Some("me")] {
            assert!(
                Seen::default().stands(&lease(holder, 0, Some(15)), "me", MINE, now),
                "{holder:?}"
            );
        }
        assert!(Seen::default().stands(&LeaseSpec::default(), "me", MINE, now));
    }

    #[test]
    fn a_holder_is_deposed_only_after_we_saw_nothing_of_it_for_as_long_as_it_asked_for() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut seen = Seen::default();
        // However old its time is by our clock: clocks differ.
        assert!(!seen.stands(&lease(Some("other"), 0, Some(10)), "me", MINE, start));
        assert!(!seen.stands(&lease(Some("other"), 0, Some(10)), "me", MINE, after(9)));
        // A renewal, though its time goes backwards.
        assert!(!seen.stands(&lease(Some("other"), -5, Some(10)), "me", MINE, after(11)));
        assert!(!seen.stands(&lease(Some("other"), -5, Some(10)), "me", MINE, after(20)));
        assert!(seen.stands(&lease(Some("other"), -5, Some(10)), "me", MINE, after(21)));
        // Another holder is another wait.
        assert!(!seen.stands(&lease(Some("third"), -5, Some(10)), "me", MINE, after(22)));
    }

    #[test]
    fn a_holder_that_asked_for_nothing_sensible_is_given_our_own_duration() {
        let start = Instant::now();
        for seconds in [None, Some(-1)] {
            let mut seen = Seen::default();
            let spec = lease(Some("other"), 0, seconds);
            assert!(!seen.stands(&spec, "me", MINE, start));
            assert!(!seen.stands(&spec, "me", MINE, start + Duration::from_secs(14)));
            assert!(seen.stands(&spec, "me", MINE, start + MINE), "{seconds:?}");
        }
    }

    #[test]
    fn another_leader_is_spoken_of_once() {
        let mut seen = Seen::default();
        assert_eq!(seen.news(&lease(Some("other"), 0, None)).as_deref(), Some("other"));
        assert_eq!(seen.news(&lease(Some("other"), 1, None)), None);
        assert_eq!(seen.news(&lease(None, 1, None)), None);
        assert_eq!(seen.news(&lease(Some("other"), 2, None)).as_deref(), Some("other"));
    }

    #[test]
    fn a_holder_stops_before_it_can_be_deposed() {
        for seconds in [1, 15, 3600] {
            let duration = Duration::from_secs(seconds);
            // It may fail three times to renew, and others look no later than a pause after it stopped.
            assert!(pause(duration) * 3 < patience(duration));
            assert!(patience(duration) + pause(duration) < duration);
        }
    }

    /// An API server that knows one Lease, ours, and never answers the renewals of these numbers.
    fn silent_at(silent: &'static [usize]) -> Election {
        let mut renewals = 0;
        let service = tower::service_fn(move |request: axum::http::Request<kube::client::Body>| {
            let is_renewal = request.method() == axum::http::Method::PATCH;
            renewals += usize::from(is_renewal);
            let answers = !(is_renewal && silent.contains(&renewals));
            async move {
                if !answers {
                    std::future::pending::<()>().await;
                }
                let lease = json!({ "metadata": { "resourceVersion": "1" }, "spec": { "holderIdentity": "me" } });
                let body = kube::client::Body::from(lease.to_string().into_bytes());
                Ok::<_, tower::BoxError>(axum::http::Response::new(body))
            }
        });
        let config = LeaderConfig {
            lease_duration: MINE,
            pod_name: Some("me".to_owned()),
        };
        Election::new(Client::new(service, "stellar"), "stellar", config)
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_hangs_costs_no_lead_and_silence_does() {
        let hour = Duration::from_secs(3600);
        let held = async |silent| {
            let start = Instant::now();
            let election = silent_at(silent);
            let _ = tokio::time::timeout(hour, election.hold(start)).await;
            start.elapsed()
        };
        assert!(held(&[3, 7]).await >= hour);
        let longest = Duration::from_secs(6) + patience(MINE);
        let until_lost = held(&[3, 4, 5, 6, 7, 8, 9]).await;
        assert!(
            until_lost > Duration::from_secs(6) && until_lost <= longest,
            "{until_lost:?}"
        );
    }
}
