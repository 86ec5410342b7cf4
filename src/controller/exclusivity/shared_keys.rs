//! Running pods that report the same public key on one network: one seed runs twice, in Secrets of whatever names.
//! Pure.
//!
//! A report proves nothing: anyone who can run a pod can let it report another's key. So a shared key is only reported.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use stellar_strkey::ed25519::PublicKey;

use super::seeds;
use crate::controller::model::conditions::{Finding, SeedInUse};
use crate::crd::GuardedNode;
use crate::labels;
use crate::peers::{NodeId, reported_public_key};

/// Most pods that a message names.
const MAX_NAMED: usize = 3;

/// A key that a validator's pod and other running pods report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedKey {
    pub key: String,
    /// A few of the other pods, as namespace/name.
    pub pods: Vec<String>,
}

/// The validators whose pod reports the key of another pod.
pub fn find(
    nodes: &[Arc<GuardedNode>],
    stateful_sets: &[Arc<StatefulSet>],
    pods: &[Arc<Pod>],
) -> BTreeMap<NodeId, SharedKey> {
    let mut by_key: BTreeMap<&str, Vec<&Arc<Pod>>> = BTreeMap::new();
    for pod in pods {
        if let Some(key) = reported_key(pod) {
            by_key.entry(key).or_default().push(pod);
        }
    }
    by_key.retain(|_, pods| pods.len() > 1);
    let mut found = BTreeMap::new();
    if by_key.is_empty() {
        return found;
    }
    let owners: HashMap<String, String> = stateful_sets.iter().filter_map(|set| seeds::owner(set)).collect();
    let readable = nodes.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    let ids: HashMap<String, NodeId> = readable
        .filter_map(|node| Some((node.uid()?, NodeId::new(node.namespace()?, node.name_any()))))
        .collect();
    for (key, mut pods) in by_key {
        pods.sort_by_key(|pod| name_of(pod));
        let owner = |pod: &Pod| seeds::controller(&pod.metadata).and_then(|set| owners.get(set));
        let networks: Vec<_> = pods
            .iter()
            .map(|pod| seeds::network_of(&pod.metadata, owner(pod), nodes))
            .collect();
        // The first few pods of each network suffice for the message.
        let mut first: BTreeMap<&Option<String>, Vec<usize>> = BTreeMap::new();
        for (index, network) in networks.iter().enumerate() {
            let first = first.entry(network).or_default();
            if first.len() <= MAX_NAMED {
                first.push(index);
            }
        }
        for (index, pod) in pods.iter().enumerate() {
            let Some(id) = owner(pod).and_then(|owner| ids.get(owner)) else {
                continue;
            };
            // An unknown network may be the same.
            let sharing: Vec<usize> = match &networks[index] {
                None => first.values().flatten().take(MAX_NAMED + 1).copied().collect(),
                known => [known, &None]
                    .iter()
                    .filter_map(|network| first.get(network))
                    .flatten()
                    .copied()
                    .collect(),
            };
            let others = sharing.into_iter().filter(|other| *other != index);
            let names: Vec<String> = others.take(MAX_NAMED).map(|other| name_of(pods[other])).collect();
            if !names.is_empty() {
                let shared = SharedKey {
                    key: key.to_owned(),
                    pods: names,
                };
                found.entry(id.clone()).or_insert(shared);
            }
        }
    }
    found
}

impl SharedKey {
    /// The condition of both validators.
    pub fn finding(&self) -> Finding {
        let message = format!(
            "its pod reports the public key {}, and so does {}: two nodes with one seed harm consensus; suspend one of the two \
             at once, and give it a seed of its own",
            self.key,
            self.pods.join(", "),
        );
        Finding::new(SeedInUse::SeedInUse, true, message).warning()
    }
}

/// The public key that `render-config` of a running pod reported; `None` if it is no valid key.
fn reported_key(pod: &Pod) -> Option<&str> {
    let status = pod.status.as_ref()?;
    let mut all = status.init_container_statuses.iter().flatten();
    let render = all.find(|one| one.name == labels::RENDER_CONTAINER)?;
    let ended = render.state.as_ref()?.terminated.as_ref()?;
    let key = reported_public_key(ended.message.as_deref()?)?;
    let is_running = status.phase.as_deref() == Some("Running");
    (is_running && PublicKey::from_string(key).is_ok()).then_some(key)
}

