//! The reflector caches, and the snapshots taken from them.
//!
//! Watches only: no lists in steady state. Every change that concerns a StellarNode completes [`Caches::changed`]; our
//! own status writes do not. `trim` decides which fields the caches keep.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Resource};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::assemble::{Objects, SpecHashes};
use super::list_in_parts;
use super::namespaces::Namespaces;
use super::trim::Cached as _;
use super::watches::Watches;
use super::witness::Witness;
use crate::admission::context::Context;
use crate::controller::exclusivity::shared_keys::{self, SharedKey};
use crate::controller::model::scope::{Scope, ScopePart};
use crate::controller::model::snapshot::Snapshot;
use crate::crd::{GuardedNode, NodeType, StellarNode};
use crate::kubernetes::api::{ApiError, PART};
use crate::labels;
use crate::peers::NodeId;

/// Page size for ConfigMaps with their data, which are few but may be large; [`PART`] for other kinds.
const LISTS_PAGE: u32 = 4;

/// The Events of the StatefulSet controller about a pod that it could not create (`recordPodEvent` in
/// `pkg/controller/statefulset/stateful_pod_control.go`).
const REFUSALS: &str = "involvedObject.kind=StatefulSet,reason=FailedCreate";

/// How often [`wait_for_stores`] checks a cache that is still filling.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Kinds that the command `peers` skips if its user may not list them. The operator needs all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionalKind {
    /// The Leases with the slots.
    Slots,
    /// The PodDisruptionBudgets of the groups.
    Budgets,
    /// The Namespaces, whose annotation may pause restarts.
    Namespaces,
    /// The Events in which the StatefulSet controller says that the API server refuses a pod.
    Refusals,
}

/// The caches of all watched kinds.
#[derive(Debug)]
pub struct Caches {
    /// The scope of each store of a kind, in this order.
    parts: Vec<ScopePart>,
    nodes: Vec<Store<GuardedNode>>,
    stateful_sets: Vec<Store<StatefulSet>>,
    pods: Vec<Store<Pod>>,
    lists: Vec<Store<ConfigMap>>,
    foreign: Vec<Store<PartialObjectMeta<ConfigMap>>>,
    budgets: Vec<Store<PodDisruptionBudget>>,
    /// They explain and decide nothing: no decision waits for this cache.
    refusals: Vec<Store<Event>>,
    /// The scope of the Leases.
    slots_in: ScopePart,
    leases: Vec<Store<Lease>>,
    namespaces: Namespaces,
    hashes: Arc<SpecHashes>,
    witness: Witness,
    changed: Arc<Notify>,
    broken: Arc<Notify>,
    // Dropping the caches ends the watches.
    _watches: JoinSet<()>,
}

impl Caches {
    /// Starts the watches. [`Self::wait_until_complete`] waits until every cache is complete.
    pub fn start(client: &Client, scope: &Scope, own_namespace: &str) -> Self {
        Self::start_without(client, scope, own_namespace, &[])
    }

