//! The reflector caches, and the snapshots that are taken of them.
//!
//! Watches only: nothing is listed in steady state. Every change that concerns a StellarNode wakes whoever waits on
//! [`Caches::changed`]; our own status writes wake nobody. What is kept of an object is said in `trim`.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::assemble::{Objects, SpecHashes};
use super::namespaces::Namespaces;
use super::trim::Cached as _;
use super::watches::Watches;
use super::witness::Witness;
use crate::admission::context::Context;
use crate::controller::exclusivity::shared_keys::{self, SharedKey};
use crate::controller::model::scope::{Scope, ScopePart};
use crate::controller::model::snapshot::Snapshot;
use crate::crd::{GuardedNode, NodeType, StellarNode};
use crate::kubernetes::api::{ApiError, PART, list_in_parts};
use crate::labels;
use crate::peers::NodeId;

/// Objects of one page of a list of ConfigMaps with their data, which are few; of others see [`PART`].
const LISTS_PAGE: u32 = 4;

/// How often somebody who waits for a cache asks whether it is complete.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Kinds that `peers` does without where its user may not list them. The operator needs all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionalKind {
    /// The Leases of the slots.
    Slots,
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
    /// Where the Leases of the slots are.
    slots_in: ScopePart,
    leases: Vec<Store<Lease>>,
    namespaces: Namespaces,
    hashes: Arc<SpecHashes>,
    witness: Witness,
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
    pub fn start_without(client: &Client, scope: &Scope, own_namespace: &str, without: &[OptionalKind]) -> Self {
        let mut watches = Watches {
            changed: Arc::default(),
            broken: Arc::default(),
            tasks: JoinSet::new(),
        };
        let all = watcher::Config::default().page_size(PART);
        let of_nodes = all.clone().labels(labels::INSTANCE);
        let ours = all.clone().labels(labels::LISTS_AND_SLOTS).page_size(LISTS_PAGE);
        let of_groups = all.clone().labels(labels::BUDGETS);
        let parts = scope.parts();
        let nodes = watches.start_in(client, &parts, &[], &all);
        let stateful_sets = watches.start_in(client, &parts, &nodes, &of_nodes);
        let pods = watches.start_in(client, &parts, &nodes, &of_nodes);
        let lists = watches.start_in(client, &parts, &nodes, &ours);
        let foreign = watches.start_in(client, &parts, &nodes, &all);
        let with_budgets = if without.contains(&OptionalKind::Budgets) {
            &[]
        } else {
            parts.as_slice()
        };
        let budgets = watches.start_in(client, with_budgets, &nodes, &of_groups);
        let slots_in = ScopePart::namespace(own_namespace);
        let with_slots = if without.contains(&OptionalKind::Slots) {
            &[]
        } else {
            std::slice::from_ref(&slots_in)
        };
        let leases = watches.start_in(client, with_slots, &nodes, &ours);
        let namespaces = match scope {
            _ if without.contains(&OptionalKind::Namespaces) => Namespaces::none(),
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
            slots_in,
            leases,
            namespaces,
            hashes: Arc::default(),
            witness: Witness::default(),
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
            let both = stores.iter().zip(parts).filter(|(store, _)| !is_complete(store));
            both.map(|(_, part)| format!("{kind} {part}")).collect()
        }
        let parts = &self.parts;
        let mut all = of("stellarnodes", &self.nodes, parts);
        all.extend(of("statefulsets", &self.stateful_sets, parts));
        all.extend(of("pods", &self.pods, parts));
        all.extend(of("lists among the configmaps", &self.lists, parts));
        all.extend(of("names of the configmaps", &self.foreign, parts));
        all.extend(of("poddisruptionbudgets", &self.budgets, parts));
        all.extend(of("leases", &self.leases, std::slice::from_ref(&self.slots_in)));
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

    /// The validators whose pod reports the public key of another pod.
    pub fn shared_keys(&self) -> BTreeMap<NodeId, SharedKey> {
        fn all<K>(stores: &[Store<K>]) -> Vec<Arc<K>>
        where
            K: Resource<DynamicType = ()> + Clone + 'static,
        {
            stores.iter().flat_map(Store::state).collect()
        }
        shared_keys::find(&all(&self.nodes), &all(&self.stateful_sets), &all(&self.pods))
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
        self.snapshot_with(self.pods.iter().flat_map(Store::state).collect(), now)
    }

    /// The same with the pods of these namespaces as the API server holds them now: a watch that is silent does not say
    /// whether nothing happens.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub async fn snapshot_now(
        &self,
        client: &Client,
        namespaces: &BTreeSet<&str>,
        now: Timestamp,
    ) -> Result<Snapshot, ApiError> {
        let seen = self.pods.iter().flat_map(Store::state);
        let is_asked_for = |pod: &Arc<Pod>| {
            let namespace = pod.metadata.namespace.as_deref();
            namespace.is_some_and(|namespace| namespaces.contains(namespace))
        };
        let mut pods: Vec<Arc<Pod>> = seen.filter(|pod| !is_asked_for(pod)).collect();
        for namespace in namespaces {
            let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
            let of_nodes = ListParams::default().labels(labels::INSTANCE);
            let take = |found: Vec<Pod>| {
                pods.extend(found.into_iter().map(|mut pod| {
                    pod.trim();
                    Arc::new(pod)
                }));
            };
            list_in_parts(&api, of_nodes, take).await?;
        }
        Ok(self.snapshot_with(pods, now))
    }

    fn snapshot_with(&self, pods: Vec<Arc<Pod>>, now: Timestamp) -> Snapshot {
        let objects = Objects {
            nodes: self.guarded_nodes().collect(),
            stateful_sets: self.stateful_sets.iter().flat_map(Store::state).collect(),
            pods,
            lists: self.lists.iter().flat_map(Store::state).collect(),
            foreign: self.foreign.iter().flat_map(Store::state).collect(),
            budgets: self.budgets.iter().flat_map(Store::state).collect(),
            leases: self.leases.iter().flat_map(Store::state).collect(),
            hashes: Arc::clone(&self.hashes),
        };
        let mut snapshot = objects.snapshot(now);
        snapshot.paused_namespaces = self.namespaces.paused();
        self.witness.look(&mut snapshot.validators, Instant::now());
        snapshot
    }
}

