//! Pods and stored pod templates that use a seed or database which only one validator may use. Pure.
//!
//! The current spec of their owner does not count. A StatefulSet with replicas can create a pod from its stored
//! template at any time, so its template counts as a running pod. The uid of the controller identifies the owner; a
//! name may be used again.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{EnvVar, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use super::{Exclusive, Given, Holder, given, secret_of};
use crate::controller::resources;
use crate::core_config::pod_paths;
use crate::crd::{GuardedNode, Network, SeedSource, StellarNode};
use crate::labels;

/// The StatefulSets and pods of some namespaces.
#[derive(Clone, Debug, Default)]
pub struct Present {
    /// StatefulSets that carry the instance label.
    pub stateful_sets: Vec<Arc<StatefulSet>>,
    /// Pods that carry the instance label.
    pub pods: Vec<Arc<Pod>>,
    /// The owning StellarNode of each StatefulSet, both by uid.
    pub owners: Arc<HashMap<String, String>>,
}

impl Present {
    /// Adds the owners of these StatefulSets, and those StatefulSets that use a seed or database of `node`.
    pub fn add_stateful_sets(&mut self, found: Vec<StatefulSet>, node: &StellarNode) {
        Arc::make_mut(&mut self.owners).extend(found.iter().filter_map(owner));
        let used = found.into_iter().filter(|set| uses_any(node, template(set)));
        self.stateful_sets.extend(used.map(Arc::new));
    }

    /// Adds those pods that use a seed or database of `node`.
    pub fn add_pods(&mut self, found: Vec<Pod>, node: &StellarNode) {
        let used = found.into_iter().filter(|pod| uses_any(node, pod.spec.as_ref()));
        self.pods.extend(used.map(Arc::new));
    }

    /// The object that uses, or may use at any time, the seed or database that `node` asks for. `own` is the
    /// StatefulSet of `node`.
    pub fn holder(
        &self,
        node: &StellarNode,
        what: Exclusive,
        own: Option<&StatefulSet>,
        nodes: &[Arc<GuardedNode>],
    ) -> Option<Holder> {
        let given = given(node, what)?;
        let is_here = |metadata: &ObjectMeta| metadata.namespace == node.metadata.namespace;
        let is_for_another_network = |metadata: Option<&ObjectMeta>, set: Option<&str>| {
            let Given::Seed { network, .. } = &given else {
                return false;
            };
            let owner = set.and_then(|set| self.owners.get(set));
            let theirs = metadata.and_then(|metadata| network_of(metadata, owner, nodes));
            theirs.is_some_and(|theirs| theirs != network.short_hash())
        };
        let is_rival = |set: &&Arc<StatefulSet>| {
            let is_own = own.is_some_and(|own| own.uid() == set.uid());
            let template = set.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
            !is_own
                && is_here(&set.metadata)
                && wants_pods(set)
                && is_used(&given, self::template(set))
                && !is_for_another_network(template, set.metadata.uid.as_deref())
        };
        // The API server stores one object per name, so the next pod of `own` starts after the current one has gone. A
        // pod with a higher ordinal runs next to it.
        let own_pod = labels::pod_name(&own.map_or_else(|| node.name_any(), ResourceExt::name_any));
        let still_runs = |pod: &&Arc<Pod>| {
            pod.name_any() != own_pod
                && is_here(&pod.metadata)
                && has_not_ended(pod)
                && is_used(&given, pod.spec.as_ref())
                && !is_for_another_network(Some(&pod.metadata), controller(&pod.metadata))
        };
        let pod = self.pods.iter().find(still_runs).map(|pod| Holder::Pod {
            validator: pod.labels().get(labels::INSTANCE).cloned().unwrap_or_default(),
            pod: pod.name_any(),
        });
        let by_template = || self.stateful_sets.iter().find(is_rival);
        pod.or_else(|| by_template().map(|set| Holder::StatefulSet(set.name_any())))
    }
}

/// Groups StatefulSets and pods by their namespace and seed.
pub fn by_seed(stateful_sets: &[Arc<StatefulSet>], pods: &[Arc<Pod>]) -> HashMap<(String, SeedSource), Present> {
    let nothing = Present {
        owners: Arc::new(stateful_sets.iter().filter_map(|set| owner(set)).collect()),
        ..Present::default()
    };
    let mut found: HashMap<(String, SeedSource), Present> = HashMap::new();
    for set in stateful_sets {
        for seed in template(set).map(seeds_of).unwrap_or_default() {
            let present = found.entry((set.namespace().unwrap_or_default(), seed));
            present
                .or_insert_with(|| nothing.clone())
                .stateful_sets
                .push(Arc::clone(set));
        }
    }
    for pod in pods {
        for seed in pod.spec.as_ref().map(seeds_of).unwrap_or_default() {
            let present = found.entry((pod.namespace().unwrap_or_default(), seed));
            present.or_insert_with(|| nothing.clone()).pods.push(Arc::clone(pod));
        }
    }
    found
}