    /// Like [`start`](Self::start), but skips these kinds; their caches stay empty.
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
        let slots_in = ScopePart::namespace(own_namespace);
        let (mut with_budgets, mut with_refusals) = (parts.as_slice(), parts.as_slice());
        let mut with_slots = std::slice::from_ref(&slots_in);
        for skipped in without {
            match skipped {
                OptionalKind::Budgets => with_budgets = &[],
                OptionalKind::Refusals => with_refusals = &[],
                OptionalKind::Slots => with_slots = &[],
                OptionalKind::Namespaces => {}
            }
        }
        let budgets = watches.start_in(client, with_budgets, &nodes, &of_groups);
        let of_refusals = all.clone().fields(REFUSALS);
        let refusals = watches.start_in(client, with_refusals, &nodes, &of_refusals);
        let leases = watches.start_in(client, with_slots, &nodes, &ours);
        let namespaces = match scope {
            _ if without.contains(&OptionalKind::Namespaces) => Namespaces::none(),
            Scope::All => Namespaces::Watched(watches.start(&nodes, watcher(Api::all(client.clone()), all))),
            Scope::Namespaces(names) => Namespaces::Polled(watches.poll_namespaces(client, names)),
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
            refusals,
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

    /// Waits until every cache is complete. No decision is made before.
    pub async fn wait_until_complete(&self) {
        wait_for_stores(&self.nodes).await;
        wait_for_stores(&self.stateful_sets).await;
        wait_for_stores(&self.pods).await;
        wait_for_stores(&self.lists).await;
        wait_for_stores(&self.foreign).await;
        wait_for_stores(&self.budgets).await;
        wait_for_stores(&self.leases).await;
        self.namespaces.wait_until_complete().await;
    }

    /// Waits until the cache that only explains is complete as well. The operator does not wait for it: its roles may
    /// be those of an earlier version.
    pub async fn wait_until_explained(&self) {
        wait_for_stores(&self.refusals).await;
    }

    /// The caches that are still incomplete, in readable form: `pods in namespace team-a`.
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

    /// Waits until a watch ends for good, which only a bug can cause. The caches are useless from then on.
    pub async fn broken(&self) {
        self.broken.notified().await;
    }

    /// Waits for the next change that may affect a decision.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The StellarNode of that name, if it exists and parses.
    pub fn node(&self, id: &NodeId) -> Option<StellarNode> {
        self.guarded(id).and_then(|node| node.0.as_ref().ok().cloned())
    }

    /// The pods in a namespace with the instance label of a StellarNode, current or deleted.
    pub fn pods(&self, namespace: &str) -> Vec<Arc<Pod>> {
        let mut pods = all(&self.pods);
        pods.retain(|pod| pod.metadata.namespace.as_deref() == Some(namespace));
        pods
    }

    /// The validators whose pod reports the same public key as another pod.
    pub fn shared_keys(&self) -> BTreeMap<NodeId, SharedKey> {
        shared_keys::find(&all(&self.nodes), &all(&self.stateful_sets), &all(&self.pods))
    }

    /// The StellarNode of that name, parsed or not.
    pub fn guarded(&self, id: &NodeId) -> Option<Arc<GuardedNode>> {
        let reference = ObjectRef::new(&id.name).within(&id.namespace);
        self.nodes.iter().find_map(|store| store.get(&reference))
    }

    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        self.snapshot_with(all(&self.pods), now)
    }

    /// Takes a snapshot, but lists the pods of these namespaces now: a silent watch does not prove that nothing
    /// changed.
    pub async fn snapshot_now(
        &self,
        client: &Client,
        namespaces: &BTreeSet<&str>,
        now: Timestamp,
    ) -> Result<Snapshot, ApiError> {
        let mut pods = all(&self.pods);
        pods.retain(|pod| {
            let namespace = pod.metadata.namespace.as_deref();
            namespace.is_none_or(|namespace| !namespaces.contains(namespace))
        });
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
            nodes: all(&self.nodes),
            stateful_sets: all(&self.stateful_sets),
            pods,
            lists: all(&self.lists),
            foreign: all(&self.foreign),
            budgets: all(&self.budgets),
            leases: all(&self.leases),
            refusals: all(&self.refusals),
            hashes: Arc::clone(&self.hashes),
        };
        let mut snapshot = objects.snapshot(now);
        snapshot.paused_namespaces = self.namespaces.paused();
        self.witness.update(&mut snapshot.validators, Instant::now());
        snapshot
    }
}

fn all<K>(stores: &[Store<K>]) -> Vec<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    stores.iter().flat_map(Store::state).collect()
}

pub(crate) fn is_complete<K>(store: &Store<K>) -> bool
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    matches!(store.wait_until_ready().now_or_never(), Some(Ok(())))
}

/// Waits until these caches are complete; forever if the watch of one has ended.
///
/// A store wakes only its last waiter (`DelayedInit` of kube-runtime), so each waiter polls.
pub(crate) async fn wait_for_stores<K>(stores: &[Store<K>])
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    for store in stores {
        loop {
            match tokio::time::timeout(POLL_INTERVAL, store.wait_until_ready()).await {
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

    fn each_validator(&self, namespace: &str, visit: &mut dyn FnMut(&StellarNode)) {
        let is_there = |node: &StellarNode| {
            node.spec.node_type == NodeType::Validator && node.metadata.namespace.as_deref() == Some(namespace)
        };
        for node in self.nodes.iter().flat_map(Store::state) {
            if let Some(node) = node.0.as_ref().ok().filter(|node| is_there(node)) {
                visit(node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store;
    use kube::runtime::watcher;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_waiters_go_on_when_a_cache_is_complete() {
        let (reader, mut writer) = store::<ConfigMap>();
        let stores = [reader];
        let fill = async {
            tokio::task::yield_now().await;
            assert!(!is_complete(&stores[0]), "is_complete replaces no waiter");
            writer.apply_watcher_event(&watcher::Event::Init);
            writer.apply_watcher_event(&watcher::Event::InitDone);
        };
        let all = async { tokio::join!(wait_for_stores(&stores), wait_for_stores(&stores), fill) };
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, all).await.is_ok());
    }
}
