//! Findings → the part of a StellarNode's status that one field manager owns, or nothing without a change.
//!
//! Pure. Each part has its own field manager: an apply deletes the fields of its manager that it omits.

pub mod cache;
pub mod events;
pub mod horizon_rpc;
pub mod node;
pub mod peers;
#[cfg(test)]
mod peers_tests;
pub mod validator;
pub mod writer;

use jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use serde_json::{Value, json};

use super::model::conditions::{ConditionType, ConfigInvalid, Finding, Owner, Ready, Reason};
use crate::crd::{StellarNode, StellarNodeStatus, StorageStatus};
use node::NodeReport;
use peers::PeersReport;

/// Discovery's part of the status; `None` if it is up to date.
pub fn peers_part(node: &StellarNode, report: &PeersReport, now: Timestamp) -> Option<Value> {
    let before = node.status.clone().unwrap_or_default();
    let conditions = conditions(
        &before,
        &report.conditions,
        Owner::Discovery,
        node.metadata.generation,
        now,
    );
    let peers_same = before.peers.as_ref() == Some(&report.peers);
    match conditions {
        None if peers_same => None,
        conditions => {
            let conditions = conditions.unwrap_or_else(|| kept(&before, Owner::Discovery));
            Some(json!({ "peers": report.peers, "conditions": conditions }))
        }
    }
}

/// The controller's part of the status; `None` if it is up to date.
pub fn node_part(node: &StellarNode, report: &NodeReport, now: Timestamp) -> Option<Value> {
    let before = node.status.clone().unwrap_or_default();
    let conditions = conditions(
        &before,
        &report.conditions,
        Owner::Controller,
        node.metadata.generation,
        now,
    );
    let same = before.replicas == Some(report.replicas)
        && before.ready_replicas == Some(report.ready_replicas)
        && before.endpoint == report.endpoint
        && before.storage == report.storage
        && before.observed_generation == node.metadata.generation;
    if conditions.is_none() && same {
        return None;
    }
    let mut part = json!({
        "observedGeneration": node.metadata.generation,
        "replicas": report.replicas,
        "readyReplicas": report.ready_replicas,
        "conditions": conditions.unwrap_or_else(|| kept(&before, Owner::Controller)),
    });
    if let Some(endpoint) = &report.endpoint {
        part["endpoint"] = json!(endpoint);
    }
    if let Some(storage) = &report.storage {
        part["storage"] = json!(storage);
    }
    Some(part)
}

/// The status of a node that cannot be parsed: its conditions, and the stored values, which stay. `None` if `stored`,
/// the current status, is up to date.
pub fn unreadable_part(invalid: &InvalidObject, stored: &Value, now: Timestamp) -> Option<Value> {
    let message = format!(
        "this object cannot be read, and what belongs to it stays as it is: {}; correct it, or install the \
         CustomResourceDefinition of this version and apply it again",
        invalid.error
    );
    let findings = [
        Finding::new(Ready::ConfigInvalid, false, message.clone()),
        Finding::new(ConfigInvalid::Unreadable, true, message),
    ];
    // The status may be the part that cannot be parsed.
    let before = StellarNodeStatus {
        conditions: serde_json::from_value(stored["conditions"].clone()).unwrap_or_default(),
        ..StellarNodeStatus::default()
    };
    let generation = invalid.metadata.generation;
    let conditions = conditions(&before, &findings, Owner::Controller, generation, now)?;
    let mut part = json!({ "conditions": conditions });
    for field in ["observedGeneration", "replicas", "readyReplicas"] {
        if stored[field].is_i64() {
            part[field] = stored[field].clone();
        }
    }
    if stored["endpoint"].is_string() {
        part["endpoint"] = stored["endpoint"].clone();
    }
    if let Ok(storage) = serde_json::from_value::<StorageStatus>(stored["storage"].clone()) {
        part["storage"] = json!(storage);
    }
    Some(part)
}

