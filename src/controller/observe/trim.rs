//! The fields that the caches keep of an object, and the events that trigger discovery.
//!
//! Every Helm chart sets the label `app.kubernetes.io/instance`, so the caches hold the StatefulSets and pods of the
//! whole cluster, and the metadata of every ConfigMap. A user with rights in one namespace can also create any number
//! of large objects with our labels. So the caches drop every field that no code reads, and limit the others to the
//! size that we would write. The operator never writes a cached object back. Code that reads a new field must keep it
//! here: the tests compare the decisions on full and on trimmed objects.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, ObjectReference, PersistentVolumeClaim, Pod, PodStatus};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, ManagedFieldsEntry, ObjectMeta,
};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt as _};

use super::blocked::may_block;
use super::trim_template::{
    keep_bounded, only_containers, shortened, trimmed_conditions, trimmed_status, trimmed_template,
};
use crate::crd::GuardedNode;
use crate::labels;

/// Longest annotation to keep: the longest that we write on a StatefulSet is a third of it.
pub(crate) const LONGEST_ANNOTATION: usize = 1024;
/// Most containers to keep of a pod, apart from those of well-known names; also most ports and seeds of a container.
pub(crate) const MAX_ENTRIES: usize = 64;

/// The labels to keep.
#[rustfmt::skip]
const LABELS: [&str; 7] = [
    labels::INSTANCE, labels::NAME, labels::COMPONENT, labels::MANAGED_BY, labels::NETWORK, labels::PEERS, labels::REVISION,
];
/// Most bytes of a list without members, and most bytes per member in all its forms: names of 63 and 52 characters,
/// three times an address of 260.
const LIST_BYTES: (usize, usize) = (64 << 10, 2 << 10);
/// Longest parse error of a StellarNode to keep: it quotes the node.
const LONGEST_REASON: usize = 1024;

/// A kind that has a cache.
pub(crate) trait Cached: Resource<DynamicType = ()> {
    /// Whether trimming depends on the StellarNodes, whose cache must then be complete first.
    const AFTER_NODES: bool = false;

    /// Drops the fields that no code reads.
    fn trim(&mut self);

    /// Drops the fields that no code reads, given these StellarNodes.
    fn trim_for_nodes(&mut self, _nodes: &[Store<GuardedNode>]) {
        self.trim();
    }

    /// Whether a change of this object can affect a decision about these nodes.
    fn concerns(&self, _nodes: &[Store<GuardedNode>]) -> bool {
        true
    }
}

/// `managedFields` and the annotation of `kubectl apply` are most of an object, and no code reads them.
fn trim_metadata(metadata: &mut ObjectMeta) {
    trim_annotations(metadata);
    shorten_annotations(metadata);
    if let Some(all) = &mut metadata.labels {
        all.retain(|name, _| LABELS.contains(&name.as_str()));
    }
    if let Some(owners) = &mut metadata.owner_references {
        owners.retain(|owner| owner.controller == Some(true));
    }
}

fn trim_annotations(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    metadata.finalizers = None;
    if let Some(all) = &mut metadata.annotations {
        all.retain(|name, _| is_ours(name));
    }
}

/// Shortens long annotations, which cannot be records of ours. The annotation itself stays: some count whatever their
/// value.
fn shorten_annotations(metadata: &mut ObjectMeta) {
    for value in metadata.annotations.iter_mut().flat_map(BTreeMap::values_mut) {
        if value.len() > LONGEST_ANNOTATION {
            *value = value.chars().take(LONGEST_ANNOTATION).collect();
        }
    }
}

fn is_ours(annotation: &str) -> bool {
    labels::ANNOTATIONS.contains(&annotation)
}

/// Whether this object's instance label names an existing StellarNode. A StellarNode that is created later is an event
/// of its own.
fn is_of_a_node(object: &impl Resource, nodes: &[Store<GuardedNode>]) -> bool {
    let instance = object.labels().get(labels::INSTANCE);
    let Some((instance, namespace)) = instance.zip(object.namespace()) else {
        return false;
    };
    is_node(instance, &namespace, nodes)
}

