//! StellarNodes and what is stored of them, for unit tests.

#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::{Value, json};

use super::decide::*;
use super::stored::Stored;
use super::write::{Change, Write};
use crate::controller::resources::BuildSettings;
use crate::crd::StellarNode;
use crate::labels;

pub(super) fn settings() -> (BuildSettings, Settings) {
    let operator_image = "stellar-operator:1".to_owned();
    let build = BuildSettings {
        operator_image: operator_image.clone(),
        cluster_domain: "cluster.local".to_owned(),
    };
    let look_again = std::time::Duration::from_secs(60);
    (
        build,
        Settings {
            operator_image,
            look_again,
        },
    )
}

/// A StellarNode whose object has these changes.
pub(super) fn node(changes: &Value) -> StellarNode {
    let mut node = json!({
        "apiVersion": labels::API_VERSION, "kind": labels::KIND,
        "metadata": { "name": "a", "namespace": "stellar", "uid": "node", "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": {
            "nodeType": "Validator", "network": "testnet", "version": "26.0.1",
            "validatorConfig": { "seedSecretRef": "seed" },
        },
    });
    json_patch::merge(&mut node, changes);
    serde_json::from_value(node).unwrap()
}

pub(super) fn server(changes: &Value) -> StellarNode {
    let mut all = json!({ "spec": {
        "nodeType": "Horizon", "validatorConfig": null, "replicas": 2,
        "horizonConfig": { "databaseSecretRef": "db", "enableIngest": true, "stellarCoreUrl": "http://core:11626" },
    } });
    json_patch::merge(&mut all, changes);
    node(&all)
}

/// An object as the API server stores it.
pub(super) fn read<K: serde::de::DeserializeOwned>(object: &Value, changes: &Value) -> Option<K> {
    let mut object = object.clone();
    json_patch::merge(
        &mut object,
        &json!({ "metadata": { "resourceVersion": "5", "uid": "object" } }),
    );
    json_patch::merge(&mut object, changes);
    Some(serde_json::from_value(object).unwrap())
}

/// What is stored of this node once all is written and its pods are Ready.
pub(super) fn at_rest(node: &StellarNode) -> Stored {
    match Built::of(node, &settings().0) {
        Built::Validator(objects) => {
            let count = objects.replicas;
            Stored {
                stateful_set: read(
                    &objects.stateful_set,
                    &json!({ "status": { "replicas": count, "readyReplicas": count } }),
                ),
                service: read(&objects.service, &json!({})),
                config_map: read(&objects.config_map, &json!({})),
                claim: objects.claim.as_ref().and_then(|claim| read(claim, &json!({}))),
                ..Stored::default()
            }
        }
        Built::Server(objects) => Stored {
            deployment: read(
                &objects.deployment,
                &json!({ "status": { "replicas": objects.replicas, "readyReplicas": objects.replicas } }),
            ),
            service: read(&objects.service, &json!({})),
            config_map: objects.config_map.as_ref().and_then(|map| read(map, &json!({}))),
            claim: objects.claim.as_ref().and_then(|claim| read(claim, &json!({}))),
            disruption_budget: objects
                .disruption_budget
                .as_ref()
                .and_then(|budget| read(budget, &json!({}))),
            ..Stored::default()
        },
        Built::Invalid(error) => panic!("{error}"),
    }
}

pub(super) fn changed<K: serde::Serialize + serde::de::DeserializeOwned>(stored: &mut Option<K>, changes: &Value) {
    let mut object = serde_json::to_value(stored.take().unwrap()).unwrap();
    json_patch::merge(&mut object, changes);
    *stored = Some(serde_json::from_value(object).unwrap());
}

pub(super) fn decided(node: &StellarNode, stored: &Stored) -> Decision {
    let (build, settings) = settings();
    decide(node, &Built::of(node, &build), stored, &settings)
}

/// One write in a word: its kind, and the part that it writes.
pub(super) fn word(write: &Write) -> String {
    let part = match &write.change {
        Change::Apply(object, ..) => match (object.pointer("/spec/template"), object.pointer("/spec/replicas")) {
            (None, Some(count)) => format!(" to {count}"),
            _ => String::new(),
        },
        Change::Metadata(..) => " owner".to_owned(),
        Change::Delete(_) => " away".to_owned(),
    };
    format!("{}{part}", write.resource.kind)
}

/// Its writes in words, and its reasons.
pub(super) fn told(decision: &Decision) -> (Vec<String>, Vec<&'static str>) {
    let report = decision.report.iter().flat_map(|report| &report.conditions);
    let reasons = report.map(|finding| finding.reason.as_str()).collect();
    (decision.writes.iter().map(word).collect(), reasons)
}

pub(super) const OWNER: [&str; 2] = ["1", "another"];

pub(super) fn owned_by_another() -> Value {
    let [version, uid] = OWNER;
    let owner = json!({
        "apiVersion": version, "kind": "StellarNode", "name": "another", "uid": uid, "controller": true,
    });
    json!({ "metadata": { "ownerReferences": [owner] } })
}
