//! The fields that the caches keep of a pod or a pod template: its containers, and the source of its seed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::trim::{LONGEST_ANNOTATION, MAX_ENTRIES};
use crate::controller::exclusivity::{self, seeds};
use crate::labels;

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
