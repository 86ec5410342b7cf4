//! Kubernetes objects → the plain data of a snapshot.
//!
//! Pure. A field that is missing or malformed counts as absent; it never removes a peer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Container, ContainerPort, ContainerStatus, Pod as KubePod, PodSpec};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use serde::de::DeserializeOwned;

use super::blocked::blocked;
use super::namespaces::pauses;
use crate::controller::model::conditions::ConditionType;
use crate::controller::model::snapshot::{
    ListId, MemberRecord, Pod, PublishedBudget, PublishedList, SlotLease, Validator, Workload,
};
use crate::controller::resources;
use crate::crd::{Network, NodeType, PeersStatus, StellarNode, ValidatorConfig};
use crate::kubernetes::core_container::{self, Described};
use crate::kubernetes::stored::{self, is_ours};
use crate::labels;
use crate::peers::{NodeId, PeerList, Report, port_of_address};

/// Converts a StellarNode with its StatefulSet and pod; `None` if it is no validator. `hash` is its spec hash.
pub fn validator(
    node: &StellarNode,
    hash: String,
    workload: Option<&StatefulSet>,
    pod: Option<&KubePod>,
) -> Option<Validator> {
    if node.spec.node_type != NodeType::Validator {
        return None;
    }
    let namespace = node.namespace()?;
    let config = node.spec.validator_config.as_ref();
    let annotation = |name: &str| node.annotations().get(name).cloned();
    let spec_port = config.map_or_else(crate::crd::default_peer_port, ValidatorConfig::peer_port);
    let id = NodeId::new(namespace.clone(), node.name_any());
    let workload = workload.map(|object| Workload {
        convertible: resources::is_convertible(object, node),
        ..convert_workload(object, &id)
    });
    Some(Validator {
        uid: node.uid()?,
        created: node
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        network: Network::parse(&node.spec.network),
        list: ListId {
            namespace,
            name: config
                .map_or(labels::DEFAULT_PEERS_CONFIG_MAP, |config| {
                    config.known_peers_config_map()
                })
                .to_owned(),
        },
        peer_group: config.and_then(|config| config.peer_group.clone()),
        spec_port,
        suspended: node.spec.suspended,
        deleting: node.metadata.deletion_timestamp.is_some(),
        paused: pauses(annotation(labels::PAUSE_RESTARTS).as_ref()),
        approved: annotation(labels::APPROVE_RESTART),
        changed: changed(node),
        spec_hash: wanted_hash(node, hash, workload.as_ref()),
        seed_held_by: None,
        mirror: mirror(node, &id),
        workload,
        pod: pod.map(|pod| convert_pod(pod, spec_port)),
        id,
    })
}

/// When a field manager last changed anything but the status (Kubernetes docs, "Server-Side Apply", managedFields).
fn changed(node: &StellarNode) -> Option<Timestamp> {
    let managers = node.metadata.managed_fields.iter().flatten();
    managers
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
        .filter_map(|entry| entry.time.as_ref().map(|time| time.0))
        .max()
}

/// The spec hash that the pod should have; `None` for an invalid spec, which takes no slot and leaves the running pod
/// alone.
fn wanted_hash(node: &StellarNode, hash: String, workload: Option<&Workload>) -> Option<String> {
    let built = workload.is_some_and(|workload| workload.spec_hash.as_ref() == Some(&hash));
    (built || resources::check(node).is_ok()).then_some(hash)
}