/// Whether a cache holds all there is.
pub(crate) fn is_complete<K>(store: &Store<K>) -> bool
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    matches!(store.wait_until_ready().now_or_never(), Some(Ok(())))
}

/// Waits until these caches hold all there is; for ever where the watch of one has ended, for that one never will.
///
/// A store wakes only who asked last (`DelayedInit` of kube-runtime): whoever waits beside others asks again.
pub(crate) async fn complete<K>(stores: &[Store<K>])
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    for store in stores {
        loop {
            match tokio::time::timeout(ASK_AGAIN, store.wait_until_ready()).await {
                Ok(Ok(())) => break,
                Ok(Err(_)) => pending::<()>().await,
                Err(_) => {}
            }
        }
    }
}

impl Context for Caches {
    fn node(&self, namespace: &str, name: &str) -> Option<StellarNode> {
        Self::node(self, &NodeId::new(namespace, name))
    }

    fn each_validator(&self, namespace: &str, tell: &mut dyn FnMut(&StellarNode)) {
        let is_there = |node: &StellarNode| {
            node.spec.node_type == NodeType::Validator && node.metadata.namespace.as_deref() == Some(namespace)
        };
        for node in self.guarded_nodes() {
            if let Some(node) = node.0.as_ref().ok().filter(|node| is_there(node)) {
                tell(node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_for_a_cache_go_on_when_it_is_complete() {
        let (reader, mut writer) = store::<ConfigMap>();
        let stores = [reader];
        let fill = async {
            tokio::task::yield_now().await;
            assert!(
                !is_complete(&stores[0]),
                "whoever only looks takes nobody's slot to be woken"
            );
            writer.apply_watcher_event(&Event::Init);
            writer.apply_watcher_event(&Event::InitDone);
        };
        let all = async { tokio::join!(complete(&stores), complete(&stores), fill) };
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, all).await.is_ok());
    }
}
