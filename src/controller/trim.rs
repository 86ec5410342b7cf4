//! What the caches keep of an object, and which events wake discovery.
//!
//! `app.kubernetes.io/instance` is a label that every Helm chart sets, so that the caches hold the StatefulSets and pods of
//! the whole cluster, and of every ConfigMap its metadata. Whatever no code reads goes before it is stored; nothing that is
//! sent back to the API server comes from a cache. Whoever reads more than is kept here must keep it: the test below
//! compares what is decided from with and without.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, ContainerStatus, Namespace, PersistentVolumeClaim, Pod, PodSpec, PodStatus, PodTemplateSpec,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt as _};

use super::objects::GuardedNode;
use super::sole_use;
use crate::labels;

/// A kind that is kept in a cache.
pub(super) trait Cached: Resource<DynamicType = ()> {
    /// Drops what nobody reads.
    fn trim(&mut self);

    /// Whether a change of this object can change a decision about these nodes.
    fn concerns(&self, _nodes: &[Store<GuardedNode>]) -> bool {
        true
    }
}

/// `managedFields` and the annotation with what `kubectl apply` last applied are most of an object, and nothing reads them.
fn trim_metadata(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    let annotations = metadata.annotations.iter_mut();
    annotations.for_each(|annotations| annotations.retain(|name, _| is_ours(name)));
}