/// The StellarNode that controls a StatefulSet, both by uid.
pub(crate) fn owner(set: &StatefulSet) -> Option<(String, String)> {
    Some((set.uid()?, controller(&set.metadata)?.to_owned()))
}

/// The network that a pod signs for; `None` if unknown.
///
/// The pod's label names it. Earlier versions set no label: then the spec of its StellarNode counts, if the pod was
/// created from that spec.
pub(crate) fn network_of(metadata: &ObjectMeta, owner: Option<&String>, nodes: &[Arc<GuardedNode>]) -> Option<String> {
    if let Some(network) = metadata.labels.as_ref().and_then(|all| all.get(labels::NETWORK)) {
        return Some(network.clone());
    }
    let owner = owner?;
    let mut nodes = nodes.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    let node = nodes.find(|node| node.metadata.uid.as_ref() == Some(owner))?;
    let made_from = metadata.annotations.as_ref()?.get(labels::SPEC_HASH)?;
    (*made_from == resources::spec_hash(&node.spec)).then(|| Network::parse(&node.spec.network).short_hash())
}

/// The uid of an object's controller.
pub(crate) fn controller(metadata: &ObjectMeta) -> Option<&str> {
    let mut owners = metadata.owner_references.iter().flatten();
    let controller = owners.find(|owner| owner.controller == Some(true))?;
    Some(&controller.uid)
}

fn template(set: &StatefulSet) -> Option<&PodSpec> {
    set.spec.as_ref()?.template.spec.as_ref()
}

/// Whether the StatefulSet asks for pods. Surplus pods count on their own.
fn wants_pods(set: &StatefulSet) -> bool {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1) > 0
}

fn has_not_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

fn uses_any(node: &StellarNode, pod: Option<&PodSpec>) -> bool {
    let mut given = [Exclusive::Seed, Exclusive::Database]
        .into_iter()
        .filter_map(|what| given(node, what));
    given.any(|given| is_used(&given, pod))
}

fn is_used(given: &Given, pod: Option<&PodSpec>) -> bool {
    let Some(pod) = pod else { return false };
    match given {
        Given::Seed { source, .. } => seeds_of(pod).contains(source),
        Given::Database { key, .. } => env_of(pod).any(|variable| {
            let reference = variable
                .value_from
                .as_ref()
                .and_then(|from| from.secret_key_ref.as_ref());
            reference.is_some_and(|found| found.name == key.name && found.key == key.key)
        }),
    }
}

fn env_of(pod: &PodSpec) -> impl Iterator<Item = &EnvVar> {
    let containers = pod.init_containers.iter().flatten().chain(&pod.containers);
    containers.flat_map(|container| container.env.iter().flatten())
}

/// The sources of the seeds that a pod runs with.
pub fn seeds_of(pod: &PodSpec) -> Vec<SeedSource> {
    let secrets = env_of(pod)
        .filter_map(secret_of)
        .map(|name| SeedSource::Secret(name.to_owned()));
    secrets.chain(file_of_driver(pod)).collect()
}

/// The arguments of a container that name the seed's file.
pub fn seed_file_of(arguments: Option<&[String]>) -> Option<Vec<String>> {
    let mut pairs = arguments?.windows(2);
    Some(pairs.find(|pair| pair[0] == pod_paths::SEED_FILE_FLAG)?.to_vec())
}

/// The file on a CSI volume from which `render-config` reads the seed.
fn file_of_driver(pod: &PodSpec) -> Option<SeedSource> {
    let mut containers = pod.init_containers.iter().flatten();
    let render = containers.find(|container| container.name == labels::RENDER_CONTAINER)?;
    let arguments = seed_file_of(render.args.as_deref())?;
    let path = arguments.last()?;
    let mut volumes = pod.volumes.iter().flatten();
    let csi = volumes
        .find(|volume| volume.name == labels::SEED_VOLUME)?
        .csi
        .as_ref()?;
    Some(SeedSource::of_driver(csi, path))
}

#[cfg(test)]
#[path = "seeds_tests.rs"]
mod tests;