fn name_of(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use serde_json::{Value, json};

    use super::*;
    use crate::crd::Network;
    use crate::peers::Report;

    fn node(namespace: &str, name: &str) -> Arc<GuardedNode> {
        let node = json!({
            "apiVersion": labels::API_VERSION, "kind": labels::KIND,
            "metadata": { "name": name, "namespace": namespace, "uid": format!("node-{namespace}-{name}") },
            "spec": {
                "nodeType": "Validator", "network": "testnet", "version": "1",
                "validatorConfig": { "seedSecretRef": name },
            },
        });
        Arc::new(DeserializeGuard(Ok(serde_json::from_value(node).unwrap())))
    }

    fn owner(kind: &str, uid: &str) -> Value {
        json!([{ "apiVersion": "v1", "kind": kind, "name": "any", "uid": uid, "controller": true }])
    }

    fn set(namespace: &str, name: &str) -> Arc<StatefulSet> {
        let owner = owner(labels::KIND, &format!("node-{namespace}-{name}"));
        let metadata = json!({ "name": name, "namespace": namespace, "uid": format!("set-{namespace}-{name}"), "ownerReferences": owner });
        Arc::new(serde_json::from_value(json!({ "metadata": metadata })).unwrap())
    }

    fn key(number: u8) -> String {
        PublicKey([number; 32]).to_string().as_str().to_owned()
    }

    /// A pod of a StatefulSet on testnet that reports this key.
    fn pod(namespace: &str, set: &str, ordinal: u8, key: &str) -> Value {
        json!({
            "metadata": {
                "name": format!("{set}-{ordinal}"), "namespace": namespace,
                "labels": { labels::NETWORK: Network::parse("testnet").short_hash() },
                "ownerReferences": owner("StatefulSet", &format!("set-{namespace}-{set}")),
            },
            "status": { "phase": "Running", "initContainerStatuses": [{
                "name": labels::RENDER_CONTAINER, "image": "i", "imageID": "i", "ready": true, "restartCount": 0,
                "state": { "terminated": { "exitCode": 0, "message": Report::of_nothing().to_message(key) } },
            }] },
        })
    }

    fn found(pods: &[Value]) -> BTreeMap<String, SharedKey> {
        let nodes = [node("n", "a"), node("n", "b"), node("m", "a")];
        let sets = [set("n", "a"), set("n", "b"), set("m", "a")];
        let pods: Vec<_> = pods
            .iter()
            .map(|pod| Arc::new(serde_json::from_value(pod.clone()).unwrap()))
            .collect();
        let found = find(&nodes, &sets, &pods);
        found.into_iter().map(|(id, shared)| (id.to_string(), shared)).collect()
    }

    #[test]
    fn two_running_pods_with_one_key_are_reported_on_both_in_any_namespaces() {
        let mine = pod("n", "a", 0, &key(1));
        let changed = |mut pod: Value, pointer: &str, value: Value| {
            *pod.pointer_mut(pointer).unwrap() = value;
            pod
        };
        let network = "/metadata/labels/stellar.org~1network";
        let message = "/status/initContainerStatuses/0/state/terminated/message";
        let futurenet = json!(Network::parse("futurenet").short_hash());
        let elsewhere = pod("m", "a", 0, &key(1));
        let long = json!("1 30 - - - \u{1b}[31mred, no key...");
        for (what, other, expected) in [
            ("in its namespace", pod("n", "b", 0, &key(1)), vec!["n/a", "n/b"]),
            ("in another", elsewhere.clone(), vec!["m/a", "n/a"]),
            ("another key", pod("n", "b", 0, &key(2)), vec![]),
            ("a second pod of its own", pod("n", "a", 1, &key(1)), vec!["n/a"]),
            (
                "without an owner",
                changed(elsewhere.clone(), "/metadata/ownerReferences", json!([])),
                vec!["n/a"],
            ),
            (
                "on another network",
                changed(elsewhere.clone(), network, futurenet),
                vec![],
            ),
            (
                "on a network that is not known",
                changed(elsewhere.clone(), "/metadata/labels", json!({})),
                vec!["m/a", "n/a"],
            ),
            (
                "has ended",
                changed(elsewhere.clone(), "/status/phase", json!("Succeeded")),
                vec![],
            ),
            (
                "has not started",
                changed(elsewhere.clone(), "/status/phase", json!("Pending")),
                vec![],
            ),
            ("reports no key", changed(elsewhere, message, long), vec![]),
        ] {
            let found = found(&[mine.clone(), other.clone()]);
            assert_eq!(found.keys().collect::<Vec<_>>(), expected, "{what}");
            let pods = found.get("n/a").map(|shared| shared.pods.clone()).unwrap_or_default();
            let name = format!("{}/{}", other["metadata"]["namespace"], other["metadata"]["name"]).replace('"', "");
            assert_eq!(pods, if expected.is_empty() { vec![] } else { vec![name] }, "{what}");
        }
        assert_eq!(
            found(&[pod("n", "a", 0, "no key"), pod("n", "b", 0, "no key")]).len(),
            0
        );
        let looks_like_one = "G".repeat(56);
        let both = [pod("n", "a", 0, &looks_like_one), pod("n", "b", 0, &looks_like_one)];
        assert_eq!(found(&both).len(), 0);
    }

    #[test]
    fn a_message_names_a_few_of_many_pods() {
        let many: Vec<Value> = (0..20).map(|number| pod("n", "a", number, &key(1))).collect();
        let found = found(&many);
        assert_eq!(found["n/a"].pods, ["n/a-1", "n/a-10", "n/a-11"]);
        let finding = found["n/a"].finding();
        assert!(
            finding.warns && finding.message.contains("so does n/a-1, n/a-10, n/a-11"),
            "{}",
            finding.message
        );
    }
}
