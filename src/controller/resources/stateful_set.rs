//! The StatefulSet of a validator: one pod whose `render-config` writes the config for stellar-core.

use serde_json::{Value, json};

use super::{
    Subject, container_security, new_db, new_hist, operator_resources, pod_security, pod_settings, selector, spec_hash,
};
use crate::core_config::{self, GroupArchives, pod_paths};
use crate::crd::{KeySource, Publish, StellarNodeSpec, StorageConfig, StorageMode};
use crate::labels::{self, BASE_VOLUME, CONFIG_VOLUME, DATA_VOLUME, PEERS_VOLUME, SEED_VOLUME, TMP_VOLUME};

/// stellar-core's official image, without a tag.
pub(super) const CORE_IMAGE: &str = "stellar/stellar-core";
/// How long stellar-core may take to close its ledger and its database. systemd grants the same in SDF's packages,
/// which set no other time (stellar/packages, `stellar-core.service`; systemd's `DefaultTimeoutStopSec`).
const TERMINATION_GRACE_SECONDS: i64 = 90;
/// Space for `stellar-core.cfg`, twice while it is replaced: some 100,000 peers. Without a limit the volume could use
/// all memory of the machine.
const CONFIG_LIMIT: &str = "16Mi";

pub(super) fn build(subject: &Subject<'_>) -> Value {
    let mut metadata = subject.metadata(&subject.name);
    metadata["annotations"] = json!({ labels::PEER_PORT: subject.config.peer_port().to_string() });
    let mut stateful_set = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata,
        "spec": {
            "replicas": replicas(subject.spec),
            "serviceName": labels::headless_service_name(&subject.name),
            // Under OrderedReady Kubernetes never replaces a pod that is not Ready.
            "podManagementPolicy": "Parallel",
            "updateStrategy": { "type": "RollingUpdate" },
            "selector": { "matchLabels": selector(&subject.name) },
            // With Delete, deleting the StatefulSet by hand would delete the claim.
            "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain", "whenScaled": "Retain" },
            "template": template(subject),
        },
    });
    if keeps_data(subject.spec) {
        stateful_set["spec"]["volumeClaimTemplates"] = json!([claim_template(subject)]);
    }
    stateful_set
}

/// Whether the data outlives the pod.
pub(super) fn keeps_data(spec: &StellarNodeSpec) -> bool {
    let mode = spec.storage.as_ref().map(StorageConfig::mode);
    mode != Some(StorageMode::EmptyDir)
}

/// Desired number of pods, at most one: two nodes with one seed harm consensus.
pub(super) fn replicas(spec: &StellarNodeSpec) -> i32 {
    i32::from(!spec.suspended)
}

fn template(subject: &Subject<'_>) -> Value {
    let mut annotations = subject.spec.pod.pod_annotations.clone().unwrap_or_default();
    annotations.insert(labels::SPEC_HASH.to_owned(), spec_hash(subject.spec));
    let default_container = annotations.entry(labels::DEFAULT_CONTAINER.to_owned());
    default_container.or_insert_with(|| labels::CORE_CONTAINER.to_owned());
    let mut volumes = vec![
        json!({ "name": BASE_VOLUME, "configMap": { "name": labels::config_map_name(&subject.name) } }),
        // Optional: a pod must be able to start before the first discovery.
        json!({ "name": PEERS_VOLUME,
                "configMap": { "name": subject.config.known_peers_config_map(), "optional": true } }),
        // The file contains the seed, so it stays in memory.
        json!({ "name": CONFIG_VOLUME, "emptyDir": { "medium": "Memory", "sizeLimit": CONFIG_LIMIT } }),
        json!({ "name": TMP_VOLUME, "emptyDir": {} }),
    ];
    if !keeps_data(subject.spec) {
        volumes.push(json!({ "name": DATA_VOLUME, "emptyDir": {} }));
    }
    volumes.extend(seed_from_driver(subject).map(|seed| seed.volume));
    let mut template = json!({
        "metadata": { "labels": pod_labels(subject), "annotations": annotations },
        "spec": {
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
            "securityContext": pod_security(),
            "affinity": anti_affinity(subject),
            "initContainers": init_containers(subject),
            "containers": [core(subject)],
            "volumes": volumes,
        },
    });
    pod_settings::merge_into(&mut template, &subject.spec.pod);
    template
}

