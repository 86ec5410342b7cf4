//! Kubernetes objects → a snapshot: finds the StatefulSet and the pod of each validator.
//!
//! Pure. The objects come from the reflector caches, or from a single list request.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::PartialObjectMeta;
use kube::{Resource as _, ResourceExt};

use super::{blocked, convert};
use crate::controller::exclusivity::Exclusive;
use crate::controller::exclusivity::seeds::{self, Present};
use crate::controller::model::snapshot::{Blocked, ListId, PublishedList, Snapshot, Validator};
use crate::controller::resources;
use crate::crd::{GuardedNode, SeedSource, StellarNode};
use crate::labels;
use crate::peers::NodeId;

/// The input of a snapshot.
#[derive(Debug, Default)]
pub struct Objects {
    /// StellarNodes of any type.
    pub nodes: Vec<Arc<GuardedNode>>,
    /// StatefulSets that carry the instance label.
    pub stateful_sets: Vec<Arc<StatefulSet>>,
    /// Pods that carry the instance label.
    pub pods: Vec<Arc<Pod>>,
    /// ConfigMaps with our label and the network label.
    pub lists: Vec<Arc<ConfigMap>>,
    pub foreign: Vec<Arc<PartialObjectMeta<ConfigMap>>>,
    /// PodDisruptionBudgets with our label and the group label.
    pub budgets: Vec<Arc<PodDisruptionBudget>>,
    /// Leases with our label in the operator's namespace.
    pub leases: Vec<Arc<Lease>>,
    /// The Events about pods that the API server refused.
    pub refusals: Vec<Arc<Event>>,
    /// The spec hashes of earlier snapshots.
    pub hashes: Arc<SpecHashes>,
}

/// Caches the hash of each spec until its generation changes: hashing costs more than the rest of a snapshot.
#[derive(Debug, Default)]
pub struct SpecHashes(Mutex<HashMap<String, (i64, String)>>);

impl SpecHashes {
    /// The hash of this node's spec, from the cache where possible.
    fn get(&self, node: &StellarNode) -> String {
        let hash = || resources::spec_hash(&node.spec);
        let (Some(uid), Some(generation)) = (node.uid(), node.metadata.generation) else {
            return hash();
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known.entry(uid).or_insert_with(|| (generation, hash()));
        if entry.0 != generation {
            *entry = (generation, hash());
        }
        entry.1.clone()
    }

    /// Removes nodes that no longer exist.
    fn retain(&self, nodes: &[Arc<GuardedNode>]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > nodes.len() {
            let present: BTreeSet<&str> = nodes
                .iter()
                .filter_map(|node| node.0.as_ref().ok()?.metadata.uid.as_deref())
                .collect();
            known.retain(|uid, _| present.contains(uid.as_str()));
        }
    }
}

impl Objects {
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let workloads = by_instance(&self.stateful_sets);
        let pods = by_instance(&self.pods);
        let seeds = seeds::by_seed(&self.stateful_sets, &self.pods);
        let refusals = self.refusals();
        let mut validators = Vec::new();
        let mut unreadable = BTreeSet::new();
        for guarded in &self.nodes {
            let node = match &guarded.0 {
                Ok(node) => node,
                Err(invalid) => {
                    let metadata = invalid.metadata.clone();
                    unreadable.insert(NodeId::new(
                        metadata.namespace.unwrap_or_default(),
                        metadata.name.unwrap_or_default(),
                    ));
                    continue;
                }
            };
            let key = (node.namespace().unwrap_or_default(), node.name_any());
            let workload = workloads.get(&key).and_then(|found| best_workload(found, &key.1));
            let pod = pods
                .get(&key)
                .and_then(|found| best_pod(found, workload.as_deref(), &key.1));
            let hash = self.hashes.get(node);
            let mut validator = convert::validator(node, hash, workload.as_deref(), pod.as_deref());
            if let (Some(found), Some(object)) = (
                validator.as_mut().and_then(|validator| validator.workload.as_mut()),
                &workload,
            ) {
                let uid = object.metadata.uid.as_deref().unwrap_or_default();
                found.refused = refusals.get(uid).cloned();
            }
            validators.extend(validator.map(|validator| Validator {
                seed_held_by: self.seed_holder(node, workload.as_deref(), pod.as_deref(), &seeds),
                ..validator
            }));
        }
        self.hashes.retain(&self.nodes);
        let lists = self.published(&validators.iter().map(|validator| &validator.list).collect());
        let slots = self
            .leases
            .iter()
            .filter_map(|lease| Some((lease.labels().get(labels::NETWORK)?.clone(), convert::slot_lease(lease))));
        Snapshot {
            now,
            slots: slots.collect(),
            validators,
            unreadable,
            lists,
            budgets: self
                .budgets
                .iter()
                .filter_map(|object| Some((list_id(&**object)?, convert::published_budget(object))))
                .collect(),
            paused_namespaces: BTreeSet::new(),
        }
    }

    /// The last refusal of the pod of each StatefulSet, by its uid.
    fn refusals(&self) -> HashMap<&str, (Timestamp, Blocked)> {
        let mut last: HashMap<&str, (Timestamp, Blocked)> = HashMap::new();
        for event in &self.refusals {
            let Some((uid, found)) = event.involved_object.uid.as_deref().zip(blocked::refused(event)) else {
                continue;
            };
            if last.get(uid).is_none_or(|before| before.0 < found.0) {
                last.insert(uid, found);
            }
        }
        last
    }

