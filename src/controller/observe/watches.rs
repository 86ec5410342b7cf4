//! The watches that fill the caches. Each triggers a decision when an event can change it, and logs an outage once.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::future::ready;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt as _, Stream, StreamExt as _};
use kube::core::NamespaceResourceScope;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{Store, store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::api_of;
use super::caches::wait_for_stores;
use super::namespaces::poll_namespaces;
use super::trim::Cached;
use crate::controller::model::scope::ScopePart;
use crate::crd::GuardedNode;
use crate::labels;
use crate::util::survive::survive;

/// Collects the watches while they are started.
pub(crate) struct Watches {
    pub(crate) changed: Arc<Notify>,
    pub(crate) broken: Arc<Notify>,
    pub(crate) tasks: JoinSet<()>,
}

impl Watches {
    /// Starts polling these namespaces for the annotation that pauses restarts.
    pub(crate) fn poll_namespaces(
        &mut self,
        client: &Client,
        names: &BTreeSet<String>,
    ) -> watch::Receiver<Option<BTreeSet<String>>> {
        let (sender, paused) = watch::channel(None);
        let names = names.iter().cloned().collect();
        let polling = poll_namespaces(Api::all(client.clone()), names, sender, Arc::clone(&self.changed));
        self.spawn("Namespace", polling);
        paused
    }

    /// Starts a watch of one kind in each of these parts. Its events count if they concern one of these nodes.
    pub(crate) fn start_in<K>(
        &mut self,
        client: &Client,
        parts: &[ScopePart],
        nodes: &[Store<GuardedNode>],
        config: &watcher::Config,
    ) -> Vec<Store<K>>
    where
        K: Cached + Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let parts = parts.iter();
        parts
            .map(|part| self.start(nodes, watcher(api_of(part, client), config.clone())))
            .collect()
    }

    /// Starts a watch. Its events count if they concern one of these nodes.
    pub(crate) fn start<K>(
        &mut self,
        nodes: &[Store<GuardedNode>],
        events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    ) -> Store<K>
    where
        K: Cached + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (reader, writer) = store::<K>();
        let changed = Arc::clone(&self.changed);
        let nodes = nodes.to_vec();
        let kind = K::kind(&()).into_owned();
        let (mut seen, mut outage) = (Seen::default(), Outage::default());
        let known = nodes.clone();
        let events = async move {
            if K::AFTER_NODES {
                wait_for_stores(&known).await;
            }
            let trimmed = move |event: watcher::Result<Event<K>>| event.map(|event| trimmed(event, &known));
            events.default_backoff().map(trimmed)
        };
        let events = events.flatten_stream().reflect(writer);
        let watched_kind = kind.clone();
        let events = events.for_each(move |event| {
            match event {
                Ok(event) if seen.is_news(&event, &nodes) => changed.notify_one(),
                Ok(_) => {}
                Err(error) => outage.log(&watched_kind, &error),
            }
            ready(())
        });
        self.spawn(&kind, events);
        reader
    }

    /// Spawns a task and reports its end: a cache without its watch would stay outdated silently.
    fn spawn(&mut self, kind: &str, task: impl Future<Output = ()> + Send + 'static) {
        let broken = Arc::clone(&self.broken);
        let kind = kind.to_owned();
        self.tasks.spawn(async move {
            let ended = survive(task).await;
            tracing::error!(kind, panicked = ended.is_none(), "a watch ended for good");
            broken.notify_one();
        });
    }
}

fn trimmed<K: Cached>(mut event: Event<K>, nodes: &[Store<GuardedNode>]) -> Event<K> {
    if let Event::Apply(object) | Event::InitApply(object) = &mut event {
        object.trim_for_nodes(nodes);
    }
    event
}

/// A digest of each StellarNode without its status, by uid.
#[derive(Debug, Default)]
struct Seen(HashMap<String, u64>);

impl Seen {
    /// Whether an event can change a decision. A change of a StellarNode's status alone cannot: the operator wrote it.
    fn is_news<K: Cached>(&mut self, event: &Event<K>, nodes: &[Store<GuardedNode>]) -> bool {
        let object = match event {
            Event::Apply(object) => object,
            Event::Delete(object) => {
                self.0.remove(object.meta().uid.as_deref().unwrap_or_default());
                return object.concerns(nodes);
            }
            Event::Init | Event::InitApply(_) => return false,
            Event::InitDone => return true,
        };
        if K::kind(&()) != labels::KIND {
            return object.concerns(nodes);
        }
        let metadata = object.meta();
        let mut hasher = DefaultHasher::new();
        (
            metadata.generation,
            &metadata.labels,
            &metadata.annotations,
            metadata.deletion_timestamp.is_some(),
        )
            .hash(&mut hasher);
        let digest = hasher.finish();
        self.0.insert(metadata.uid.clone().unwrap_or_default(), digest) != Some(digest)
    }
}

/// When a watch last failed.
#[derive(Debug, Default)]
struct Outage(Option<Instant>);

impl Outage {
    /// Longest pause between two attempts of one outage.
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);

    /// Logs the first failure of an outage as an error. An expired version (410) is normal and only logged for
    /// debugging.
    fn log(&mut self, kind: &str, error: &watcher::Error) {
        let expired = matches!(error, watcher::Error::WatchError(status) if status.code == 410);
        if self.is_news(Instant::now()) && !expired {
            tracing::error!(kind, %error, "a watch failed; retrying, and the cache keeps its objects meanwhile");
        } else {
            tracing::debug!(kind, %error, "a watch failed; retrying");
        }
    }

    fn is_news(&mut self, now: Instant) -> bool {
        let before = self.0.replace(now);
        before.is_none_or(|before| now.duration_since(before) > Self::LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn watches() -> Watches {
        Watches {
            changed: Arc::default(),
            broken: Arc::default(),
            tasks: JoinSet::new(),
        }
    }

    #[tokio::test]
    async fn a_watch_that_panics_breaks_the_caches() {
        let mut watches = watches();
        let panics = stream::once(ready(())).map(|()| -> watcher::Result<Event<ConfigMap>> { panic!("a defect") });
        watches.start(&[], panics);
        watches.broken.notified().await;
    }

    #[tokio::test]
    async fn a_watch_that_goes_on_keeps_the_caches() {
        let mut watches = watches();
        let events = stream::iter([Ok(Event::<ConfigMap>::Init), Ok(Event::InitDone)]).chain(stream::pending());
        let store = watches.start(&[], events);
        watches.changed.notified().await;
        store.wait_until_ready().await.unwrap();
        let broken = tokio::time::timeout(Duration::from_millis(10), watches.broken.notified());
        assert!(broken.await.is_err());
    }

    #[test]
    fn an_outage_is_logged_once() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        let news = [0, 1, 31, 90, 151].map(|second| outage.is_news(start + Duration::from_secs(second)));
        assert_eq!(news, [true, false, false, false, true]);
    }
}
