//! Reads a test's validators: lists, addresses, conditions, Events, and the config of each pod.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use stellar_k8s::labels;

use crate::{Cluster, TestEnv};

impl TestEnv {
    /// The lines of `KNOWN_PEERS`; empty while there is no ConfigMap.
    pub fn peers(&self) -> BTreeSet<String> {
        let list = self.get(&format!("configmap/{}", labels::DEFAULT_PEERS_CONFIG_MAP));
        let lines = list
            .as_ref()
            .and_then(|list| list["data"][labels::KNOWN_PEERS].as_str());
        lines.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The current IP of a validator's pod.
    pub fn pod_ip(&self, validator: &str) -> Option<String> {
        let pod = self.get(&format!("pod/{validator}-0"))?;
        pod["status"]["podIP"].as_str().map(str::to_owned)
    }

    /// `{podIP}:11625` of each of these validators, once each has a pod with an address.
    pub fn addresses(&self, validators: &[&str]) -> Option<BTreeSet<String>> {
        let address = |validator: &&str| Some(format!("{}:11625", self.pod_ip(validator)?));
        validators.iter().map(address).collect()
    }

    /// Pairs of validators of which neither loaded the other's current address, so that they cannot connect.
    pub fn not_connected(&self, validators: &[&str]) -> Vec<(String, String)> {
        let knows = |one: &str, other: &str| {
            let address = self.pod_ip(other).map(|ip| format!("{ip}:11625"));
            let loaded = self.rendered_peers(one).unwrap_or_default();
            address.is_some_and(|address| loaded.contains(&address))
        };
        let mut not_connected = Vec::new();
        for (place, one) in validators.iter().enumerate() {
            for other in &validators[place + 1..] {
                if !knows(one, other) && !knows(other, one) {
                    not_connected.push(((*one).to_owned(), (*other).to_owned()));
                }
            }
        }
        not_connected
    }

    /// When the operator last restarted each of these validators for its peers.
    pub fn restarts(&self, validators: &[&str]) -> BTreeMap<String, Option<Value>> {
        let last = |name: &&str| {
            let stateful_set = self.get(&format!("statefulset/{name}"))?;
            let annotation = stateful_set["metadata"]["annotations"][labels::LAST_RESTART].clone();
            annotation.is_string().then_some(annotation)
        };
        validators.iter().map(|name| ((*name).to_owned(), last(name))).collect()
    }

    /// The reason of a validator's condition.
    pub fn reason(&self, validator: &str, condition: &str) -> Option<String> {
        reason_of(&self.get(&format!("stellarnode/{validator}"))?, condition)
    }

    /// The messages of a validator's Events with this reason.
    pub fn events(&self, validator: &str, reason: &str) -> Vec<String> {
        let events = self.get("events.events.k8s.io").unwrap_or_default();
        let events = events["items"].as_array().cloned().unwrap_or_default();
        let is_it = |event: &&Value| event["regarding"]["name"] == validator && event["reason"] == reason;
        let notes = events.iter().filter(is_it).filter_map(|event| event["note"].as_str());
        notes.map(str::to_owned).collect()
    }

    /// The `stellar-core.cfg` of a pod, written by its `render-config`.
    pub fn rendered_config(&self, pod: &str) -> Option<toml::Table> {
        let text = std::fs::read_to_string(self.rendered_file(pod)).ok()?;
        Some(text.parse().expect("stellar-core.cfg is TOML"))
    }

    /// The path of a pod's `stellar-core.cfg`.
    pub fn rendered_file(&self, pod: &str) -> PathBuf {
        let directory = Cluster::kubelet_directory().join(self.namespace()).join(pod);
        directory.join("current/volumes/config/stellar-core.cfg")
    }

    /// `KNOWN_PEERS` in a validator's `stellar-core.cfg`; empty if the file omits it.
    pub fn rendered_peers(&self, validator: &str) -> Option<BTreeSet<String>> {
        let config = self.rendered_config(&format!("{validator}-0"))?;
        let peers = config.get(labels::KNOWN_PEERS).and_then(toml::Value::as_array);
        let peers = peers.into_iter().flatten().filter_map(toml::Value::as_str);
        Some(peers.map(str::to_owned).collect())
    }
}

/// The reason of a condition in this StellarNode.
pub fn reason_of(node: &Value, condition: &str) -> Option<String> {
    let mut conditions = node["status"]["conditions"].as_array()?.iter();
    let found = conditions.find(|found| found["type"] == condition)?;
    found["reason"].as_str().map(str::to_owned)
}
