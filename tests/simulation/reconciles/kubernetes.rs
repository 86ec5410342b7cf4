//! Simulates Kubernetes: garbage collection and the StatefulSet controller.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stellar_k8s::labels;

use super::cluster::{Cluster, replicas};

impl Cluster {
    /// Runs the garbage collector and the StatefulSet controller once.
    pub(super) fn kubernetes(&mut self) {
        let uids: BTreeSet<String> = self
            .nodes
            .values()
            .filter_map(|node| node.metadata.uid.clone())
            .collect();
        self.objects.retain(|_, object| {
            let owner = object["metadata"]["ownerReferences"][0]["uid"].as_str();
            owner.is_none_or(|owner| uids.contains(owner))
        });
        let sets: Vec<Value> = self
            .objects
            .iter()
            .filter(|((kind, _), _)| *kind == "StatefulSet")
            .map(|(_, set)| set.clone())
            .collect();
        for set in &sets {
            let (name, revision) = (set["metadata"]["name"].as_str().unwrap(), revision_of(set));
            self.revisions.insert(
                revision.clone(),
                json!({ "spec": { "template": set["spec"]["template"] } }),
            );
            for ordinal in 0..replicas(set) {
                let pod = format!("{name}-{ordinal}");
                if self
                    .pods
                    .get(&pod)
                    .is_some_and(|pod| !pod["metadata"]["ownerReferences"][0].is_object())
                {
                    self.pods.get_mut(&pod).unwrap()["metadata"]["ownerReferences"] = owner_of(set);
                }
                let is_other = |pod: &Value| pod["metadata"]["labels"][labels::REVISION] != *revision;
                if self.pods.get(&pod).is_some_and(is_other) {
                    self.pods.remove(&pod);
                }
                let made = self
                    .pods
                    .entry(pod.clone())
                    .or_insert_with(|| made_from(set, &pod, &revision));
                made["metadata"]["ownerReferences"] = owner_of(set);
            }
        }
        self.pods.retain(|name, pod| {
            let has_no_owner = !pod["metadata"]["ownerReferences"][0].is_object();
            let wanted = |set: &Value| {
                let ordinal = name.rsplit('-').next().and_then(|ordinal| ordinal.parse::<i64>().ok());
                is_owned(pod, set) && ordinal.is_some_and(|ordinal| ordinal < replicas(set))
            };
            has_no_owner || sets.iter().any(wanted)
        });
        for set in &sets {
            let count = self.pods.values().filter(|pod| is_owned(pod, set)).count();
            let status = json!({ "status": { "replicas": count, "readyReplicas": count } });
            let set = self.set(set["metadata"]["name"].as_str().unwrap()).unwrap();
            json_patch::merge(set, &status);
        }
    }
}

pub(super) fn owner_of(set: &Value) -> Value {
    let metadata = &set["metadata"];
    json!([{
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": metadata["name"], "uid": metadata["uid"], "controller": true,
    }])
}

pub(super) fn is_owned(pod: &Value, set: &Value) -> bool {
    pod["metadata"]["ownerReferences"][0]["uid"] == set["metadata"]["uid"]
}

pub(super) fn revision_of(set: &Value) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    set["spec"]["template"].to_string().hash(&mut hasher);
    format!("r{:x}", hasher.finish())
}

pub(super) fn made_from(set: &Value, name: &str, revision: &str) -> Value {
    let mut metadata = set["spec"]["template"]["metadata"].clone();
    metadata["name"] = json!(name);
    metadata["namespace"] = json!("stellar");
    metadata["labels"][labels::REVISION] = json!(revision);
    json!({ "metadata": metadata, "spec": set["spec"]["template"]["spec"], "status": { "phase": "Running" } })
}