fn is_node(name: &str, namespace: &str, nodes: &[Store<GuardedNode>]) -> bool {
    let reference = ObjectRef::new(name).within(namespace);
    nodes.iter().any(|store| store.get(&reference).is_some())
}

impl Cached for GuardedNode {
    /// Keeps the whole spec, and the time of the last write to anything but the status.
    fn trim(&mut self) {
        if let Err(invalid) = &mut self.0 {
            invalid.error = invalid.error.chars().take(LONGEST_REASON).collect();
        }
        let metadata = self.meta_mut();
        let managers = metadata.managed_fields.take();
        trim_annotations(metadata);
        shorten_annotations(metadata);
        let of_object = |manager: &ManagedFieldsEntry| manager.subresource.as_deref().unwrap_or_default().is_empty();
        let latest = managers
            .into_iter()
            .flatten()
            .filter(of_object)
            .max_by_key(|manager| manager.time.clone().map(|time| time.0));
        metadata.managed_fields = latest.map(|manager| {
            vec![ManagedFieldsEntry {
                time: manager.time,
                ..ManagedFieldsEntry::default()
            }]
        });
    }
}

impl Cached for StatefulSet {
    fn trim(&mut self) {
        trim_metadata(&mut self.metadata);
        self.spec = self.spec.take().map(|spec| StatefulSetSpec {
            replicas: spec.replicas,
            selector: trimmed_selector(spec.selector),
            template: trimmed_template(spec.template),
            update_strategy: spec.update_strategy,
            volume_claim_templates: spec.volume_claim_templates.map(|claims| {
                claims
                    .into_iter()
                    .map(only_name_of_claim)
                    .filter(is_data)
                    .take(1)
                    .collect()
            }),
            ..StatefulSetSpec::default()
        });
        self.status = self.status.take().map(|status| StatefulSetStatus {
            observed_generation: status.observed_generation,
            update_revision: status.update_revision,
            ..StatefulSetStatus::default()
        });
    }

    fn concerns(&self, nodes: &[Store<GuardedNode>]) -> bool {
        is_of_a_node(self, nodes)
    }
}

/// Keeps the part of a selector that we compare: a selector with other labels than ours differs, whatever they are.
fn trimmed_selector(mut selector: LabelSelector) -> LabelSelector {
    if let Some(expressions) = &mut selector.match_expressions {
        expressions.truncate(1);
        if let Some(one) = expressions.first_mut() {
            *one = LabelSelectorRequirement::default();
        }
    }
    if let Some(all) = &mut selector.match_labels {
        let others: Vec<String> = all
            .keys()
            .filter(|name| !LABELS.contains(&name.as_str()))
            .skip(1)
            .cloned()
            .collect();
        for name in &others {
            all.remove(name);
        }
    }
    selector
}

fn is_data(claim: &PersistentVolumeClaim) -> bool {
    claim.metadata.name.as_deref() == Some(labels::DATA_VOLUME)
}

fn only_name_of_claim(claim: PersistentVolumeClaim) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: claim.metadata.name,
            ..ObjectMeta::default()
        },
        ..PersistentVolumeClaim::default()
    }
}

impl Cached for Pod {
    fn trim(&mut self) {
        trim_metadata(&mut self.metadata);
        self.spec = self.spec.take().map(only_containers);
        self.status = self.status.take().map(|status| PodStatus {
            phase: status.phase,
            pod_ip: status.pod_ip,
            pod_ips: status.pod_ips,
            conditions: status.conditions.map(trimmed_conditions),
            container_statuses: status
                .container_statuses
                .map(|all| keep_bounded(all, |one| labels::CORE_CONTAINERS.contains(&one.name.as_str())))
                .map(|all| all.into_iter().map(trimmed_status).collect()),
            init_container_statuses: status.init_container_statuses.map(|all| {
                let all = keep_bounded(all, |one| one.name == labels::RENDER_CONTAINER).into_iter();
                let kept = all.filter(|one| one.name == labels::RENDER_CONTAINER || may_block(one));
                kept.map(trimmed_status).collect()
            }),
            ..PodStatus::default()
        });
    }

    fn concerns(&self, nodes: &[Store<GuardedNode>]) -> bool {
        is_of_a_node(self, nodes)
    }
}

