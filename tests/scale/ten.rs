//! Ten validators and an eleventh with the shipped waits: the times from its readiness to the list, to the first
//! restart, and to the first validator that has loaded its address.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use stellar_k8s::labels;
use test_kit::{Options, TestEnv, Validators, wait_for};

const PATIENCE: Duration = Duration::from_secs(600);
const NEWCOMER: &str = "validator-11";

/// The times of the steps.
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    ready: Option<Instant>,
    listed: Option<Instant>,
    restarted: Option<Instant>,
    loaded: Option<Instant>,
}

fn is_ready(pod: &Pod) -> bool {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    let core = statuses
        .into_iter()
        .flatten()
        .find(|status| status.name == "stellar-core");
    core.is_some_and(|core| core.ready)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eleventh_joins_ten() {
    // A short wait, so that ten restart within minutes; the first restart does not wait.
    let options = Options::as_shipped().with("--min-ready", "1s");
    let env = TestEnv::start("ten", options).await;
    let validators = Validators::new(11);
    env.apply(&validators.manifests(1..=10));
    let names: Vec<String> = (1..=11).map(Validators::name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    env.settled_within(&names[..10], PATIENCE).await;
    env.all_slots_free_within(PATIENCE).await;

    let steps: Arc<Mutex<Steps>> = Arc::default();
    let client = env.cluster().client().await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), env.namespace());
    let lists: Api<ConfigMap> = Api::namespaced(client, env.namespace());
    let noted = Arc::clone(&steps);
    let of_pods = tokio::spawn(async move {
        let mut restarted = String::new();
        let mut events = watcher(pods, watcher::Config::default().labels(labels::INSTANCE)).boxed();
        while let Some(event) = events.next().await {
            let Ok(Event::Apply(pod)) = event else { continue };
            let mut steps = noted.lock().expect("the lock is not poisoned");
            let name = pod.labels().get(labels::INSTANCE).cloned().unwrap_or_default();
            if name == NEWCOMER {
                if is_ready(&pod) {
                    steps.ready.get_or_insert_with(Instant::now);
                }
            } else if pod.metadata.deletion_timestamp.is_some() {
                if steps.restarted.is_none() {
                    steps.restarted = Some(Instant::now());
                    restarted = name;
                }
            } else if name == restarted && is_ready(&pod) {
                steps.loaded.get_or_insert_with(Instant::now);
            }
        }
    });
    let noted = Arc::clone(&steps);
    let of_lists = tokio::spawn(async move {
        let mut events = watcher(lists, watcher::Config::default().labels(labels::NETWORK)).boxed();
        while let Some(event) = events.next().await {
            let Ok(Event::Apply(list)) = event else { continue };
            let lines = list.data.as_ref().and_then(|data| data.get(labels::KNOWN_PEERS));
            if lines.is_some_and(|lines| lines.lines().count() == 11) {
                let mut steps = noted.lock().expect("the lock is not poisoned");
                steps.listed.get_or_insert_with(Instant::now);
            }
        }
    });
    env.apply(&validators.manifests([11]));
    let [to_list, to_restart, to_end] = wait_for("the first to have loaded the list", PATIENCE, async || {
        let steps = *steps.lock().expect("the lock is not poisoned");
        let ready = steps.ready?;
        Some([
            steps.listed?.saturating_duration_since(ready),
            steps.restarted?.saturating_duration_since(steps.listed?),
            steps.loaded?.saturating_duration_since(ready),
        ])
    })
    .await;
    of_pods.abort();
    of_lists.abort();
    println!("| 10 validators, and an 11th | |\n|---|---|");
    println!("| its readiness to the ConfigMap | {} ms |", to_list.as_millis());
    println!("| ConfigMap to the first restart | {} ms |", to_restart.as_millis());
    println!(
        "| its readiness to the first validator that loaded it | {} ms |",
        to_end.as_millis()
    );
}