/// The membership in the status of a StellarNode.
fn mirror(node: &StellarNode, id: &NodeId) -> Option<MemberRecord> {
    let status = node.status.as_ref()?;
    let joined = status
        .conditions
        .iter()
        .find(|condition| condition.r#type == ConditionType::Joined.as_str() && condition.status == "True")?;
    mirrored(id, status.peers.as_ref()?, joined.last_transition_time.as_ref()?.0)
}

/// The membership in a status, of a validator that joined at `joined`; `None` if the operator cannot have written the
/// address.
pub fn mirrored(id: &NodeId, peers: &PeersStatus, joined: Timestamp) -> Option<MemberRecord> {
    let address = peers
        .lost
        .as_ref()
        .map(|lost| &lost.address)
        .or(peers.address.as_ref())?;
    Some(MemberRecord {
        joined,
        port: port_of_address(id, address)?,
        address: address.clone(),
        since: joined,
        lost: peers.lost.as_ref().map(|lost| lost.since.0),
        // The status has no such field.
        never_voted: false,
    })
}

/// Longest JSON annotation that the operator writes.
const LONGEST_RECORD: usize = 1024;

/// Parses a JSON annotation. An annotation that is malformed, or longer than the operator writes, counts as absent.
fn json_annotation<T: DeserializeOwned>(annotations: &BTreeMap<String, String>, name: &str) -> Option<T> {
    let text = annotations.get(name).filter(|text| text.len() <= LONGEST_RECORD)?;
    serde_json::from_str(text).ok()
}

/// The membership in a StatefulSet's annotation. Anyone with write access to StatefulSets can forge it, and its address
/// goes into the lists of other namespaces. So a record with an address that the operator cannot have written is
/// ignored.
fn member(annotations: &BTreeMap<String, String>, id: &NodeId) -> Option<MemberRecord> {
    let record: MemberRecord = json_annotation(annotations, labels::MEMBER)?;
    (port_of_address(id, &record.address) == Some(record.port)).then_some(record)
}

fn convert_workload(object: &StatefulSet, id: &NodeId) -> Workload {
    let annotations = object.annotations();
    let spec = object.spec.as_ref();
    let status = object.status.as_ref();
    let template = spec.map(|spec| &spec.template);
    Workload {
        name: object.name_any(),
        resource_version: object.resource_version().unwrap_or_default(),
        ours: is_ours(object.labels()),
        replicas: spec.and_then(|spec| spec.replicas).unwrap_or(1),
        observed: status.and_then(|status| status.observed_generation) == object.metadata.generation,
        update_revision: status.and_then(|status| status.update_revision.clone()),
        waits_for_person: leaves_updates_to_a_person(object),
        convertible: false,
        reports: template
            .and_then(|template| template.spec.as_ref())
            .is_some_and(renders),
        history: template.and_then(|template| served_history(template.spec.as_ref()?)),
        spec_hash: template.and_then(stored::template_from).map(str::to_owned),
        member: member(annotations, id),
        last_restart: json_annotation(annotations, labels::LAST_RESTART),
        given_back: annotations
            .get(labels::SLOT_GIVEN_BACK)
            .and_then(|time| time.parse().ok()),
        assumed: json_annotation(annotations, labels::LOADED_PEERS),
        refused: None,
    }
}

/// Whether a StatefulSet's update strategy leaves the replacement of its pod to a person.
pub fn leaves_updates_to_a_person(object: &StatefulSet) -> bool {
    let strategy = object.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
    let partition = strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.partition);
    partition.unwrap_or(0) > 0 || strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some("OnDelete"))
}

/// Whether a pod reports which peers it loaded: it has our `render-config`.
fn renders(pod: &PodSpec) -> bool {
    let all = pod.init_containers.as_deref().unwrap_or_default();
    all.iter().any(|one| one.name == labels::RENDER_CONTAINER)
}

/// Whether the pods of a StatefulSet serve a history archive.
pub fn serves_history(object: &StatefulSet) -> bool {
    let pod = object.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    pod.and_then(served_history).is_some()
}

/// The port of a pod's `history` sidecar.
fn served_history(pod: &PodSpec) -> Option<u16> {
    let all = pod.init_containers.as_deref().unwrap_or_default();
    let sidecar = all.iter().find(|one| one.name == labels::HISTORY_CONTAINER)?;
    let port = tcp_ports(sidecar).find(|port| port.name.as_deref() == Some(labels::HISTORY_CONTAINER))?;
    u16::try_from(port.container_port).ok()
}

/// `dialled` is the peer port, which may be the only way to find the core container of a pod that we did not build.
fn convert_pod(object: &KubePod, dialled: u16) -> Pod {
    let spec = object.spec.as_ref();
    let status = object.status.as_ref();
    let deleting = object.metadata.deletion_timestamp.is_some();
    let containers = spec.map(|spec| spec.containers.iter()).unwrap_or_default();
    let core = core_container::find(&containers, || dialled);
    let statuses = status
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default();
    let core_status = core.and_then(|core| statuses.iter().find(|status| status.name == core.name));
    let ready_condition = status.and_then(|status| {
        status
            .conditions
            .as_ref()?
            .iter()
            .find(|condition| condition.type_ == "Ready")
    });
    let silent_since = ready_condition
        .filter(|condition| condition.status != "True")
        .and_then(|condition| Some(condition.last_transition_time.as_ref()?.0));
    let ready_condition = ready_condition.filter(|condition| condition.status == "True" && !deleting);
    let started = core_status
        .and_then(|status| status.state.as_ref()?.running.as_ref()?.started_at.as_ref())
        .map(|time| time.0);
    let (report, rendered) = status
        .and_then(|status| loaded(status.init_container_statuses.as_deref()?, started))
        .map_or((None, None), |(report, rendered)| (report, Some(rendered)));
    // Without our sidecar, the Ready condition stands for both.
    let ready = match core_status.filter(|_| spec.is_some_and(renders)) {
        Some(status) => status.ready && !deleting,
        None => ready_condition.is_some(),
    };
    Pod {
        uid: object.uid().unwrap_or_default(),
        resource_version: object.resource_version().unwrap_or_default(),
        name: object.name_any(),
        deleting,
        running: status.and_then(|status| status.phase.as_deref()) == Some("Running"),
        ip: status.and_then(ipv4),
        port: core.and_then(peer_port),
        revision: object.labels().get(labels::REVISION).cloned(),
        list: object.labels().get(labels::PEERS).cloned(),
        rendered,
        started,
        ready,
        voting_since: ready_condition.map(|condition| {
            condition
                .last_transition_time
                .as_ref()
                .map_or(Timestamp::UNIX_EPOCH, |time| time.0)
        }),
        silent_since,
        voted_for: None,
        report,
        blocked: blocked(object),
    }
}

