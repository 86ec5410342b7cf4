//! The simulated API server, the actions of users, and one reconcile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::core::DeserializeGuard;
use serde_json::{Value, json};
use stellar_k8s::controller::BuildSettings;
use stellar_k8s::controller::exclusivity::{self, Claims, Contest, Start};
use stellar_k8s::controller::node::decide::{Answer, Built, Decision, Settings, conclude, decide};
use stellar_k8s::controller::node::stored::{Orphan, Stored};
use stellar_k8s::controller::node::write::{Change, Write};
use stellar_k8s::crd::{GuardedNode, StellarNode};
use stellar_k8s::labels;

use super::kubernetes::is_owned;

/// Kind and name of an object.
pub(super) fn key(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

pub(super) const NAMES: [&str; 3] = ["a", "b", "c"];

/// An action of a user on one of the nodes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    Create,
    Delete,
    ChangeVersion,
    Suspend,
    Resume,
    /// Gives the node the shared seed, or its own again.
    MoveSeed,
    /// Scales its StatefulSet, if that has replicas.
    Scale(i32),
    EditService,
    DeleteService,
    /// Deletes its StatefulSet, with or without its pod.
    DeleteSet {
        orphan: bool,
    },
    /// Removes the label that makes its StatefulSet the operator's, or restores it.
    Label {
        ours: bool,
    },
    /// Removes the owner reference of its StatefulSet.
    Disown,
}

/// The fault of one reconcile.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fault {
    /// The operator dies before this write.
    pub(super) dies_before: Option<usize>,
    /// The API server refuses this write.
    pub(super) refuses: Option<usize>,
    /// Another program writes the StatefulSet between read and write.
    pub(super) overtaken: bool,
}

#[derive(Default)]
pub(super) struct Cluster {
    pub(super) nodes: BTreeMap<&'static str, StellarNode>,
    pub(super) objects: BTreeMap<(String, String), Value>,
    /// The pods, by name, and the ControllerRevisions, by name.
    pub(super) pods: BTreeMap<String, Value>,
    pub(super) revisions: BTreeMap<String, Value>,
    pub(super) claims: Claims,
    pub(super) version: u64,
    pub(super) moved_seeds: bool,
}

pub(super) fn settings() -> (BuildSettings, Settings) {
    let operator_image = "stellar-operator:1".to_owned();
    let build = BuildSettings {
        operator_image: operator_image.clone(),
        cluster_domain: "cluster.local".to_owned(),
    };
    let look_again = Duration::from_secs(60);
    (
        build,
        Settings {
            operator_image,
            look_again,
        },
    )
}

pub(super) fn replicas(set: &Value) -> i64 {
    set["spec"]["replicas"].as_i64().unwrap_or(1)
}

pub(super) fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"][labels::MANAGED_BY] == labels::OPERATOR
}

impl Cluster {
    pub(super) fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    pub(super) fn set(&mut self, name: &str) -> Option<&mut Value> {
        self.objects.get_mut(&key("StatefulSet", name))
    }

    pub(super) fn change(&mut self, kind: &str, name: &str, patch: &Value) {
        let version = self.next();
        if let Some(object) = self.objects.get_mut(&key(kind, name)) {
            json_patch::merge(object, patch);
            object["metadata"]["resourceVersion"] = json!(version.to_string());
        }
    }