    /// The object that may run with the seed in this validator's spec; `None` once its own pod or template has that
    /// seed.
    fn seed_holder(
        &self,
        node: &StellarNode,
        workload: Option<&StatefulSet>,
        own: Option<&Pod>,
        seeds: &HashMap<(String, SeedSource), Present>,
    ) -> Option<String> {
        let source = node.spec.validator_config.as_ref()?.seed_source()?;
        let template = workload.and_then(|workload| workload.spec.as_ref()?.template.spec.as_ref());
        let mut own = own.and_then(|pod| pod.spec.as_ref()).into_iter().chain(template);
        if own.any(|pod| seeds::seeds_of(pod).contains(&source)) {
            return None;
        }
        let present = seeds.get(&(node.namespace()?, source))?;
        let holder = present.holder(node, Exclusive::Seed, workload, &self.nodes);
        holder.map(|holder| holder.name().to_owned())
    }

    /// Our lists, and other ConfigMaps that validators refer to. The latter belong to other programs, or were handed
    /// over by the label alone; their data is unknown until we have written them.
    ///
    /// The config ConfigMap of a StellarNode never counts as a list, whatever its labels.
    fn published(&self, referred: &BTreeSet<&ListId>) -> BTreeMap<ListId, PublishedList> {
        let is_config = |id: &ListId| {
            let node = id.name.strip_suffix(labels::CONFIG_SUFFIX);
            node.is_some_and(|node| self.nodes.iter().any(|guarded| is_called(guarded, &id.namespace, node)))
        };
        let foreign = self.foreign.iter().filter_map(|object| {
            let id = list_id(&**object)?;
            let nothing = ConfigMap {
                metadata: object.metadata.clone(),
                ..ConfigMap::default()
            };
            referred.contains(&id).then(|| (id, convert::published_list(&nothing)))
        });
        let ours = self
            .lists
            .iter()
            .filter_map(|object| Some((list_id(&**object)?, convert::published_list(object))));
        let is_listed = |list: &PublishedList| list.ours && list.network.is_some();
        let lists = foreign.filter(|(_, list)| !is_listed(list)).chain(ours);
        lists
            .map(|(id, list)| {
                let ours = list.ours && !is_config(&id);
                (id, PublishedList { ours, ..list })
            })
            .collect()
    }
}

type ByInstance<K> = HashMap<(String, String), Vec<Arc<K>>>;

fn by_instance<K: ResourceExt>(objects: &[Arc<K>]) -> ByInstance<K> {
    let mut found: ByInstance<K> = HashMap::new();
    for object in objects {
        let instance = object.labels().get(labels::INSTANCE).cloned();
        if let (Some(namespace), Some(instance)) = (object.namespace(), instance) {
            found.entry((namespace, instance)).or_default().push(Arc::clone(object));
        }
    }
    found
}

fn is_called(node: &GuardedNode, namespace: &str, name: &str) -> bool {
    let metadata = node.meta();
    metadata.name.as_deref() == Some(name) && metadata.namespace.as_deref() == Some(namespace)
}

fn list_id<K: ResourceExt>(object: &K) -> Option<ListId> {
    Some(ListId {
        namespace: object.namespace()?,
        name: object.name_any(),
    })
}

/// The StatefulSet with the node's name, else the only one that is labelled as a validator's. Other StatefulSets of the
/// instance are unrelated workloads.
fn best_workload(found: &[Arc<StatefulSet>], name: &str) -> Option<Arc<StatefulSet>> {
    let is_labelled = |object: &&Arc<StatefulSet>| {
        let label = |key| object.labels().get(key).map(String::as_str);
        label(labels::NAME) == Some(labels::STELLAR_NODE)
            && label(labels::COMPONENT).is_none_or(|component| component == labels::VALIDATOR)
    };
    let mut labelled = found.iter().filter(is_labelled);
    let own = found.iter().find(|object| object.name_any() == name);
    let only = labelled.next().filter(|_| labelled.next().is_none());
    own.or(only).cloned()
}

/// The pod that the StatefulSet controls, compared by uid; of several, the one that is not terminating. Pods of other
/// owners – an exporter, a job, another StatefulSet of that name – do not count.
///
/// Without a StatefulSet, a pod of the expected name counts if it has no controller (`--cascade=orphan`), or if its
/// controller was a StatefulSet of that name.
fn best_pod(found: &[Arc<Pod>], workload: Option<&StatefulSet>, name: &str) -> Option<Arc<Pod>> {
    let stateful_set = workload.map_or_else(|| name.to_owned(), ResourceExt::name_any);
    let uid = workload.and_then(|workload| workload.metadata.uid.as_deref());
    let belongs = |pod: &Arc<Pod>| {
        let mut owners = pod.owner_references().iter();
        match owners.find(|owner: &&OwnerReference| owner.controller == Some(true)) {
            Some(owner) => {
                let is_it = uid.is_none_or(|uid| owner.uid == uid);
                owner.kind == "StatefulSet" && owner.name == stateful_set && is_it
            }
            None => workload.is_none(),
        }
    };
    let is_numbered = |pod: &Arc<Pod>| {
        let name = pod.name_any();
        let number = name.strip_prefix(&stateful_set).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let ordinal = labels::pod_name(&stateful_set);
    found
        .iter()
        .filter(|pod| is_numbered(pod) && belongs(pod))
        .min_by_key(|pod| {
            (
                pod.metadata.deletion_timestamp.is_some(),
                pod.name_any() != ordinal,
                pod.name_any(),
            )
        })
        .cloned()
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
