//! The watches that fill the caches: each wakes whoever waits where an event can change a decision, and tells of an
//! outage once.

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

use super::caches::complete;
use super::namespaces::ask_for_namespaces;
use super::trim::Cached;
use crate::controller::model::scope::ScopePart;
use crate::crd::GuardedNode;
use crate::labels;
use crate::util::survive::survive;

/// The watches while they are being started.
pub(crate) struct Watches {
    pub(crate) changed: Arc<Notify>,
    pub(crate) broken: Arc<Notify>,
    pub(crate) tasks: JoinSet<()>,
}

impl Watches {
    /// Asks for these namespaces again and again: which of them pause restarts.
    pub(crate) fn ask(
        &mut self,
        client: &Client,
        names: &BTreeSet<String>,
    ) -> watch::Receiver<Option<BTreeSet<String>>> {
        let (told, paused) = watch::channel(None);
        let names = names.iter().cloned().collect();
        let asking = ask_for_namespaces(Api::all(client.clone()), names, told, Arc::clone(&self.changed));
        self.spawn("Namespace", asking);
        paused
    }

    /// A watch of one kind in each of these parts, whose events matter where they concern one of these nodes.
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
            .map(|part| self.start(nodes, watcher(part.api(client), config.clone())))
            .collect()
    }

    /// A watch whose events matter where they concern one of these nodes.
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
                complete(&known).await;
            }
            let trimmed = move |event: watcher::Result<Event<K>>| event.map(|event| trimmed(event, &known));
            events.default_backoff().map(trimmed)
        };
        let events = events.flatten_stream().reflect(writer);
        let watch_of = kind.clone();
        let events = events.for_each(move |event| {
            match event {
                Ok(event) if seen.is_news(&event, &nodes) => changed.notify_one(),
                Ok(_) => {}
                Err(error) => outage.tell(&watch_of, &error),
            }
            ready(())
        });
        self.spawn(&kind, events);
        reader
    }

    /// A cache without its watch would be out of date for ever, and nobody would know.
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
        object.trim_beside(nodes);
    }
    event
}

/// What each StellarNode was but for its status, by uid.
#[derive(Debug, Default)]
struct Seen(HashMap<String, u64>);

impl Seen {
    /// Whether an event can change a decision. A StellarNode whose status alone changed cannot: we wrote that
    /// ourselves.
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

/// When a watch last broke off.
#[derive(Debug, Default)]
struct Outage(Option<Instant>);

impl Outage {
    /// Attempts are less than this apart.
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);

    /// Says so, once for each outage. Which version to go on from is sometimes not known any more; that is no fault.
    fn tell(&mut self, kind: &str, error: &watcher::Error) {
        let expired = matches!(error, watcher::Error::WatchError(status) if status.code == 410);
        if self.is_news(Instant::now()) && !expired {
            tracing::error!(kind, %error, "a watch broke off; it is tried again, and nothing is removed meanwhile");
        } else {
            tracing::debug!(kind, %error, "a watch broke off");
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
    async fn a_watch_that_panics_is_not_silent() {
        let mut watches = watches();
        let panics = stream::once(ready(())).map(|()| -> watcher::Result<Event<ConfigMap>> { panic!("a defect") });
        watches.start(&[], panics);
        watches.broken.notified().await;
    }

    #[tokio::test]
    async fn a_watch_that_goes_on_is_well() {
        let mut watches = watches();
        let events = stream::iter([Ok(Event::<ConfigMap>::Init), Ok(Event::InitDone)]).chain(stream::pending());
        let store = watches.start(&[], events);
        watches.changed.notified().await;
        store.wait_until_ready().await.unwrap();
        let broken = tokio::time::timeout(Duration::from_millis(10), watches.broken.notified());
        assert!(broken.await.is_err());
    }

    #[test]
    fn an_outage_is_news_once() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        let news = [0, 1, 31, 90, 151].map(|second| outage.is_news(start + Duration::from_secs(second)));
        assert_eq!(news, [true, false, false, false, true]);
    }
}