/// The containers that run before stellar-core, in this order, and the native sidecars.
fn init_containers(subject: &Subject<'_>) -> Vec<Value> {
    let mut containers = vec![render_config(subject), new_db::build(subject)];
    containers.extend(new_hist::build(subject));
    containers.push(health(subject));
    if subject.publishes() == Publish::Volume {
        containers.push(history(subject));
    }
    containers
}

fn pod_labels(subject: &Subject<'_>) -> Value {
    let mut labels = subject.labels();
    labels[labels::PEERS] = json!(labels::peers_value(subject.config.known_peers_config_map()));
    labels[labels::NETWORK] = json!(subject.network().short_hash());
    labels
}

fn anti_affinity(subject: &Subject<'_>) -> Value {
    json!({ "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": {
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": { "matchLabels": {
                labels::NAME: labels::STELLAR_NODE, labels::COMPONENT: labels::VALIDATOR,
            } },
            "namespaces": [subject.namespace],
        },
    }] } })
}

fn mount(volume: &str, path: &str) -> Value {
    json!({ "name": volume, "mountPath": path })
}

fn render_config(subject: &Subject<'_>) -> Value {
    let mut container = json!({
        "name": labels::RENDER_CONTAINER,
        "image": subject.settings.operator_image,
        "command": ["stellar-operator"],
        "args": pod_paths::render_config_args(
            &subject.node(),
            seed_file(subject),
            subject.config.peers_as(),
            &subject.spec.version,
            (subject.publishes() == Publish::Volume).then_some(GroupArchives {
                dir: pod_paths::HISTORY_DIR,
                cluster_domain: &subject.settings.cluster_domain,
            }),
        ),
        "volumeMounts": [
            { "name": BASE_VOLUME, "mountPath": pod_paths::BASE_DIR, "readOnly": true },
            { "name": PEERS_VOLUME, "mountPath": pod_paths::PEERS_DIR, "readOnly": true },
            mount(CONFIG_VOLUME, pod_paths::CONFIG_DIR),
        ],
        "resources": operator_resources(),
        "securityContext": container_security(),
    });
    let of_pod = |name: &str, field: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": field } } });
    let mut env = vec![
        of_pod(pod_paths::POD_IP_ENV, "status.podIP"),
        of_pod(pod_paths::POD_NAME_ENV, "metadata.name"),
    ];
    if subject.config.key_source == KeySource::Secret {
        env.push(json!({
            "name": pod_paths::SEED_ENV,
            "valueFrom": { "secretKeyRef": { "name": subject.config.seed_secret_ref, "key": labels::SEED_KEY } },
        }));
    }
    if let Some(database) = &subject.config.database {
        env.push(json!({
            "name": pod_paths::DATABASE_ENV,
            "valueFrom": { "secretKeyRef": database.secret_key_ref },
        }));
    }
    container["env"] = json!(env);
    if let (Some(seed), Some(mounts)) = (seed_from_driver(subject), container["volumeMounts"].as_array_mut()) {
        mounts.push(seed.mount);
    }
    container
}

/// The volume with the seed's file, and its mount.
struct SeedVolume {
    volume: Value,
    mount: Value,
}

/// The volume of a CSI driver that provides the seed's file. Without a driver, an agent injects the file into the pod.
fn seed_from_driver(subject: &Subject<'_>) -> Option<SeedVolume> {
    let csi = subject.config.kms_config.as_ref()?.csi.as_ref()?;
    let dir = pod_paths::seed_dir(seed_file(subject)?).ok()?;
    let mut source = json!(csi);
    // Drivers for secrets require it.
    source["readOnly"] = json!(csi.read_only.unwrap_or(true));
    Some(SeedVolume {
        volume: json!({ "name": SEED_VOLUME, "csi": source }),
        mount: json!({ "name": SEED_VOLUME, "mountPath": dir, "readOnly": true }),
    })
}

