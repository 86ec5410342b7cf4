//! The mutation of a validator's StatefulSet as it is usually written in Rust: with kube's review types, a typed
//! object, and the patch as the difference of the objects.

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMapKeySelector, Container, ContainerPort, EnvVar, EnvVarSource};
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use stellar_k8s::crd::default_peer_port;
use stellar_k8s::labels;

/// Answers a review.
pub(crate) fn mutate(body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let review: AdmissionReview<StatefulSet> = serde_json::from_slice(body)?;
    let request: AdmissionRequest<StatefulSet> = review.try_into()?;
    let response = AdmissionResponse::from(&request);
    let before = request.object.context("no object")?;
    let mut after = before.clone();
    add_known_peers(&mut after);
    let patch = json_patch::diff(&serde_json::to_value(&before)?, &serde_json::to_value(&after)?);
    let response = if patch.0.is_empty() {
        response
    } else {
        response.with_patch(patch)?
    };
    Ok(serde_json::to_vec(&response.into_review())?)
}

fn add_known_peers(set: &mut StatefulSet) {
    let labelled = set.metadata.labels.as_ref().is_some_and(|labels| {
        labels
            .get(labels::NAME)
            .is_some_and(|name| name == labels::STELLAR_NODE)
            && labels
                .get(labels::COMPONENT)
                .is_some_and(|component| component == labels::VALIDATOR)
    });
    let pod = set.spec.as_mut().and_then(|spec| spec.template.spec.as_mut());
    let Some(core) = pod
        .filter(|_| labelled)
        .and_then(|pod| core_container(&mut pod.containers))
    else {
        return;
    };
    let port = default_peer_port();
    let env = core.env.get_or_insert_default();
    if env.iter().all(|entry| entry.name != labels::KNOWN_PEERS) {
        env.push(EnvVar {
            name: labels::KNOWN_PEERS.to_owned(),
            value_from: Some(EnvVarSource {
                config_map_key_ref: Some(ConfigMapKeySelector {
                    name: labels::DEFAULT_PEERS_CONFIG_MAP.to_owned(),
                    key: labels::KNOWN_PEERS.to_owned(),
                    optional: Some(true),
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        });
    }
    let ports = core.ports.get_or_insert_default();
    if ports.iter().all(|each| each.container_port != i32::from(port)) {
        ports.push(ContainerPort {
            name: Some(labels::PEER_PORT_NAME.to_owned()),
            container_port: i32::from(port),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        });
    }
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations
        .entry(labels::PEER_PORT.to_owned())
        .or_insert_with(|| port.to_string());
}

/// The container with a usual name, otherwise the only one.
fn core_container(containers: &mut [Container]) -> Option<&mut Container> {
    let named = labels::CORE_CONTAINERS
        .iter()
        .find_map(|name| containers.iter().position(|container| container.name == *name));
    let only = (containers.len() == 1).then_some(0);
    containers.get_mut(named.or(only)?)
}
