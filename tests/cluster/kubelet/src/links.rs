//! Computes which validators are connected, so that a simulated one votes only if a real one would.
//!
//! A validator dials the addresses that its rendered config and its peer database had at its start. It is connected to
//! each validator that it dials or that dials it, as long as both pods live. It starts to vote once it reaches, over
//! serving pods, most pods of its network and list that have rendered their config, itself included. It then votes
//! until its pod is deleted. The quorum set is ignored: a test may run fewer validators than it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::{now, status};

/// The condition of a pod that the stage `pod-voting` waits for.
const CONDITION: &str = "test.stellar.org/Connected";
/// The init container that renders a validator's config.
const RENDERS: &str = "render-config";
/// The label of validators' pods with the list that they mount.
const LIST: &str = "stellar.org/peers";
const RETRY: Duration = Duration::from_millis(300);

/// Namespace and name of a pod, because its volume outlives the pod.
type Key = (String, String);

#[derive(Debug)]
struct Node {
    key: Key,
    /// Namespace, list and network.
    group: (String, String, String),
    /// Its addresses by IP and by name.
    addresses: [String; 2],
    dials: BTreeSet<String>,
    serves: bool,
}

#[derive(Debug, Default)]
struct State {
    /// The living pods that have rendered their config, by uid.
    nodes: BTreeMap<String, Node>,
    /// The last address at which each validator met each other.
    databases: BTreeMap<Key, BTreeMap<Key, String>>,
    connected: BTreeSet<String>,
}

/// The pods of all validators.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links(Arc<Mutex<State>>);

impl Links {
    /// Handles a changed pod; `directory` has its volumes.
    pub(crate) fn see(&self, client: &Client, pod: &Pod, directory: &Path) {
        if !status::succeeded(pod, RENDERS) {
            return;
        }
        if pod.metadata.deletion_timestamp.is_some() {
            self.forget(pod);
            return;
        }
        let Ok(mut state) = self.0.lock() else { return };
        state.note(pod, directory);
        for (uid, (namespace, name)) in state.newly_connected() {
            tokio::spawn(publish(Api::namespaced(client.clone(), &namespace), name, uid));
        }
    }

    /// Handles a deleted pod: its connections end.
    pub(crate) fn forget(&self, pod: &Pod) {
        if let (Ok(mut state), Some(uid)) = (self.0.lock(), pod.uid()) {
            state.nodes.remove(&uid);
            state.connected.remove(&uid);
        }
    }
}

impl State {
    fn note(&mut self, pod: &Pod, directory: &Path) {
        let (Some(uid), Some(status)) = (pod.uid(), pod.status.as_ref()) else {
            return;
        };
        let containers = status.container_statuses.iter().flatten();
        let serves = status.container_statuses.is_some() && containers.clone().all(|container| container.ready);
        if let Some(node) = self.nodes.get_mut(&uid) {
            node.serves = serves;
            return;
        }
        let config = std::fs::read_to_string(directory.join("volumes/config/stellar-core.cfg"));
        let Ok(config) = config.unwrap_or_default().parse::<toml::Table>() else {
            return;
        };
        let key = (pod.namespace().unwrap_or_default(), pod.name_any());
        let port = config
            .get("PEER_PORT")
            .and_then(toml::Value::as_integer)
            .unwrap_or(11625);
        let peers = ["KNOWN_PEERS", "PREFERRED_PEERS"]
            .into_iter()
            .filter_map(|name| config.get(name)?.as_array());
        // A trailing dot only makes the same name absolute.
        let mut dials: BTreeSet<String> = peers
            .flatten()
            .filter_map(|peer| Some(peer.as_str()?.replace(".:", ":")))
            .collect();
        dials.extend(self.databases.get(&key).into_iter().flat_map(BTreeMap::values).cloned());
        let (namespace, name) = &key;
        let headless = name.strip_suffix("-0").unwrap_or(name);
        let host = format!("{name}.{headless}-headless.{namespace}.svc.cluster.local:{port}");
        let passphrase = config.get("NETWORK_PASSPHRASE").and_then(toml::Value::as_str);
        let list = pod.labels().get(LIST).cloned().unwrap_or_default();
        let node = Node {
            group: (namespace.clone(), list, passphrase.unwrap_or_default().to_owned()),
            addresses: [format!("{}:{port}", status.pod_ip.as_deref().unwrap_or_default()), host],
            dials,
            serves,
            key,
        };
        self.nodes.insert(uid, node);
    }

    /// The pods that reach most of their group for the first time.
    fn newly_connected(&mut self) -> Vec<(String, Key)> {
        let serving: Vec<(&String, &Node)> = self.nodes.iter().filter(|(_, node)| node.serves).collect();
        let dials = |one: &Node, other: &Node| other.addresses.iter().any(|address| one.dials.contains(address));
        let mut parts: Vec<usize> = (0..serving.len()).collect();
        let mut met = Vec::new();
        for (a, (_, one)) in serving.iter().enumerate() {
            for (b, (_, other)) in serving.iter().enumerate().skip(a + 1) {
                if one.group.2 == other.group.2 && (dials(one, other) || dials(other, one)) {
                    met.push((one.key.clone(), other.key.clone(), other.addresses[0].clone()));
                    met.push((other.key.clone(), one.key.clone(), one.addresses[0].clone()));
                    let (was, is) = (parts[b], parts[a]);
                    parts
                        .iter_mut()
                        .filter(|part| **part == was)
                        .for_each(|part| *part = is);
                }
            }
        }
        let mut connected = Vec::new();
        for (place, (uid, node)) in serving.iter().enumerate() {
            let all = self.nodes.values().filter(|other| other.group == node.group).count();
            let in_part = serving.iter().zip(&parts).filter(|(_, part)| **part == parts[place]);
            let reached = in_part.filter(|((_, other), _)| other.group == node.group).count();
            if 2 * reached > all && !self.connected.contains(*uid) {
                connected.push(((*uid).clone(), node.key.clone()));
            }
        }
        for (key, other, address) in met {
            self.databases.entry(key).or_default().insert(other, address);
        }
        self.connected.extend(connected.iter().map(|(uid, _)| uid.clone()));
        connected
    }
}

/// Writes the condition; retries until that works or the pod is replaced or deleted.
async fn publish(api: Api<Pod>, name: String, uid: String) {
    let condition = json!({ "type": CONDITION, "status": "True", "lastTransitionTime": now() });
    let patch = json!({ "metadata": { "uid": uid }, "status": { "conditions": [condition] } });
    loop {
        let patched = api
            .patch_status(&name, &PatchParams::default(), &Patch::Strategic(&patch))
            .await;
        match patched {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => return,
            Err(error) => tracing::debug!(pod = name, %error, "publishing again that it is connected"),
        }
        tokio::time::sleep(RETRY).await;
    }
}
