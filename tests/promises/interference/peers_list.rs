//! Records every version of the list of peers, so that a test can prove that the list never shrank.

use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use stellar_k8s::labels;
use test_kit::TestEnv;
use tokio::task::JoinHandle;

/// Watches the list of a test's namespace.
#[derive(Debug)]
pub(super) struct PeersList {
    sizes: Arc<Mutex<Vec<usize>>>,
    watch: JoinHandle<()>,
}

impl PeersList {
    /// Starts the watch.
    pub(super) async fn watch(env: &TestEnv) -> Self {
        let api: Api<ConfigMap> = Api::namespaced(env.cluster().client().await, env.namespace());
        let name = format!("metadata.name={}", labels::DEFAULT_PEERS_CONFIG_MAP);
        let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
        let noted = Arc::clone(&sizes);
        let watch = tokio::spawn(async move {
            let mut events = watcher(api, watcher::Config::default().fields(&name)).boxed();
            while let Some(event) = events.next().await {
                let size = match event {
                    Ok(Event::Apply(list) | Event::InitApply(list)) => size(&list),
                    Ok(Event::Delete(_)) => 0,
                    Ok(Event::Init | Event::InitDone) => continue,
                    Err(error) => panic!("the watch of the list broke off: {error}"),
                };
                noted.lock().expect("the lock is not poisoned").push(size);
            }
        });
        Self { sizes, watch }
    }

    /// Asserts that the list existed all the time and never had fewer peers than this.
    pub(super) fn assert_at_least(&self, expected: usize) {
        assert!(!self.watch.is_finished(), "the watch of the list broke off");
        let sizes = self.sizes.lock().expect("the lock is not poisoned").clone();
        assert!(!sizes.is_empty(), "there is a list");
        assert!(
            sizes.iter().all(|size| *size >= expected),
            "peers in the list: {sizes:?}"
        );
    }
}

impl Drop for PeersList {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

fn size(list: &ConfigMap) -> usize {
    let lines = list.data.as_ref().and_then(|data| data.get(labels::KNOWN_PEERS));
    lines.map_or(0, |lines| lines.lines().count())
}