/// Whether a node currently has a condition with this reason.
pub fn has_reason(node: &StellarNode, reason: Reason) -> bool {
    let conditions = node.status.as_ref().map_or(&[][..], |status| &status.conditions[..]);
    let about = ConditionType::from(reason).as_str();
    conditions
        .iter()
        .any(|condition| condition.r#type == about && condition.reason == reason.as_str())
}

/// The desired conditions of this owner; `None` if they are up to date. A transition time changes only with its status.
fn conditions(
    before: &StellarNodeStatus,
    findings: &[Finding],
    owner: Owner,
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Vec<Value>> {
    let mut changed = before.conditions.iter().any(|condition| {
        let is_reported = |new: &Finding| new.condition().as_str() == condition.r#type;
        ConditionType::owner_of(&condition.r#type) == Some(owner) && !findings.iter().any(is_reported)
    });
    let conditions = findings
        .iter()
        .map(|finding| {
            let status = if finding.status { "True" } else { "False" };
            let (about, reason) = (finding.condition().as_str(), finding.reason.as_str());
            let old = before.conditions.iter().find(|condition| condition.r#type == about);
            changed |= old.is_none_or(|old| {
                old.status != status
                    || old.reason != reason
                    || old.message != finding.message
                    || old.observed_generation != generation
            });
            let since = old
                .filter(|old| old.status == status)
                .and_then(|old| old.last_transition_time.as_ref());
            // Kubernetes timestamps are in whole seconds.
            let since = since
                .map_or(now, |time| time.0)
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string();
            json!({
                "type": about,
                "status": status,
                "reason": reason,
                "message": finding.message,
                "lastTransitionTime": since,
                "observedGeneration": generation,
            })
        })
        .collect();
    changed.then_some(conditions)
}

fn kept(before: &StellarNodeStatus, owner: Owner) -> Vec<Value> {
    before
        .conditions
        .iter()
        .filter(|condition| ConditionType::owner_of(&condition.r#type) == Some(owner))
        .map(|condition| json!(condition))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::GuardedNode;

    #[test]
    fn an_unreadable_node_keeps_its_known_status() {
        let guarded: GuardedNode = serde_json::from_value(json!({
            "apiVersion": "stellar.org/v1alpha1", "kind": "StellarNode",
            "metadata": { "name": "validator-1", "namespace": "stellar", "generation": 3 },
            "spec": { "nodeType": "Validator", "network": 7 },
        }))
        .unwrap();
        let invalid = guarded.0.unwrap_err();
        let was_ready = json!({
            "type": "Ready", "status": "True", "reason": "PodReady", "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let mut stored = json!({
            "observedGeneration": 2, "replicas": 1, "readyReplicas": "one", "endpoint": "validator-1-0:11625",
            "peers": { "known": 3 }, "conditions": [was_ready],
        });
        let now: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
        let part = unreadable_part(&invalid, &stored, now).unwrap();
        assert_eq!(
            part["observedGeneration"], 2,
            "no reconcile handled the current generation"
        );
        assert_eq!(part["replicas"], 1);
        assert_eq!(part["endpoint"], "validator-1-0:11625");
        // The schema would refuse the former, and another manager owns the latter.
        assert!(part.get("readyReplicas").is_none() && part.get("peers").is_none());
        let reasons: Vec<&str> = part["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|one| one["reason"].as_str())
            .collect();
        assert_eq!(reasons, ["ConfigInvalid", "Unreadable"]);
        assert_eq!(part["conditions"][0]["lastTransitionTime"], "2026-02-01T00:00:00Z");

        stored["conditions"] = part["conditions"].clone();
        let later: Timestamp = "2026-02-02T00:00:00Z".parse().unwrap();
        assert_eq!(
            unreadable_part(&invalid, &stored, later),
            None,
            "an unchanged status is not written again"
        );
        assert!(unreadable_part(&invalid, &Value::Null, now).is_some());
    }
}