fn seed_file<'a>(subject: &'a Subject<'_>) -> Option<&'a str> {
    let config = subject.config.kms_config.as_ref()?;
    (subject.config.key_source == KeySource::Kms).then_some(config.seed_path.as_str())
}

/// A native sidecar. The pod is Ready, which counts as voting, only while this container is ready.
fn health(subject: &Subject<'_>) -> Value {
    json!({
        "name": labels::HEALTH_CONTAINER,
        "image": subject.settings.operator_image,
        "restartPolicy": "Always",
        "command": ["stellar-operator"],
        "args": pod_paths::health_args(core_config::trusts_only_itself(subject.config)),
        "ports": [{ "name": "health", "containerPort": labels::HEALTH_PORT, "protocol": "TCP" }],
        "readinessProbe": {
            "httpGet": { "path": pod_paths::VOTING_PATH, "port": "health" },
            "periodSeconds": 5,
            "failureThreshold": 2,
        },
        "resources": operator_resources(),
        "securityContext": container_security(),
    })
}

/// A native sidecar that serves the archive on the validator's volume to the others of its group. It mounts that
/// directory alone. It has no probe: an unreadable archive says nothing about the validator's vote.
fn history(subject: &Subject<'_>) -> Value {
    json!({
        "name": labels::HISTORY_CONTAINER,
        "image": subject.settings.operator_image,
        "restartPolicy": "Always",
        "command": ["stellar-operator"],
        "args": pod_paths::history_args(),
        "ports": [{ "name": labels::HISTORY_CONTAINER, "containerPort": labels::HISTORY_PORT, "protocol": "TCP" }],
        "volumeMounts": [{
            "name": DATA_VOLUME, "mountPath": pod_paths::HISTORY_DIR, "subPath": pod_paths::HISTORY_SUBDIR, "readOnly": true,
        }],
        "resources": operator_resources(),
        "securityContext": container_security(),
    })
}

fn core(subject: &Subject<'_>) -> Value {
    let mut container = core_container(subject, labels::CORE_CONTAINER);
    container["command"] = json!(["stellar-core"]);
    container["args"] = json!(["run", "--conf", pod_paths::CONFIG_FILE, "--console"]);
    let port = subject.config.peer_port();
    container["ports"] = json!([{ "name": labels::PEER_PORT_NAME, "containerPort": port, "protocol": "TCP" }]);
    // Its HTTP port listens on localhost only; the sidecar reports whether it votes.
    container["readinessProbe"] = json!({ "tcpSocket": { "port": labels::PEER_PORT_NAME }, "periodSeconds": 5 });
    if let Some(credentials) = new_hist::credentials(subject.config) {
        container["envFrom"] = credentials;
    }
    container
}

/// A container with stellar-core's image, volumes and resources. Those that end before the main container starts need
/// no resources beyond its own.
pub(super) fn core_container(subject: &Subject<'_>, name: &str) -> Value {
    let image = subject.spec.image.as_deref().unwrap_or(CORE_IMAGE);
    let mut container = json!({
        "name": name,
        "image": format!("{image}:{}", subject.spec.version),
        "workingDir": pod_paths::DATA_DIR,
        "volumeMounts": [
            { "name": CONFIG_VOLUME, "mountPath": pod_paths::CONFIG_DIR, "readOnly": true },
            mount(DATA_VOLUME, pod_paths::DATA_DIR),
            mount(TMP_VOLUME, "/tmp"),
        ],
        "securityContext": container_security(),
    });
    if let Some(resources) = &subject.spec.resources {
        container["resources"] = json!(resources);
    }
    container
}

fn storage(subject: &Subject<'_>) -> StorageConfig {
    subject.spec.storage.clone().unwrap_or_default()
}

fn claim_template(subject: &Subject<'_>) -> Value {
    let storage = storage(subject);
    // Our label identifies a claim created from this template.
    let mut metadata = json!({ "name": DATA_VOLUME, "labels": subject.labels() });
    if let Some(annotations) = &storage.annotations {
        metadata["annotations"] = json!(annotations);
    }
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": super::claim::spec(&storage),
    })
}

