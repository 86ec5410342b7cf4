//! Measures how long the ConfigMap takes to follow pods that return with new addresses, one by one.
//!
//! Watches in one process of the test give both times.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use stellar_k8s::labels;
use test_kit::{TestEnv, Validators, wait_for};
use tokio::task::JoinHandle;

/// Time limit for one change.
const PATIENCE: Duration = Duration::from_secs(60);

/// The observations of one change.
#[derive(Clone, Debug, Default)]
struct Change {
    pod: String,
    /// The deleted pod.
    old: String,
    /// The new address and when it was seen.
    address: Option<(String, Instant)>,
    listed: Option<Instant>,
}

/// The durations of the changes.
#[derive(Debug)]
pub(crate) struct Changes(Vec<Duration>);

impl Changes {
    /// Deletes `count` pods of the validators one by one, repeatedly if there are fewer validators.
    pub(crate) async fn of_addresses(env: &TestEnv, validators: usize, count: usize) -> Self {
        let present: Arc<Mutex<Change>> = Arc::default();
        let client = env.cluster().client().await;
        let watches = [
            watch_pods(Api::namespaced(client.clone(), env.namespace()), Arc::clone(&present)),
            watch_list(Api::namespaced(client, env.namespace()), Arc::clone(&present)),
        ];
        let mut times = Vec::new();
        for number in 0..count {
            let pod = format!("{}-0", Validators::name(number % validators + 1));
            let old = env.get(&format!("pod/{pod}")).expect("a pod");
            *present.lock().expect("the lock is not poisoned") = Change {
                old: old["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
                pod: pod.clone(),
                ..Change::default()
            };
            env.kubectl(&["delete", &format!("pod/{pod}"), "--wait=false"])
                .ok("delete");
            let took = wait_for("the list to follow the pod", PATIENCE, async || {
                let change = present.lock().expect("the lock is not poisoned").clone();
                let (_, seen) = change.address?;
                Some(change.listed?.saturating_duration_since(seen))
            })
            .await;
            times.push(took);
        }
        watches.iter().for_each(JoinHandle::abort);
        times.sort();
        Self(times)
    }

    /// The percentile of the durations in milliseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)].as_secs_f64() * 1e3
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, most] = [50, 99, 100].map(|percent| self.percentile(percent));
        write!(
            formatter,
            "{} changes, the settle time of 250 ms among it | p50 {p50:.0} ms, p99 {p99:.0} ms, most {most:.0} ms",
            self.0.len()
        )
    }
}

fn watch_pods(pods: Api<Pod>, present: Arc<Mutex<Change>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut events = watcher(pods, watcher::Config::default().labels(labels::INSTANCE)).boxed();
        while let Some(event) = events.next().await {
            let Ok(Event::Apply(pod)) = event else { continue };
            let status = pod.status.as_ref();
            let running = status.is_some_and(|status| status.phase.as_deref() == Some("Running"));
            let Some(ip) = status.and_then(|status| status.pod_ip.clone()).filter(|_| running) else {
                continue;
            };
            let mut change = present.lock().expect("the lock is not poisoned");
            if pod.name_any() == change.pod && pod.uid().as_ref() != Some(&change.old) && change.address.is_none() {
                change.address = Some((format!("{ip}:11625"), Instant::now()));
            }
        }
    })
}

fn watch_list(lists: Api<ConfigMap>, present: Arc<Mutex<Change>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut events = watcher(lists, watcher::Config::default().labels(labels::NETWORK)).boxed();
        while let Some(event) = events.next().await {
            let Ok(Event::Apply(list)) = event else { continue };
            let lines = list.data.as_ref().and_then(|data| data.get(labels::KNOWN_PEERS));
            let mut change = present.lock().expect("the lock is not poisoned");
            let is_listed = change
                .address
                .as_ref()
                .is_some_and(|(address, _)| lines.is_some_and(|lines| lines.lines().any(|line| line == address)));
            if is_listed {
                change.listed.get_or_insert_with(Instant::now);
            }
        }
    })
}
