//! The reflector caches, and the snapshots that are taken of them.
//!
//! Watches only: nothing is listed in steady state. Every change that concerns a StellarNode wakes whoever waits on
//! [`Caches::changed`]; our own status writes wake nobody. What is kept of an object is said in `trim`.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Debug};
use std::future::{pending, ready};
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt as _, Stream, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::objects::{GuardedNode, Objects, SpecHashes};
use super::paused::{Namespaces, ask_for_namespaces};
use super::snapshot::Snapshot;
use super::survive;
use super::trim::Cached;
use crate::admission::context::Context;
use crate::crd::{NodeType, StellarNode};
use crate::labels;
use crate::peers::NodeId;

/// Which namespaces are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// These; a set, since each of them is watched once.
    Namespaces(BTreeSet<String>),
}

/// What one watch can look at: all namespaces, or one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopePart(Option<String>);

impl Scope {
    /// The whole cluster as one part, or each namespace.
    pub fn parts(&self) -> Vec<ScopePart> {
        match self {
            Self::All => vec![ScopePart(None)],
            Self::Namespaces(names) => names.iter().map(|name| ScopePart(Some(name.clone()))).collect(),
        }
    }
}

impl fmt::Display for ScopePart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => formatter.write_str("in all namespaces"),
            Some(namespace) => write!(formatter, "in namespace {namespace}"),
        }
    }
}

impl ScopePart {
    /// The API of one kind in this part.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match &self.0 {
            None => Api::all(client.clone()),
            Some(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// Kinds that `peers` does without where its user may not list them. The operator needs all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// The Leases of the turns.
    Turns,
    /// The PodDisruptionBudgets of the groups.
    Budgets,
    /// The Namespaces, which may pause restarts.
    Namespaces,
}

/// What is watched.
#[derive(Debug)]
pub struct Caches {
    /// What each store of a kind looks at, in this order.
    parts: Vec<ScopePart>,
    nodes: Vec<Store<GuardedNode>>,
    stateful_sets: Vec<Store<StatefulSet>>,
    pods: Vec<Store<Pod>>,
    lists: Vec<Store<ConfigMap>>,
    foreign: Vec<Store<PartialObjectMeta<ConfigMap>>>,
    budgets: Vec<Store<PodDisruptionBudget>>,
    leases: Vec<Store<Lease>>,
    namespaces: Namespaces,
    hashes: Arc<SpecHashes>,
    changed: Arc<Notify>,
    broken: Arc<Notify>,
    // Ends the watches with the caches.
    _watches: JoinSet<()>,
}

impl Caches {
    /// Starts the watches; [`Self::wait_until_complete`] tells when every cache is complete.
    pub fn start(client: &Client, scope: &Scope, own_namespace: &str) -> Self {
        Self::start_without(client, scope, own_namespace, &[])
    }

    /// As [`start`](Self::start), without watching these kinds: they count as absent.
    pub fn start_without(client: &Client, scope: &Scope, own_namespace: &str, without: &[Beside]) -> Self {
        let mut watches = Watches {
            changed: Arc::default(),
            broken: Arc::default(),
            tasks: JoinSet::new(),
        };
        let all = watcher::Config::default();
        let of_nodes = all.clone().labels(labels::INSTANCE);
        let ours = all.clone().labels(labels::LISTS_AND_TURNS);
        let of_groups = all.clone().labels(labels::BUDGETS);
        let parts = scope.parts();
        let nodes = watches.start_in(client, &parts, &[], &all);
        let stateful_sets = watches.start_in(client, &parts, &nodes, &of_nodes);
        let pods = watches.start_in(client, &parts, &nodes, &of_nodes);
        let lists = watches.start_in(client, &parts, &nodes, &ours);
        let foreign = watches.start_in(client, &parts, &nodes, &all);
        let with_budgets = if without.contains(&Beside::Budgets) {
            &[]
        } else {
            parts.as_slice()
        };
        let budgets = watches.start_in(client, with_budgets, &nodes, &of_groups);
        let turns_in = ScopePart(Some(own_namespace.to_owned()));
        let with_turns = if without.contains(&Beside::Turns) {
            &[]
        } else {
            std::slice::from_ref(&turns_in)
        };
        let leases = watches.start_in(client, with_turns, &nodes, &ours);
        let namespaces = match scope {
            _ if without.contains(&Beside::Namespaces) => Namespaces::none(),
            Scope::All => Namespaces::Watched(watches.start(&nodes, watcher(Api::all(client.clone()), all))),
            Scope::Namespaces(names) => Namespaces::Asked(watches.ask(client, names)),
        };
        let Watches { changed, broken, tasks } = watches;
        Self {
            parts,
            nodes,
            stateful_sets,
            pods,
            lists,
            foreign,
            budgets,
            leases,
            namespaces,
            hashes: Arc::default(),
            changed,
            broken,
            _watches: tasks,
        }
    }

    /// Waits until every cache holds all there is. Nothing is decided before.
    pub async fn wait_until_complete(&self) {
        complete(&self.nodes).await;
        complete(&self.stateful_sets).await;
        complete(&self.pods).await;
        complete(&self.lists).await;
        complete(&self.foreign).await;
        complete(&self.budgets).await;
        complete(&self.leases).await;
        self.namespaces.wait_until_complete().await;
    }

