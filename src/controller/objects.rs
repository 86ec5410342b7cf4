//! Objects as the API server gave them → a snapshot: which StatefulSet and which pod belong to which validator.
//!
//! Pure. The objects come from the reflector caches, or from a list for a single question.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::{Resource as _, ResourceExt};

use super::snapshot::{ListId, PublishedList, Snapshot, Validator};
use super::{convert, resources, sole_use};
use crate::crd::StellarNode;
use crate::labels;
use crate::peers::NodeId;

/// A StellarNode that may not parse.
pub type GuardedNode = DeserializeGuard<StellarNode>;

/// Everything that a snapshot is made from.
#[derive(Debug, Default)]
pub struct Objects {
    /// StellarNodes of any type.
    pub nodes: Vec<Arc<GuardedNode>>,
    /// StatefulSets that carry the instance label.
    pub stateful_sets: Vec<Arc<StatefulSet>>,
    /// Pods that carry the instance label.
    pub pods: Vec<Arc<Pod>>,
    /// ConfigMaps with our label and a network's.
    pub lists: Vec<Arc<ConfigMap>>,
    /// The metadata of all ConfigMaps.
    pub foreign: Vec<Arc<PartialObjectMeta<ConfigMap>>>,
    /// PodDisruptionBudgets with our label and a group's.
    pub budgets: Vec<Arc<PodDisruptionBudget>>,
    /// Leases with our label in the operator's namespace.
    pub leases: Vec<Arc<Lease>>,
    /// The hashes of specs that were seen before.
    pub hashes: Arc<SpecHashes>,
}

/// The hash of each spec, remembered while its generation lasts: taking it costs more than all the rest of a snapshot.
#[derive(Debug, Default)]
pub struct SpecHashes(Mutex<HashMap<String, (i64, String)>>);