fn is_ours(annotation: &str) -> bool {
    annotation
        .strip_prefix(labels::GROUP)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Whether there is a StellarNode that this object belongs to by its label. One that comes later is an event of its own.
fn is_of_a_node(object: &impl Resource, nodes: &[Store<GuardedNode>]) -> bool {
    let instance = object.labels().get(labels::INSTANCE);
    let Some((instance, namespace)) = instance.zip(object.namespace()) else {
        return false;
    };
    let reference = ObjectRef::new(instance).within(&namespace);
    nodes.iter().any(|store| store.get(&reference).is_some())
}

impl Cached for GuardedNode {
    /// When a manager wrote is read, and the whole spec.
    fn trim(&mut self) {
        let metadata = self.meta_mut();
        let managers = metadata.managed_fields.take();
        trim_metadata(metadata);
        metadata.managed_fields = managers.map(|mut managers| {
            managers.iter_mut().for_each(|manager| manager.fields_v1 = None);
            managers
        });
    }
}

impl Cached for StatefulSet {
    fn trim(&mut self) {
        trim_metadata(&mut self.metadata);
        self.spec = self.spec.take().map(|spec| StatefulSetSpec {
            replicas: spec.replicas,
            selector: spec.selector,
            template: trimmed_template(spec.template),
            update_strategy: spec.update_strategy,
            volume_claim_templates: spec
                .volume_claim_templates
                .map(|claims| claims.into_iter().map(only_name_of_claim).collect()),
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

fn trimmed_template(template: PodTemplateSpec) -> PodTemplateSpec {
    let spec_hash = template
        .metadata
        .and_then(|metadata| metadata.annotations?.remove_entry(labels::SPEC_HASH));
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            annotations: Some(BTreeMap::from_iter(spec_hash)),
            ..ObjectMeta::default()
        }),
        spec: template.spec.map(only_containers),
    }
}

/// Which containers there are, by name, says whether a pod tells what it loaded, and which of them is stellar-core; from which
/// Secret one takes its seed, whose seed it runs with.
fn only_containers(spec: PodSpec) -> PodSpec {
    let trimmed = |all: Vec<Container>| all.into_iter().map(trimmed_container).collect();
    PodSpec {
        init_containers: spec.init_containers.map(trimmed),
        containers: trimmed(spec.containers),
        ..PodSpec::default()
    }
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

fn trimmed_container(container: Container) -> Container {
    let env = container.env.map(|mut env| {
        env.retain(|variable| sole_use::secret_of(variable).is_some());
        env
    });
    Container {
        name: container.name,
        ports: container.ports,
        env: env.filter(|env| !env.is_empty()),
        ..Container::default()
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
            conditions: status
                .conditions
                .map(|all| all.into_iter().filter(|one| one.type_ == "Ready").collect()),
            container_statuses: status
                .container_statuses
                .map(|all| all.into_iter().map(only_state).collect()),
            init_container_statuses: status.init_container_statuses.map(|all| {
                let render = |one: &ContainerStatus| one.name == labels::RENDER_CONTAINER;
                all.into_iter().filter(render).map(only_state).collect()
            }),
            ..PodStatus::default()
        });
    }

    fn concerns(&self, nodes: &[Store<GuardedNode>]) -> bool {
        is_of_a_node(self, nodes)
    }
}

fn only_state(status: ContainerStatus) -> ContainerStatus {
    ContainerStatus {
        name: status.name,
        ready: status.ready,
        state: status.state,
        ..ContainerStatus::default()
    }
}

/// The lists of peers.
impl Cached for ConfigMap {
    fn trim(&mut self) {
        trim_metadata(&mut self.metadata);
        self.binary_data = None;
    }
}

/// All ConfigMaps.
impl Cached for PartialObjectMeta<ConfigMap> {
    fn trim(&mut self) {
        trim_metadata(&mut self.metadata);
        let labels = self.metadata.labels.iter_mut();
        labels.for_each(|all| all.retain(|name, _| [labels::MANAGED_BY, labels::NETWORK].contains(&name.as_str())));
        self.metadata.owner_references = None;
    }

    /// Only those whose name some node gives to its list.
    fn concerns(&self, nodes: &[Store<GuardedNode>]) -> bool {
        let namespace = self.namespace();
        let name = self.name_any();
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
        self.status = None;
    }
}

impl Cached for Lease {
    fn trim(&mut self) {
        trim_metadata(&mut self.metadata);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube::core::DeserializeGuard;
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;
    use crate::clock;
    use crate::controller::objects::Objects;
    use crate::controller::resources::{self, BuildSettings};
    use crate::crd::StellarNode;

    fn node() -> StellarNode {
        serde_json::from_value(json!({
            "apiVersion": labels::API_VERSION,
            "kind": labels::KIND,
            "metadata": {
                "name": "validator-1", "namespace": "stellar", "uid": "1", "generation": 3,
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{}", labels::APPROVE_RESTART: "abc",
                },
                "managedFields": [{ "manager": "kubectl", "time": "2026-01-01T00:00:00Z", "fieldsV1": { "f:spec": {} } }],
            },
            "spec": {
                "nodeType": "Validator", "network": "testnet", "version": "26.0.1",
                "validatorConfig": { "seedSecretRef": "seed" },
            },
        }))
        .unwrap()
    }

    fn with_metadata(mut object: Value, metadata: &Value) -> Value {
        let into = object["metadata"].as_object_mut().unwrap();
        into.extend(metadata.as_object().unwrap().clone());
        object
    }

    fn stateful_set() -> StatefulSet {
        let settings = BuildSettings {
            operator_image: "operator".to_owned(),
        };
        let built = resources::build(&node(), &settings).unwrap().stateful_set;
        let mut object = with_metadata(
            built,
            &json!({
                "uid": "2", "resourceVersion": "7", "generation": 4,
                "managedFields": [{ "manager": "kubectl", "fieldsV1": { "f:spec": {} } }],
                "annotations": {
                    "deployment.example/notes": "long", labels::TURN_GIVEN_BACK: "2026-01-01T00:00:00Z",
                    labels::MEMBER: json!({
                        "joined": "2026-01-01T00:00:00Z", "port": 11625, "address": "10.0.0.1:11625",
                        "since": "2026-01-01T00:00:00Z",
                    }).to_string(),
                    labels::LAST_RESTART: json!({ "at": "2026-01-01T00:00:00Z", "view": "v" }).to_string(),
                    labels::LOADED_PEERS: json!({ "podUID": "3", "view": "v" }).to_string(),
                },
            }),
        );
        object["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
        object["status"] = json!({
            "replicas": 1, "observedGeneration": 4, "updateRevision": "validator-1-b", "currentRevision": "validator-1-a",
        });
        serde_json::from_value(object).unwrap()
    }

    fn pod() -> Pod {
        let template = json!(stateful_set().spec.unwrap().template);
        let mut object = with_metadata(
            json!({ "metadata": template["metadata"], "spec": template["spec"] }),
            &json!({
                "name": "validator-1-0", "namespace": "stellar", "uid": "3", "resourceVersion": "8",
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "validator-1", "uid": "2", "controller": true,
                }],
            }),
        );
        object["metadata"]["labels"]["controller-revision-hash"] = json!("validator-1-a");
        let status = |name: &str, state: Value| {
            json!({
                "name": name, "image": "an image", "imageID": "its digest", "ready": true, "restartCount": 2,
                "lastState": { "terminated": { "exitCode": 1, "message": "long" } }, "state": state,
            })
        };
        let running = json!({ "running": { "startedAt": "2026-01-01T00:00:10Z" } });
        let message = crate::peers::Report::of_nothing().to_message("G");
        let ended = json!({ "terminated": {
            "exitCode": 0, "finishedAt": "2026-01-01T00:00:09Z", "message": message,
        } });
        object["status"] = json!({
            "phase": "Running", "podIP": "fd00::1", "podIPs": [{ "ip": "fd00::1" }, { "ip": "10.0.0.1" }],
            "conditions": [
                { "type": "Initialized", "status": "True" },
                { "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:20Z" },
            ],
            "containerStatuses": [status(labels::CORE_CONTAINERS[0], running.clone()), status("exporter", running)],
            "initContainerStatuses": [status(labels::RENDER_CONTAINER, ended.clone()), status("new-db", ended)],
        });
        serde_json::from_value(object).unwrap()
    }

    fn list() -> ConfigMap {
        serde_json::from_value(json!({
            "metadata": {
                "name": "stellar-peers", "namespace": "stellar", "uid": "4", "resourceVersion": "9",
                "labels": { labels::MANAGED_BY: labels::OPERATOR, labels::NETWORK: "n" }, "annotations": { "a": "b" },
            },
            "data": { labels::KNOWN_PEERS: "10.0.0.1:11625" },
        }))
        .unwrap()
    }

    fn foreign() -> PartialObjectMeta<ConfigMap> {
        serde_json::from_value(json!({ "metadata": {
            "name": "stellar-peers", "namespace": "stellar", "uid": "5", "resourceVersion": "9",
            "labels": { "app": "somebody's" },
        } }))
        .unwrap()
    }

    fn trimmed<K: Cached>(mut object: K) -> K {
        object.trim();
        object
    }

    /// A pod whose core container serves and that does not vote, and a StatefulSet that names its core container otherwise.
    fn unready_and_foreign(mut objects: Objects) -> Objects {
        let pod = Arc::make_mut(&mut objects.pods[0]);
        let conditions = pod.status.as_mut().unwrap().conditions.as_mut().unwrap();
        conditions.iter_mut().for_each(|one| one.status = "False".to_owned());
        let set = Arc::make_mut(&mut objects.stateful_sets[0]);
        let template = set.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
        template.containers[0].name = "core".to_owned();
        objects
    }

    /// Everything, in the order of the watches.
    fn objects(is_trimmed: bool) -> Objects {
        fn one<K: Cached>(object: K, is_trimmed: bool) -> Vec<Arc<K>> {
            vec![Arc::new(if is_trimmed { trimmed(object) } else { object })]
        }
        Objects {
            nodes: one(DeserializeGuard(Ok(node())), is_trimmed),
            stateful_sets: one(stateful_set(), is_trimmed),
            pods: one(pod(), is_trimmed),
            lists: one(list(), is_trimmed),
            foreign: one(foreign(), is_trimmed),
            ..Objects::default()
        }
    }

    #[test]
    fn what_is_decided_from_is_the_same_with_and_without() {
        let now = clock::now();
        let [full, kept] = [false, true].map(|is_trimmed| format!("{:#?}", objects(is_trimmed).snapshot(now)));
        assert_eq!(full, kept);
        let others = [false, true].map(|is_trimmed| unready_and_foreign(objects(is_trimmed)));
        let [other_full, other_kept] = others.map(|objects| format!("{:#?}", objects.snapshot(now)));
        assert_eq!(other_full, other_kept);
        for needle in ["ready: true", "voting_since: None", "convertible: false"] {
            assert!(other_full.contains(needle), "{needle} in {other_full}");
        }
        // The objects are worth comparing: nothing of this is absent.
        for needle in [
            "validator-1-b",
            "10.0.0.1",
            "Loaded {",
            "waits_for_person: true",
            "reports: true",
        ] {
            assert!(full.contains(needle), "{needle} in {full}");
        }
        for absent in [
            "member: None",
            "last_restart: None",
            "given_back: None",
            "assumed: None",
            "voting_since: None",
        ] {
            assert!(!full.contains(absent), "{absent} in {full}");
        }
    }

    #[test]
    fn most_of_an_object_goes() {
        fn size(object: &impl serde::Serialize) -> usize {
            serde_json::to_string(object).unwrap().len()
        }
        let (set, pod) = (stateful_set(), pod());
        let sizes = [
            ("StatefulSet", size(&set), size(&trimmed(set.clone()))),
            ("Pod", size(&pod), size(&trimmed(pod.clone()))),
        ];
        for (kind, before, after) in sizes {
            assert!(after * 3 < before, "{kind}: {before} → {after}");
        }
        assert_eq!(trimmed(foreign()).metadata.labels, Some(BTreeMap::new()));
        let managers = trimmed(DeserializeGuard(Ok(node())))
            .meta()
            .managed_fields
            .clone()
            .unwrap();
        assert!(managers[0].fields_v1.is_none() && managers[0].time.is_some());
    }

    #[test]
    fn only_what_belongs_to_a_node_wakes_anybody() {
        let (reader, mut writer) = store::<GuardedNode>();
        let nobody = [reader.clone()];
        assert!(!pod().concerns(&nobody) && !stateful_set().concerns(&nobody) && !foreign().concerns(&nobody));
        writer.apply_watcher_event(&Event::Apply(DeserializeGuard(Ok(node()))));
        let nodes = [reader];
        assert!(pod().concerns(&nodes) && stateful_set().concerns(&nodes) && foreign().concerns(&nodes));
        let mut other = pod();
        other.metadata.namespace = Some("elsewhere".to_owned());
        assert!(!other.concerns(&nodes));
        let mut other = foreign();
        other.metadata.name = Some("kube-root-ca.crt".to_owned());
        assert!(!other.concerns(&nodes));
    }
}