    /// Which caches do not hold all there is yet, as a person reads it: `pods in namespace team-a`.
    pub fn incomplete(&self) -> Vec<String> {
        fn of<K>(kind: &str, stores: &[Store<K>], parts: &[ScopePart]) -> Vec<String>
        where
            K: Resource<DynamicType = ()> + Clone + 'static,
        {
            let is_incomplete = |store: &Store<K>| !matches!(store.wait_until_ready().now_or_never(), Some(Ok(())));
            let both = stores.iter().zip(parts).filter(|(store, _)| is_incomplete(store));
            both.map(|(_, part)| format!("{kind} {part}")).collect()
        }
        let parts = &self.parts;
        let mut all = of("stellarnodes", &self.nodes, parts);
        all.extend(of("statefulsets", &self.stateful_sets, parts));
        all.extend(of("pods", &self.pods, parts));
        all.extend(of("configmaps", &self.lists, parts));
        all.extend(of("poddisruptionbudgets", &self.budgets, parts));
        all.extend(self.namespaces.incomplete());
        all
    }

    /// Waits for a watch to end for good, which only a defect can bring about. The caches are of no use any more.
    pub async fn broken(&self) {
        self.broken.notified().await;
    }

    /// Waits for the next change of anything that decisions depend on.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The StellarNode of that name, if it is there and parses.
    pub fn node(&self, id: &NodeId) -> Option<StellarNode> {
        self.guarded(id).and_then(|node| node.0.as_ref().ok().cloned())
    }

    /// The pods of a namespace that belong to some StellarNode, or did.
    pub fn pods(&self, namespace: &str) -> Vec<Arc<Pod>> {
        let all = self.pods.iter().flat_map(Store::state);
        all.filter(|pod| pod.metadata.namespace.as_deref() == Some(namespace))
            .collect()
    }

    /// The StellarNode of that name, whether or not it parses.
    pub fn guarded(&self, id: &NodeId) -> Option<Arc<GuardedNode>> {
        let reference = ObjectRef::new(&id.name).within(&id.namespace);
        self.nodes.iter().find_map(|store| store.get(&reference))
    }

    fn guarded_nodes(&self) -> impl Iterator<Item = Arc<GuardedNode>> {
        self.nodes.iter().flat_map(Store::state)
    }

    /// What the API server holds, as far as the watches have told.
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let objects = Objects {
            nodes: self.guarded_nodes().collect(),
            stateful_sets: self.stateful_sets.iter().flat_map(Store::state).collect(),
            pods: self.pods.iter().flat_map(Store::state).collect(),
            lists: self.lists.iter().flat_map(Store::state).collect(),
            foreign: self.foreign.iter().flat_map(Store::state).collect(),
            budgets: self.budgets.iter().flat_map(Store::state).collect(),
            leases: self.leases.iter().flat_map(Store::state).collect(),
            hashes: Arc::clone(&self.hashes),
        };
        Snapshot {
            paused_namespaces: self.namespaces.paused(),
            ..objects.snapshot(now)
        }
    }
}

/// Waits until these caches hold all there is; for ever where the watch of one has ended, for that one never will.
pub(super) async fn complete<K>(stores: &[Store<K>])
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    for store in stores {
        if store.wait_until_ready().await.is_err() {
            pending::<()>().await;
        }
    }
}

impl Context for Caches {
    fn node(&self, namespace: &str, name: &str) -> Option<StellarNode> {
        Self::node(self, &NodeId::new(namespace, name))
    }

    fn validators(&self, namespace: &str) -> Vec<StellarNode> {
        let is_there = |node: &StellarNode| {
            node.spec.node_type == NodeType::Validator && node.metadata.namespace.as_deref() == Some(namespace)
        };
        self.guarded_nodes()
            .filter_map(|node| node.0.as_ref().ok().filter(|node| is_there(node)).cloned())
            .collect()
    }
}

/// The watches while they are being started.
struct Watches {
    changed: Arc<Notify>,
    broken: Arc<Notify>,
    tasks: JoinSet<()>,
}

impl Watches {
    fn ask(&mut self, client: &Client, names: &BTreeSet<String>) -> watch::Receiver<Option<BTreeSet<String>>> {
        let (told, paused) = watch::channel(None);
        let names = names.iter().cloned().collect();
        let asking = ask_for_namespaces(Api::all(client.clone()), names, told, Arc::clone(&self.changed));
        self.spawn("Namespace", asking);
        paused
    }

    /// A watch of one kind in each of these parts, whose events matter where they concern one of these nodes.
    fn start_in<K>(
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
    fn start<K>(
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
        let events = events.default_backoff().map(|event| event.map(trimmed)).reflect(writer);
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

fn trimmed<K: Cached>(mut event: Event<K>) -> Event<K> {
    if let Event::Apply(object) | Event::InitApply(object) = &mut event {
        object.trim();
    }
    event
}

/// What each StellarNode was but for its status, by uid.
#[derive(Debug, Default)]
struct Seen(HashMap<String, u64>);

impl Seen {
    /// Whether an event can change a decision. A StellarNode whose status alone changed cannot: we wrote that ourselves.
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