impl SpecHashes {
    /// The hash of this node's spec.
    fn of(&self, node: &StellarNode) -> String {
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

    /// Forgets nodes that are gone.
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
    /// The snapshot of these objects.
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let workloads = by_instance(&self.stateful_sets);
        let pods = by_instance(&self.pods);
        let seeds = by_seed(&self.pods);
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
            let hash = self.hashes.of(node);
            let validator = convert::validator(node, hash, workload.as_deref(), pod.as_deref());
            validators.extend(validator.map(|validator| Validator {
                seed_held_by: self.seed_holder(node, pod.as_deref(), &seeds),
                ..validator
            }));
        }
        self.hashes.retain(&self.nodes);
        let lists = self.published(&validators.iter().map(|validator| &validator.list).collect());
        let turns = self
            .leases
            .iter()
            .filter_map(|lease| Some((lease.labels().get(labels::NETWORK)?.clone(), convert::turn_lease(lease))));
        Snapshot {
            now,
            turns: turns.collect(),
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

    /// The pod of another validator that still runs with the seed that this one is to have, and its own pod has not.
    fn seed_holder(
        &self,
        node: &StellarNode,
        own: Option<&Pod>,
        seeds: &HashMap<&str, Vec<Arc<Pod>>>,
    ) -> Option<String> {
        let config = node.spec.validator_config.as_ref()?;
        if own.and_then(sole_use::seed_secret) == Some(&config.seed_secret_ref) {
            return None;
        }
        let pods = seeds.get(config.seed_secret_ref.as_str())?;
        sole_use::still_running(node, &self.nodes, pods).map(|pod| pod.name_any())
    }

    /// Our lists, and other ConfigMaps of the names that validators refer to: other people's, and those that were handed over by the
    /// label alone, whose data is seen once we have written them.
    ///
    /// The config of a StellarNode is nobody's list, whatever its labels say.
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

/// Pods by the Secret with whose seed they run.
fn by_seed(pods: &[Arc<Pod>]) -> HashMap<&str, Vec<Arc<Pod>>> {
    let mut found: HashMap<&str, Vec<Arc<Pod>>> = HashMap::new();
    for pod in pods {
        if let Some(secret) = sole_use::seed_secret(pod) {
            found.entry(secret).or_default().push(Arc::clone(pod));
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

/// The StatefulSet of the node's own name, else the only one that is labelled as a validator's: others of the instance are
/// whatever else runs beside it.
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

/// The pod of the StatefulSet; among several the one that is not on its way out. Pods of other owners – an exporter, a
/// job – are none.
fn best_pod(found: &[Arc<Pod>], workload: Option<&StatefulSet>, name: &str) -> Option<Arc<Pod>> {
    let stateful_set = workload.map_or_else(|| name.to_owned(), ResourceExt::name_any);
    let belongs = |pod: &Arc<Pod>| {
        pod.owner_references().iter().any(|owner: &OwnerReference| {
            owner.controller == Some(true) && owner.kind == "StatefulSet" && owner.name == stateful_set
        })
    };
    let ordinal = labels::pod_name(&stateful_set);
    found
        .iter()
        .filter(|pod| belongs(pod) || pod.name_any() == ordinal)
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
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_seed_is_held_by_a_pod_of_another_only_from_one_that_does_not_have_it() {
        let node = |name: &str, seed: &str| {
            let node = json!({
                "apiVersion": labels::API_VERSION, "kind": labels::KIND,
                "metadata": { "name": name, "namespace": "n", "uid": name },
                "spec": {
                    "nodeType": "Validator", "network": "testnet", "version": "1",
                    "validatorConfig": { "seedSecretRef": seed },
                },
            });
            Arc::new(DeserializeGuard(Ok(serde_json::from_value(node).unwrap())))
        };
        let pod = |instance: &str, seed: &str| {
            let seed =
                json!({ "name": "S", "valueFrom": { "secretKeyRef": { "name": seed, "key": labels::SEED_KEY } } });
            let pod = json!({
                "metadata": {
                    "name": format!("{instance}-0"), "namespace": "n", "labels": { labels::INSTANCE: instance },
                },
                "spec": { "containers": [{ "name": "c", "env": [seed] }] },
            });
            Arc::new(serde_json::from_value(pod).unwrap())
        };
        for (own, expected) in [("old", Some("b-0")), ("new", None)] {
            let objects = Objects {
                nodes: vec![node("a", "new"), node("b", "other")],
                pods: vec![pod("a", own), pod("b", "new")],
                ..Objects::default()
            };
            let validators = objects.snapshot(Timestamp::UNIX_EPOCH).validators;
            assert_eq!(validators[0].seed_held_by.as_deref(), expected, "a has {own}");
            assert_eq!(validators[1].seed_held_by, None);
        }
    }

    #[test]
    fn the_config_of_a_node_is_nobodys_list() {
        let node = |name: &str, list: &str| {
            let node = json!({
                "apiVersion": labels::API_VERSION, "kind": labels::KIND,
                "metadata": { "name": name, "namespace": "n", "uid": name },
                "spec": {
                    "nodeType": "Validator", "network": "testnet", "version": "1",
                    "validatorConfig": { "seedSecretRef": name, "knownPeersRef": { "name": list } },
                },
            });
            Arc::new(DeserializeGuard(Ok(serde_json::from_value(node).unwrap())))
        };
        let config_map = |name: &str, network: Option<&str>| {
            let mut labels = json!({ labels::MANAGED_BY: labels::OPERATOR });
            if let Some(network) = network {
                labels[labels::NETWORK] = json!(network);
            }
            json!({ "metadata": { "name": name, "namespace": "n", "labels": labels } })
        };
        let objects = Objects {
            nodes: vec![node("a", "b-config"), node("b", "c-config")],
            foreign: vec![
                Arc::new(serde_json::from_value(config_map("b-config", None)).unwrap()),
                Arc::new(serde_json::from_value(config_map("c-config", None)).unwrap()),
            ],
            lists: vec![Arc::new(
                serde_json::from_value(config_map("a-config", Some("x"))).unwrap(),
            )],
            ..Objects::default()
        };
        let lists = objects.snapshot(Timestamp::UNIX_EPOCH).lists;
        let ours: Vec<(&str, bool)> = lists.iter().map(|(id, list)| (&*id.name, list.ours)).collect();
        assert_eq!(ours, [("a-config", false), ("b-config", false), ("c-config", true)]);
    }

    #[test]
    fn whose_stateful_set_a_validator_has() {
        let of = |name: &str, app: &str, component: Option<&str>| {
            let mut labels = json!({ labels::NAME: app, labels::INSTANCE: "a" });
            if let Some(component) = component {
                labels[labels::COMPONENT] = json!(component);
            }
            let object = json!({ "metadata": { "name": name, "labels": labels } });
            Arc::new(serde_json::from_value::<StatefulSet>(object).unwrap())
        };
        let validator = Some(labels::VALIDATOR);
        let ours = labels::STELLAR_NODE;
        for (found, expected) in [
            (vec![of("a-redis", "redis", None), of("a", ours, validator)], Some("a")),
            // Whatever its labels are.
            (vec![of("a", "core", None)], Some("a")),
            (
                vec![of("a-redis", "redis", None), of("a-core", ours, validator)],
                Some("a-core"),
            ),
            (vec![of("a-core", ours, None)], Some("a-core")),
            (vec![of("a-redis", "redis", None)], None),
            (vec![of("a-horizon", ours, Some("horizon"))], None),
            (vec![of("a-1", ours, validator), of("a-2", ours, validator)], None),
        ] {
            let best = best_workload(&found, "a").map(|found| found.name_any());
            assert_eq!(best.as_deref(), expected, "{found:?}");
        }
    }
}