    pub(super) fn happen(&mut self, name: &'static str, deed: Deed) {
        let edited = |change: Value, nodes: &mut BTreeMap<&'static str, StellarNode>| {
            if let Some(node) = nodes.get_mut(name) {
                let mut object = serde_json::to_value(&*node).unwrap();
                json_patch::merge(&mut object, &json!({ "spec": change }));
                *node = serde_json::from_value(object).unwrap();
            }
        };
        match deed {
            Deed::Create if !self.nodes.contains_key(name) => {
                let second = self.next();
                let node = json!({
                    "apiVersion": labels::API_VERSION, "kind": labels::KIND,
                    "metadata": {
                        "name": name, "namespace": "stellar", "uid": format!("{name}-{second}"),
                        "creationTimestamp": format!("2026-01-01T00:{:02}:{:02}Z", second / 60 % 60, second % 60),
                    },
                    "spec": {
                        "nodeType": "Validator", "network": "testnet", "version": "26.0.1",
                        "validatorConfig": { "seedSecretRef": if name == "c" { "own" } else { "shared" } },
                    },
                });
                self.nodes.insert(name, serde_json::from_value(node).unwrap());
            }
            Deed::Create => {}
            Deed::Delete => drop(self.nodes.remove(name)),
            Deed::ChangeVersion => {
                let other = self.nodes.get(name).is_some_and(|node| node.spec.version == "26.0.1");
                edited(
                    json!({ "version": if other { "26.1.0" } else { "26.0.1" } }),
                    &mut self.nodes,
                );
            }
            Deed::Suspend => edited(json!({ "suspended": true }), &mut self.nodes),
            Deed::Resume => edited(json!({ "suspended": false }), &mut self.nodes),
            Deed::MoveSeed => {
                self.moved_seeds = true;
                let node = self.nodes.get(name).map(|node| serde_json::to_value(node).unwrap());
                let has = node.is_some_and(|node| node["spec"]["validatorConfig"]["seedSecretRef"] == "shared");
                let seed = if has { "own" } else { "shared" };
                edited(json!({ "validatorConfig": { "seedSecretRef": seed } }), &mut self.nodes);
            }
            Deed::Scale(count) => {
                if self.set(name).is_some_and(|set| replicas(set) > 0) {
                    self.change("StatefulSet", name, &json!({ "spec": { "replicas": count } }));
                }
            }
            Deed::EditService => {
                let patch = json!({ "spec": { "clusterIP": "10.0.0.1" } });
                self.change("Service", &labels::headless_service_name(name), &patch);
            }
            Deed::DeleteService => drop(
                self.objects
                    .remove(&key("Service", &labels::headless_service_name(name))),
            ),
            Deed::DeleteSet { orphan } => {
                if let Some(set) = self.objects.remove(&key("StatefulSet", name))
                    && orphan
                {
                    for pod in self.pods.values_mut().filter(|pod| is_owned(pod, &set)) {
                        pod["metadata"]["ownerReferences"] = json!([]);
                    }
                }
            }
            Deed::Label { ours } => {
                let manager = if ours { labels::OPERATOR } else { "another" };
                let patch = json!({ "metadata": { "labels": { labels::MANAGED_BY: manager } } });
                self.change("StatefulSet", name, &patch);
            }
            Deed::Disown => {
                self.change("StatefulSet", name, &json!({ "metadata": { "ownerReferences": null } }));
            }
        }
    }

    pub(super) fn get<K: serde::de::DeserializeOwned>(&self, kind: &str, name: &str) -> Option<K> {
        let object = self.objects.get(&key(kind, name))?;
        Some(serde_json::from_value(object.clone()).unwrap())
    }

    pub(super) fn read<'a>(
        &self,
        node: &StellarNode,
        built: &Built,
        claims: &'a Claims,
    ) -> (Stored, Option<Start<'a>>) {
        let name = node.metadata.name.as_deref().unwrap();
        let mut stored = Stored {
            stateful_set: self.get("StatefulSet", name),
            service: self.get("Service", &labels::headless_service_name(name)),
            config_map: self.get("ConfigMap", &labels::config_map_name(name)),
            ..Stored::default()
        };
        let orphan = self
            .pods
            .get(&labels::pod_name(name))
            .filter(|_| stored.stateful_set.is_none());
        let orphan = orphan.filter(|pod| !pod["metadata"]["ownerReferences"][0].is_object());
        stored.orphan = orphan.map(|pod| {
            let revision = &self.revisions[pod["metadata"]["labels"][labels::REVISION].as_str().unwrap()];
            Orphan::Template(revision["spec"]["template"].clone())
        });
        let Built::Validator(objects) = built else {
            return (stored, None);
        };
        let kinds = exclusivity::taken_into_use(objects.replicas > 0, stored.stateful_set.as_ref());
        if kinds.is_empty() {
            return (stored, None);
        }
        let start = claims.start(node, &kinds).unwrap();
        let nodes: Vec<Arc<GuardedNode>> = self
            .nodes
            .values()
            .map(|node| Arc::new(DeserializeGuard(Ok(node.clone()))))
            .collect();
        let rivals = exclusivity::all_rivals(node, &nodes).into_iter();
        stored.contest = Contest {
            stateful_sets: rivals
                .filter_map(|rival| Some((rival.clone(), self.get("StatefulSet", &rival)?)))
                .collect(),
            claimed: start.claimed(),
            kinds,
            nodes,
            ..Contest::default()
        };
        let typed = |objects: Vec<&Value>| {
            objects
                .into_iter()
                .map(|object| serde_json::from_value(object.clone()).unwrap())
                .collect()
        };
        let sets = self
            .objects
            .iter()
            .filter(|((kind, _), _)| *kind == "StatefulSet")
            .map(|(_, set)| set)
            .collect();
        stored.contest.present.add_stateful_sets(typed(sets), node);
        let pods = self
            .pods
            .values()
            .map(|pod| serde_json::from_value(pod.clone()).unwrap())
            .collect();
        stored.contest.present.add_pods(pods, node);
        (stored, Some(start))
    }

    /// Runs one reconcile; returns the number of its writes.
    pub(super) fn reconcile(&mut self, name: &'static str, fault: Fault) -> usize {
        let Some(node) = self.nodes.get(name).cloned() else {
            return 0;
        };
        let (build, settings) = settings();
        let built = Built::of(&node, &build);
        let claims = std::mem::take(&mut self.claims);
        let mut done = 0;
        for _ in 0..3 {
            let (stored, start) = self.read(&node, &built, &claims);
            let decision = decide(&node, &built, &stored, &settings);
            if let Some(start) = start.as_ref().filter(|_| decision.starts) {
                start.claim(&node);
            }
            if fault.overtaken {
                self.change(
                    "StatefulSet",
                    name,
                    &json!({ "metadata": { "annotations": { "another": "x" } } }),
                );
            }
            let mut answer = Answer::default();
            for write in &decision.writes {
                if fault.dies_before == Some(done) {
                    // The operator's memory is lost with it.
                    return done;
                }
                if fault.refuses == Some(done) {
                    answer.refused = Some("no".to_owned());
                    break;
                }
                if !self.write(write) {
                    drop(start);
                    self.claims = claims;
                    return done;
                }
                done += 1;
            }
            drop(start);
            let Decision { again, .. } = decision;
            conclude(&node, decision, &answer, &stored, &settings);
            if !again || answer.refused.is_some() {
                break;
            }
        }
        self.claims = claims;
        done
    }

    /// Whether the API server accepts the write. It is a conflict if the object has changed since it was read.
    pub(super) fn write(&mut self, write: &Write) -> bool {
        let key = key(&write.resource.kind, &write.name);
        let before = self.objects.get(&key).cloned();
        let version = before
            .as_ref()
            .map(|object| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned());
        let (patch, read) = match &write.change {
            Change::Apply(object, _, read) => (object.clone(), read.clone()),
            Change::Metadata(patch, _) => {
                let read = patch["metadata"]["resourceVersion"].as_str().map(str::to_owned);
                (patch.clone(), read)
            }
            Change::Delete(_) => unreachable!("nothing of a validator is deleted: {write:?}"),
        };
        if read != version {
            return false;
        }
        let foreign = before.as_ref().filter(|object| !is_ours(object));
        assert_eq!(foreign, None, "{write:?} changes a foreign object");
        let number = self.next();
        let mut after = before
            .clone()
            .unwrap_or_else(|| json!({ "metadata": { "uid": format!("object-{number}") } }));
        json_patch::merge(&mut after, &patch);
        after["metadata"]["resourceVersion"] = json!(number.to_string());
        if write.resource.kind == "StatefulSet" {
            self.check_template(&write.name, before.as_ref(), &after);
        }
        self.objects.insert(key, after);
        true
    }
}
