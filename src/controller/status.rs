//! Findings → the part of a StellarNode's status that one manager owns; and nothing where nothing changed.
//!
//! Pure. Each part has its own field manager: the next apply by one would take away what another wrote.

use jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use serde_json::{Value, json};

use super::node_report::NodeReport;
use super::report::{Finding, PeersReport};
use crate::crd::{StellarNode, StellarNodeStatus};

/// Condition types that discovery and rollout own.
const PEERS_CONDITIONS: [&str; 6] = [
    "Joined",
    "PeerGroupJoined",
    "Voting",
    "PeersReady",
    "UpdatePending",
    "RolloutStalled",
];
/// Condition types that the StellarNode controller owns.
const NODE_CONDITIONS: [&str; 4] = ["Ready", "Progressing", "ConfigInvalid", "Degraded"];

/// Discovery's part of the status; `None` if the status says so already.
pub fn peers_part(node: &StellarNode, report: &PeersReport, now: Timestamp) -> Option<Value> {
    let before = node.status.clone().unwrap_or_default();
    let conditions = conditions(
        &before,
        &report.conditions,
        &PEERS_CONDITIONS,
        node.metadata.generation,
        now,
    );
    let peers_same = before.peers.as_ref() == Some(&report.peers);
    match conditions {
        None if peers_same => None,
        conditions => {
            let conditions = conditions.unwrap_or_else(|| kept(&before, &PEERS_CONDITIONS));
            Some(json!({ "peers": report.peers, "conditions": conditions }))
        }
    }
}

/// The controller's part of the status; `None` if the status says so already.
pub fn node_part(node: &StellarNode, report: &NodeReport, now: Timestamp) -> Option<Value> {
    let before = node.status.clone().unwrap_or_default();
    let conditions = conditions(
        &before,
        &report.conditions,
        &NODE_CONDITIONS,
        node.metadata.generation,
        now,
    );
    let same = before.replicas == Some(report.replicas)
        && before.ready_replicas == Some(report.ready_replicas)
        && before.endpoint == report.endpoint
        && before.observed_generation == node.metadata.generation;
    if conditions.is_none() && same {
        return None;
    }
    let mut part = json!({
        "observedGeneration": node.metadata.generation,
        "replicas": report.replicas,
        "readyReplicas": report.ready_replicas,
        "conditions": conditions.unwrap_or_else(|| kept(&before, &NODE_CONDITIONS)),
    });
    if let Some(endpoint) = &report.endpoint {
        part["endpoint"] = json!(endpoint);
    }
    Some(part)
}

/// What is said of a node that cannot be parsed. Without times: what its status says now cannot be read either, and so the
/// same said twice is no change.
pub fn unreadable_part(invalid: &InvalidObject) -> Value {
    let message = format!(
        "this object cannot be read, and what belongs to it stays as it is: {}; correct it, or install the \
         CustomResourceDefinition of this version and apply it again",
        invalid.error
    );
    let condition = |r#type: &str, status: &str, reason: &str| {
        json!({
            "type": r#type, "status": status, "reason": reason, "message": message,
            "observedGeneration": invalid.metadata.generation,
        })
    };
    json!({ "conditions": [
        condition("Ready", "False", "ConfigInvalid"),
        condition("ConfigInvalid", "True", "Unreadable"),
    ] })
}

/// Whether a node's condition of that type has that reason now.
pub fn has_reason(node: &StellarNode, r#type: &str, reason: &str) -> bool {
    let conditions = node.status.as_ref().map_or(&[][..], |status| &status.conditions[..]);
    conditions
        .iter()
        .any(|condition| condition.r#type == r#type && condition.reason == reason)
}

/// The owned conditions as they should be; `None` if they are so already. A time changes only with its status.
fn conditions(
    before: &StellarNodeStatus,
    findings: &[Finding],
    owned: &[&str],
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Vec<Value>> {
    let mut changed = before.conditions.iter().any(|condition| {
        owned.contains(&condition.r#type.as_str()) && !findings.iter().any(|new| new.r#type == condition.r#type)
    });
    let conditions = findings
        .iter()
        .map(|finding| {
            let status = if finding.status { "True" } else { "False" };
            let old = before
                .conditions
                .iter()
                .find(|condition| condition.r#type == finding.r#type);
            changed |= old.is_none_or(|old| {
                old.status != status
                    || old.reason != finding.reason
                    || old.message != finding.message
                    || old.observed_generation != generation
            });
            let since = old
                .filter(|old| old.status == status)
                .and_then(|old| old.last_transition_time.as_ref());
            // Whole seconds, as everywhere in Kubernetes.
            let since = since
                .map_or(now, |time| time.0)
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string();
            json!({
                "type": finding.r#type,
                "status": status,
                "reason": finding.reason,
                "message": finding.message,
                "lastTransitionTime": since,
                "observedGeneration": generation,
            })
        })
        .collect();
    changed.then_some(conditions)
}

fn kept(before: &StellarNodeStatus, owned: &[&str]) -> Vec<Value> {
    before
        .conditions
        .iter()
        .filter(|condition| owned.contains(&condition.r#type.as_str()))
        .map(|condition| json!(condition))
        .collect()
}
