//! What the caches keep of a pod, or of a template for one: its containers, and what says whose seed it has.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::trim::{LONGEST_ANNOTATION, MOST};
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

/// Which containers there are, by name, says whether a pod tells what it loaded, and which of them is stellar-core;
/// from which Secret, or from which file of a driver's volume, one takes its seed, whose seed it runs with.
pub(crate) fn only_containers(spec: PodSpec) -> PodSpec {
    let trimmed = |all: Vec<Container>| most(all, is_looked_for).into_iter().map(trimmed_container).collect();
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

/// A container of a name that somebody looks for, or with a seed.
fn is_looked_for(container: &Container) -> bool {
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

/// All that are looked for, up to as many as a pod of ours has, and as many others, in their order.
pub(crate) fn most<T>(all: Vec<T>, is_looked_for: fn(&T) -> bool) -> Vec<T> {
    let (mut named, mut others) = (0, 0);
    let mut kept = all;
    kept.retain(|one| {
        let count = if is_looked_for(one) { &mut named } else { &mut others };
        *count += 1;
        *count <= MOST
    });
    kept.shrink_to_fit();
    kept
}

fn trimmed_container(container: Container) -> Container {
    let env = container.env.map(|mut env| {
        env.retain(|variable| exclusivity::secret_of(variable).is_some());
        env.truncate(MOST);
        env.shrink_to_fit();
        env
    });
    let ports = container.ports.map(|mut ports| {
        ports.truncate(MOST);
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
