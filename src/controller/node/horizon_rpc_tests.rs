//! What one reconcile of a Horizon writes, and how the answers of the API server are reported.

use serde_json::{Value, json};

use super::decide::*;
use super::fixtures::*;
use super::stored::Stored;
use crate::crd::StellarNode;
use crate::labels;

#[test]
fn each_state_of_a_server_has_its_writes() {
    let state = at_rest(&server(&json!({})));
    assert_eq!(
        told(&decided(&server(&json!({})), &Stored::default())).0,
        ["Service", "ConfigMap", "Deployment"]
    );
    let rest = decided(&server(&json!({})), &state);
    assert!(rest.writes.is_empty() && !rest.again, "{rest:?}");
    let words = |spec: Value| {
        let decision = decided(&server(&spec), &state);
        assert_eq!(
            decision.again,
            !decision.writes.is_empty(),
            "the status follows from the answer"
        );
        told(&decision).0
    };
    assert_eq!(words(json!({ "spec": { "replicas": 3 } })), ["Deployment to 3"]);
    assert_eq!(words(json!({ "spec": { "suspended": true } })), ["Deployment to 0"]);
    assert_eq!(words(json!({ "spec": { "version": "2.33.0" } })), ["Deployment"]);
    let mut foreign = at_rest(&server(&json!({})));
    changed(
        &mut foreign.deployment,
        &json!({ "metadata": { "labels": { labels::MANAGED_BY: "another" } } }),
    );
    let decision = decided(&server(&json!({ "spec": { "replicas": 3 } })), &foreign);
    assert_eq!(told(&decision), (vec![], vec!["Degraded", "NotOurs", "Stopped"]));
    let mut owned = at_rest(&server(&json!({})));
    changed(&mut owned.service, &owned_by_another());
    assert_eq!(
        told(&decided(&server(&json!({})), &owned)).1,
        ["Degraded", "NotOurs", "Stopped"]
    );
}

#[test]
fn the_answer_of_the_api_server_is_in_the_report() {
    let (_, settings) = settings();
    let concluded = |node: &StellarNode, answer: Answer| {
        let stored = at_rest(node);
        let (report, _) = conclude(node, decided(node, &stored), &answer, &stored, &settings);
        let report = report.unwrap();
        assert!(report.endpoint.is_some());
        let reasons = report.conditions.iter().map(|finding| finding.reason.as_str());
        (report.ready_replicas, reasons.collect::<Vec<_>>())
    };
    let refused = || Answer {
        refused: Some("no".to_owned()),
        ..Answer::default()
    };
    let volume = || Answer {
        volume_refused: Some("no".to_owned()),
        ..Answer::default()
    };
    let (validator, horizon) = (node(&json!({})), server(&json!({})));
    assert_eq!(concluded(&validator, refused()), (1, vec!["Degraded", "Refused"]));
    assert_eq!(
        concluded(&horizon, refused()),
        (2, vec!["Degraded", "Refused", "Stopped"])
    );
    let grown = concluded(&validator, volume());
    assert_eq!(grown, (1, vec!["PodReady", "RolloutComplete", "VolumeNotEnlarged"]));
    assert_eq!(concluded(&horizon, volume()).1.last(), Some(&"VolumeNotEnlarged"));
    assert_eq!(
        concluded(&validator, Answer::default()).1,
        ["PodReady", "RolloutComplete"]
    );
}
