//! The Deployment of a Horizon or a SorobanRpc.
//!
//! The pod template depends on the spec alone and carries the spec hash. The whole Deployment is applied only when that
//! hash changes, so a new version of the operator restarts no pod. At other times the operator repairs only the fields
//! of [`kept`].

use serde_json::{Value, json};

use super::{CONFIG_DIR, DATA_DIR, Kind, Server, horizon, rpc};
use crate::controller::resources::{
    BuildError, claim, container_security, pod_security, pod_settings, selector, spec_hash,
};
use crate::labels::{self, CONFIG_VOLUME, DATA_VOLUME, TMP_VOLUME};

/// How long a server may take to finish its requests and stop its captive core.
const TERMINATION_GRACE_SECONDS: i64 = 60;
/// How long a server may take until it listens: stellar-rpc allows 50 minutes for its bootstrap (`ingestion-timeout`).
const STARTUP_SECONDS: i64 = 3600;
const STARTUP_PERIOD_SECONDS: i64 = 10;
/// How long a rollout may make no progress before it counts as stuck; longer than a start takes.
const PROGRESS_DEADLINE_SECONDS: i64 = 2 * STARTUP_SECONDS;

pub(super) fn build(server: &Server<'_>) -> Result<Value, BuildError> {
    let mut deployment = kept(server);
    deployment["spec"] = json!({
        "replicas": server.replicas(),
        "selector": { "matchLabels": selector(&server.name) },
        "strategy": strategy(server),
        "progressDeadlineSeconds": PROGRESS_DEADLINE_SECONDS,
        "template": template(server)?,
    });
    Ok(deployment)
}

/// The fields of the Deployment that are repaired at any time: labels, owner and replicas, not the pod template.
pub(super) fn kept(server: &Server<'_>) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": server.metadata(&server.name),
        "spec": { "replicas": server.replicas() },
    })
}

fn strategy(server: &Server<'_>) -> Value {
    if server.storage_with_claim().is_some() {
        // Two pods cannot write one database, and pods on two machines cannot mount one volume.
        json!({ "type": "Recreate" })
    } else {
        // A pod that serves stays until its replacement serves.
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } })
    }
}

fn template(server: &Server<'_>) -> Result<Value, BuildError> {
    let mut annotations = json!(server.spec.pod.pod_annotations.clone().unwrap_or_default());
    annotations[labels::SPEC_HASH] = json!(spec_hash(server.spec));
    let mut volumes = vec![data_volume(server), json!({ "name": TMP_VOLUME, "emptyDir": {} })];
    if server.kind.has_captive_core() {
        let name = labels::config_map_name(&server.name);
        volumes.push(json!({ "name": CONFIG_VOLUME, "configMap": { "name": name } }));
    }
    let mut template = json!({
        "metadata": { "labels": server.metadata(&server.name)["labels"], "annotations": annotations },
        "spec": {
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
            "securityContext": pod_security(),
            "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
                "weight": 100,
                "podAffinityTerm": {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": { "matchLabels": selector(&server.name) },
                },
            }] } },
            "containers": [container(server)?],
            "volumes": volumes,
        },
    });
    pod_settings::merge_into(&mut template, &server.spec.pod);
    Ok(template)
}

fn container(server: &Server<'_>) -> Result<Value, BuildError> {
    let (name, image, env, readiness) = match server.kind {
        Kind::Horizon(config) => (
            labels::HORIZON_CONTAINER,
            horizon::IMAGE,
            horizon::environment(server, config)?,
            horizon::readiness(),
        ),
        Kind::SorobanRpc(config) => (
            labels::RPC_CONTAINER,
            rpc::IMAGE,
            rpc::environment(server, config)?,
            rpc::readiness(),
        ),
    };
    let mut mounts = vec![
        json!({ "name": DATA_VOLUME, "mountPath": DATA_DIR }),
        json!({ "name": TMP_VOLUME, "mountPath": "/tmp" }),
    ];
    if server.kind.has_captive_core() {
        mounts.push(json!({ "name": CONFIG_VOLUME, "mountPath": CONFIG_DIR, "readOnly": true }));
    }
    let mut container = json!({
        "name": name,
        "image": format!("{}:{}", server.spec.image.as_deref().unwrap_or(image), server.spec.version),
        "workingDir": DATA_DIR,
        "env": env,
        "ports": [
            { "name": labels::API_PORT_NAME, "containerPort": labels::API_PORT, "protocol": "TCP" },
            { "name": labels::ADMIN_PORT_NAME, "containerPort": labels::ADMIN_PORT, "protocol": "TCP" },
        ],
        "readinessProbe": readiness,
        // Only checks that it listens: a halted network or a lost database is no reason for a restart.
        "livenessProbe": { "tcpSocket": { "port": labels::API_PORT_NAME }, "periodSeconds": 20, "failureThreshold": 6 },
        "startupProbe": {
            "tcpSocket": { "port": labels::API_PORT_NAME },
            "periodSeconds": STARTUP_PERIOD_SECONDS,
            "failureThreshold": STARTUP_SECONDS / STARTUP_PERIOD_SECONDS,
        },
        "volumeMounts": mounts,
        "securityContext": container_security(),
    });
    if let Some(resources) = &server.spec.resources {
        container["resources"] = json!(resources);
    }
    Ok(container)
}

fn data_volume(server: &Server<'_>) -> Value {
    if server.storage_with_claim().is_some() {
        let claim = labels::claim_name(&server.name);
        return json!({ "name": DATA_VOLUME, "persistentVolumeClaim": { "claimName": claim } });
    }
    match server.storage() {
        Some(storage) if server.kind.has_captive_core() => {
            let mut metadata = json!({ "labels": server.metadata(&server.name)["labels"] });
            if let Some(annotations) = &storage.annotations {
                metadata["annotations"] = json!(annotations);
            }
            let claim = json!({ "metadata": metadata, "spec": claim::spec(storage) });
            json!({ "name": DATA_VOLUME, "ephemeral": { "volumeClaimTemplate": claim } })
        }
        Some(_) | None => json!({ "name": DATA_VOLUME, "emptyDir": {} }),
    }
}
