//! A pod that runs on after its StatefulSet was deleted (`kubectl delete --cascade=orphan`). Pure.
//!
//! A new StatefulSet adopts such a pod. It replaces the pod at once if its template differs from the one that the pod
//! was made from: after a spec change, an upgrade of this program, or a restart for peers. So the new StatefulSet gets
//! the old template, which Kubernetes keeps as a ControllerRevision. What changed goes out in the validator's slot
//! (rule R3).

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::Value;

use super::stored::Orphan;
use crate::labels;

/// The name of the ControllerRevision of a pod that a new StatefulSet `name` would adopt. A pod that still has an owner
/// goes with that owner.
pub(super) fn revision<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let labels = pod.labels();
    let selected = labels.get(labels::NAME).map(String::as_str) == Some(labels::STELLAR_NODE)
        && labels.get(labels::INSTANCE).map(String::as_str) == Some(name);
    let owned = pod
        .owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true));
    let orphaned = selected && !owned && pod.metadata.deletion_timestamp.is_none();
    labels.get(labels::REVISION).filter(|_| orphaned).map(String::as_str)
}

/// The orphan whose revision this is.
pub(super) fn of_revision(revision: Option<ControllerRevision>) -> Orphan {
    let template = revision.and_then(|revision| template_of(revision.data?.0));
    template.map_or(Orphan::Unknown, Orphan::Template)
}

/// The template in the data of a ControllerRevision, which is a patch of a StatefulSet.
fn template_of(mut data: Value) -> Option<Value> {
    let mut template = data.pointer_mut("/spec/template")?.take();
    template.as_object_mut()?.remove("$patch");
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        // Such as creationTimestamp.
        metadata.retain(|_, value| !value.is_null());
    }
    template["spec"].is_object().then_some(template)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(metadata: &Value) -> Pod {
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    #[test]
    fn only_a_pod_without_an_owner_that_stays_is_adopted() {
        let labels = json!({
            "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/instance": "a",
            "controller-revision-hash": "a-1",
        });
        let orphan = pod(&json!({ "labels": labels }));
        assert_eq!(revision(&orphan, "a"), Some("a-1"));
        assert_eq!(revision(&orphan, "b"), None, "another validator's");
        let owner =
            json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "a", "uid": "1", "controller": true });
        let owned = pod(&json!({ "labels": labels, "ownerReferences": [owner] }));
        assert_eq!(revision(&owned, "a"), None, "it goes with its owner");
        let going = pod(&json!({ "labels": labels, "deletionTimestamp": "2026-01-01T00:00:00Z" }));
        assert_eq!(revision(&going, "a"), None);
        assert_eq!(revision(&pod(&json!({})), "a"), None);
    }

    #[test]
    fn the_template_of_a_revision_is_the_one_that_the_pod_was_made_from() {
        let revision = |data: &Value| {
            let revision = json!({ "revision": 1, "data": data });
            of_revision(Some(serde_json::from_value(revision).unwrap()))
        };
        let data = json!({ "spec": { "template": {
            "$patch": "replace",
            "metadata": { "creationTimestamp": null, "annotations": { "stellar.org/spec-hash": "1" } },
            "spec": { "containers": [] },
        } } });
        let expected = json!({
            "metadata": { "annotations": { "stellar.org/spec-hash": "1" } }, "spec": { "containers": [] },
        });
        assert_eq!(revision(&data), Orphan::Template(expected));
        assert_eq!(revision(&json!({})), Orphan::Unknown);
        assert_eq!(revision(&json!({ "spec": { "template": {} } })), Orphan::Unknown);
        assert_eq!(of_revision(None), Orphan::Unknown);
    }
}