/// The peer lists. Drops the data of a list that no node refers to, or that is larger than the operator would write for
/// the existing nodes. Such a list counts as unreadable, and the operator repairs it like a manual edit.
impl Cached for ConfigMap {
    const AFTER_NODES: bool = true;

    fn trim(&mut self) {
        trim_metadata(&mut self.metadata);
        self.metadata.owner_references = None;
        self.binary_data = None;
    }

    fn trim_for_nodes(&mut self, nodes: &[Store<GuardedNode>]) {
        self.trim();
        let size =
            |data: &BTreeMap<String, String>| data.iter().map(|(key, text)| key.len() + text.len()).sum::<usize>();
        let known: usize = nodes.iter().map(Store::len).sum();
        let largest = LIST_BYTES.0 + known * LIST_BYTES.1;
        let fits = self.data.as_ref().is_some_and(|data| size(data) <= largest);
        if !fits || !is_list_of_any(self, nodes) {
            self.data = None;
        }
    }
}

/// Whether some node uses a list of this name.
fn is_list_of_any(config_map: &impl Resource, nodes: &[Store<GuardedNode>]) -> bool {
    let namespace = config_map.namespace();
    let name = config_map.name_any();
    let is_list_of = |node: &GuardedNode| {
        let config = node
            .0
            .as_ref()
            .ok()
            .and_then(|node| node.spec.validator_config.as_ref());
        node.namespace() == namespace && config.is_some_and(|config| config.known_peers_config_map() == name)
    };
    nodes.iter().flat_map(Store::state).any(|node| is_list_of(&node))
}

/// All ConfigMaps.
impl Cached for PartialObjectMeta<ConfigMap> {
    fn trim(&mut self) {
        trim_metadata(&mut self.metadata);
        let labels = self.metadata.labels.iter_mut();
        labels.for_each(|all| all.retain(|name, _| [labels::MANAGED_BY, labels::NETWORK].contains(&name.as_str())));
        self.metadata.owner_references = None;
    }

    /// Only ConfigMaps whose name some node uses for its list.
    fn concerns(&self, nodes: &[Store<GuardedNode>]) -> bool {
        is_list_of_any(self, nodes)
    }
}

impl Cached for PartialObjectMeta<Namespace> {
    fn trim(&mut self) {
        trim_metadata(&mut self.metadata);
        self.metadata.labels = None;
    }
}

impl Cached for PodDisruptionBudget {
    fn trim(&mut self) {
        trim_metadata(&mut self.metadata);
        self.metadata.owner_references = None;
        self.status = None;
        if let Some(spec) = &mut self.spec {
            spec.selector = spec.selector.take().map(trimmed_selector);
        }
    }
}

/// The Events about pods that the API server refused. Anyone in a namespace can write any number of them.
impl Cached for Event {
    const AFTER_NODES: bool = true;

    fn trim(&mut self) {
        let all = std::mem::take(self);
        *self = Self {
            metadata: ObjectMeta {
                name: all.metadata.name,
                namespace: all.metadata.namespace,
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                name: all.involved_object.name.as_deref().map(shortened),
                uid: all.involved_object.uid.as_deref().map(shortened),
                ..ObjectReference::default()
            },
            message: all.message.as_deref().map(shortened),
            last_timestamp: all.last_timestamp,
            event_time: all.event_time,
            series: all.series,
            ..Self::default()
        };
    }

    /// Of an Event about another object only the name stays.
    fn trim_for_nodes(&mut self, nodes: &[Store<GuardedNode>]) {
        self.trim();
        if !self.concerns(nodes) {
            self.involved_object = ObjectReference::default();
            self.message = None;
        }
    }

    /// Only those about a StatefulSet with the name of a node.
    fn concerns(&self, nodes: &[Store<GuardedNode>]) -> bool {
        let about = self.involved_object.name.as_deref();
        let about = about.zip(self.metadata.namespace.as_deref());
        about.is_some_and(|(name, namespace)| is_node(name, namespace, nodes))
    }
}

/// Only the Leases of the operator's own namespace are watched.
impl Cached for Lease {
    fn trim(&mut self) {
        trim_annotations(&mut self.metadata);
    }
}

#[cfg(test)]
#[path = "trim_tests.rs"]
mod tests;