/// stellar-core parses no IPv6 literal, so a dual-stack pod contributes its IPv4 address.
fn ipv4(status: &k8s_openapi::api::core::v1::PodStatus) -> Option<String> {
    let others = status.pod_ips.iter().flatten().map(|entry| entry.ip.as_str());
    let is_ipv4 = |ip: &&str| ip.parse::<std::net::Ipv4Addr>().is_ok();
    status
        .pod_ip
        .as_deref()
        .into_iter()
        .chain(others)
        .find(is_ipv4)
        .map(str::to_owned)
}

impl Described for &Container {
    fn name(&self) -> &str {
        &self.name
    }

    fn has_peer_port(&self) -> bool {
        peer_port(self).is_some()
    }

    fn has_port(&self, number: u16) -> bool {
        tcp_ports(self).any(|port| port.container_port == i32::from(number))
    }
}

fn tcp_ports(container: &Container) -> impl Iterator<Item = &ContainerPort> {
    let ports = container.ports.as_deref().unwrap_or_default().iter();
    ports.filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"))
}

fn peer_port(container: &Container) -> Option<u16> {
    let is_named = |port: &&ContainerPort| labels::PEER_PORT_NAMES.contains(&port.name.as_deref().unwrap_or_default());
    let port = tcp_ports(container).find(is_named)?;
    u16::try_from(port.container_port).ok()
}

/// The report of `render-config`, and its time; `None` without one. It counts only with exit code 0, and if it finished
/// before the core container started: after a sandbox restart the status can show a new IP next to the old message.
fn loaded(statuses: &[ContainerStatus], core_started: Option<Timestamp>) -> Option<(Option<Report>, Timestamp)> {
    let status = statuses.iter().find(|status| status.name == labels::RENDER_CONTAINER)?;
    let ended = status.state.as_ref()?.terminated.as_ref()?;
    let finished = ended.finished_at.as_ref()?.0;
    if ended.exit_code != 0 || core_started.is_some_and(|started| finished > started) {
        return None;
    }
    Some((Report::parse(ended.message.as_deref().unwrap_or_default()), finished))
}

pub fn published_list(object: &ConfigMap) -> PublishedList {
    let data = object.data.clone().unwrap_or_default();
    PublishedList {
        uid: object.uid().unwrap_or_default(),
        resource_version: object.resource_version().unwrap_or_default(),
        ours: is_ours(object.labels()),
        network: object.labels().get(labels::NETWORK).cloned(),
        list: data.get(labels::PEERS_JSON).and_then(|json| PeerList::parse(json).ok()),
        data,
    }
}

/// Converts one of our PodDisruptionBudgets and compares it with the one that we would write.
pub fn published_budget(object: &PodDisruptionBudget) -> PublishedBudget {
    let most = object.spec.as_ref().and_then(|spec| match &spec.max_unavailable {
        Some(IntOrString::Int(most)) => u32::try_from(*most).ok(),
        _ => None,
    });
    let list = object.name_any();
    let desired = |most| resources::disruption_budget(&list, most)["spec"].clone();
    let is_ours = |most: &u32| resources::holds(&serde_json::json!(object.spec), &desired(*most));
    PublishedBudget {
        uid: object.uid().unwrap_or_default(),
        resource_version: object.resource_version().unwrap_or_default(),
        max_unavailable: most.filter(is_ours),
    }
}

/// Parses an annotation that only the operator writes. It grows with the number of namespaces, so its length has no
/// limit.
fn own_json<T: DeserializeOwned + Default>(annotations: &BTreeMap<String, String>, name: &str) -> T {
    let text = annotations.get(name);
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// Converts the Lease with the slots of a network. A Lease that is damaged blocks all slots until a person deletes it.
pub fn slot_lease(object: &Lease) -> SlotLease {
    let annotations = object.annotations();
    let slots = match annotations.get(labels::SLOTS) {
        None => Some(Vec::new()),
        Some(json) => serde_json::from_str(json).ok(),
    };
    SlotLease {
        resource_version: object.resource_version(),
        readable: slots.is_some() && is_ours(object.labels()),
        created: object.creation_timestamp().map(|time| time.0),
        slots: slots.unwrap_or_default(),
        served: own_json(annotations, labels::SLOTS_SERVED),
        joined: own_json(annotations, labels::JOINED_LISTS),
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
