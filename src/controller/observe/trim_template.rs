//! The fields that the caches keep of a pod or a pod template: its containers, the source of its seed, and what keeps
//! the pod from running.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStatus, PodCondition, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::blocked::may_block;
use super::trim::{LONGEST_ANNOTATION, MAX_ENTRIES};
use crate::controller::exclusivity::{self, seeds};
use crate::labels;

/// Longest message of the API server, the scheduler, a kubelet or a container to keep.
const LONGEST_MESSAGE: usize = 1024;

pub(crate) fn trimmed_template(template: PodTemplateSpec) -> PodTemplateSpec {
    let metadata = template.metadata.unwrap_or_default();
    let only = |all: Option<BTreeMap<String, String>>, name| {
        let entry = all.and_then(|mut all| all.remove_entry(name));
        Some(BTreeMap::from_iter(
            entry.filter(|(_, text)| text.len() <= LONGEST_ANNOTATION),
        ))
    };
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            annotations: only(metadata.annotations, labels::SPEC_HASH),
            labels: only(metadata.labels, labels::NETWORK),
            ..ObjectMeta::default()
        }),
        spec: template.spec.map(only_containers),
    }
}

/// Keeps the container names, which show whether a pod reports its peers and which container is stellar-core. Also
/// keeps the ports, and the environment, arguments and CSI volumes that name the seed.
pub(crate) fn only_containers(spec: PodSpec) -> PodSpec {
    let trimmed = |all: Vec<Container>| {
        keep_bounded(all, is_well_known)
            .into_iter()
            .map(trimmed_container)
            .collect()
    };
    PodSpec {
        init_containers: spec.init_containers.map(trimmed),
        containers: trimmed(spec.containers),
        volumes: spec.volumes.map(|mut volumes| {
            volumes.retain(|volume| volume.csi.is_some());
            volumes
        }),
        ..PodSpec::default()
    }
}

/// Whether a container has a well-known name or a seed.
fn is_well_known(container: &Container) -> bool {
    let name = container.name.as_str();
    let is_named = labels::CORE_CONTAINERS.contains(&name)
        || [
            labels::RENDER_CONTAINER,
            labels::HISTORY_CONTAINER,
            labels::HEALTH_CONTAINER,
        ]
        .contains(&name);
    is_named
        || container
            .env
            .iter()
            .flatten()
            .any(|variable| exclusivity::secret_of(variable).is_some())
}

/// Keeps up to [`MAX_ENTRIES`] matching items and as many others, in their order.
pub(crate) fn keep_bounded<T>(all: Vec<T>, matches: fn(&T) -> bool) -> Vec<T> {
    let (mut matching, mut others) = (0, 0);
    let mut kept = all;
    kept.retain(|one| {
        let count = if matches(one) { &mut matching } else { &mut others };
        *count += 1;
        *count <= MAX_ENTRIES
    });
    kept.shrink_to_fit();
    kept
}

fn trimmed_container(container: Container) -> Container {
    let env = container.env.map(|mut env| {
        env.retain(|variable| exclusivity::secret_of(variable).is_some());
        env.truncate(MAX_ENTRIES);
        env.shrink_to_fit();
        env
    });
    let ports = container.ports.map(|mut ports| {
        ports.truncate(MAX_ENTRIES);
        ports.shrink_to_fit();
        ports
    });
    Container {
        name: container.name,
        ports,
        env: env.filter(|env| !env.is_empty()),
        args: seeds::seed_file_of(container.args.as_deref()),
        ..Container::default()
    }
}

/// Keeps whether the pod is Ready, and why no node takes it.
pub(crate) fn trimmed_conditions(all: Vec<PodCondition>) -> Vec<PodCondition> {
    let is_read = |one: &PodCondition| one.type_ == "Ready" || one.type_ == "PodScheduled" && one.status == "False";
    let kept = all.into_iter().filter(is_read);
    kept.map(|mut one| {
        one.message = one.message.filter(|_| one.type_ != "Ready").as_deref().map(shortened);
        one
    })
    .collect()
}

/// Keeps the start time, the report of `render-config`, and why the container does not run.
pub(crate) fn trimmed_status(status: ContainerStatus) -> ContainerStatus {
    let blocks = may_block(&status);
    let is_report = status.name == labels::RENDER_CONTAINER && !blocks;
    let mut state = status.state.unwrap_or_default();
    if !blocks {
        state.waiting = None;
        state.terminated = state.terminated.filter(|_| is_report);
    }
    ContainerStatus {
        name: status.name,
        ready: status.ready,
        restart_count: status.restart_count,
        state: Some(if is_report { state } else { with_short_messages(state) }),
        last_state: status.last_state.filter(|_| blocks).map(with_short_messages),
        ..ContainerStatus::default()
    }
}

fn with_short_messages(mut state: ContainerState) -> ContainerState {
    if let Some(waiting) = &mut state.waiting {
        waiting.message = waiting.message.as_deref().map(shortened);
    }
    if let Some(ended) = &mut state.terminated {
        ended.message = ended.message.as_deref().map(shortened);
        ended.container_id = None;
    }
    state
}

pub(crate) fn shortened(message: &str) -> String {
    message.chars().take(LONGEST_MESSAGE).collect()
}