/// The desired state of the claim that Kubernetes creates from the template; `None` where the data is deleted with the
/// pod.
pub(super) fn claim(subject: &Subject<'_>) -> Option<Value> {
    let name = labels::pod_claim_name(&subject.name);
    keeps_data(subject.spec).then(|| super::claim::build(subject.metadata(&name), &storage(subject)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::resources::{BuildSettings, build};
    use crate::crd::StellarNode;

    fn pod(spec: &Value) -> Value {
        let mut node = json!({
            "apiVersion": labels::API_VERSION, "kind": labels::KIND,
            "metadata": { "name": "validator-1", "namespace": "stellar", "uid": "1" },
            "spec": {
                "nodeType": "Validator", "network": "testnet", "version": "26.0.1",
                "validatorConfig": { "seedSecretRef": "seed" },
            },
        });
        json_patch::merge(&mut node["spec"], spec);
        let node: StellarNode = serde_json::from_value(node).unwrap();
        let settings = BuildSettings {
            operator_image: "stellar-operator:1".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
        };
        build(&node, &settings).unwrap().stateful_set["spec"]["template"]["spec"].take()
    }

    #[test]
    fn validators_avoid_each_others_machines_by_default() {
        let place = "/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm";
        let pod = pod(&json!({}));
        let term = pod.pointer(place).unwrap();
        assert_eq!(term["topologyKey"], "kubernetes.io/hostname");
        assert_eq!(term["namespaces"], json!(["stellar"]));
        // All validators of the namespace, not only its own pods.
        let labels = json!({ "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/component": "validator" });
        assert_eq!(term["labelSelector"]["matchLabels"], labels);
        assert_eq!(self::pod(&json!({ "affinity": {} }))["affinity"], json!({}));
    }

    #[test]
    fn a_seed_from_a_driver_is_mounted_for_render_config_alone() {
        let csi = json!({ "driver": "secrets.example.org", "volumeAttributes": { "class": "seed" },
            "nodePublishSecretRef": { "name": "credentials" } });
        let config = |source: &str| {
            let kms = json!({ "seedPath": "/mnt/secrets/seed", "csi": csi });
            json!({ "validatorConfig": { "keySource": source, "kmsConfig": kms } })
        };
        let with = pod(&config("KMS"));
        let mut volume = json!({ "name": "seed", "csi": csi });
        volume["csi"]["readOnly"] = json!(true);
        assert!(
            with["volumes"].as_array().unwrap().contains(&volume),
            "{}",
            with["volumes"]
        );
        let mount = json!({ "name": "seed", "mountPath": "/mnt/secrets", "readOnly": true });
        let render = &with["initContainers"][0];
        assert!(render["volumeMounts"].as_array().unwrap().contains(&mount), "{render}");
        assert_eq!(with.to_string().matches("/mnt/secrets\"").count(), 1, "{with}");
        assert!(!with.to_string().contains("STELLAR_CORE_SEED"));
        // An agent or the Secret needs no such volume.
        let mut agent = config("KMS");
        agent["validatorConfig"]["kmsConfig"]
            .as_object_mut()
            .unwrap()
            .remove("csi");
        for other in [pod(&agent), pod(&config("Secret"))] {
            assert!(!other.to_string().contains("csi"), "{other}");
        }
    }

    /// A quota on cpu or memory refuses a pod with a container without requests or limits.
    #[test]
    fn with_resources_in_the_spec_every_container_has_them() {
        let amount = json!({ "cpu": "2", "memory": "8Gi" });
        let pod = pod(&json!({ "resources": { "requests": amount, "limits": amount } }));
        let containers = ["initContainers", "containers"].map(|list| pod[list].as_array().unwrap().clone());
        let containers = containers.concat();
        assert_eq!(containers.len(), 4);
        for container in containers {
            let resources = &container["resources"];
            assert!(resources["limits"]["cpu"].is_string() && resources["limits"]["memory"].is_string());
            // The class is guaranteed only where requests equal limits.
            assert_eq!(resources["requests"], resources["limits"], "{}", container["name"]);
        }
    }
}
