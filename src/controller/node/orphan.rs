//! A pod that runs on after its StatefulSet was deleted (`kubectl delete --cascade=orphan`).
//!
//! The StatefulSet that is made anew takes such a pod over, and replaces it at once if its template is another than the
//! one the pod was made from: a later spec, another version of this program, and every restart for peers make it
//! another. So it is made with the old template, which Kubernetes keeps as a ControllerRevision, and what changed goes
//! out in the validator's slot (rule R3).

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;

use crate::controller::apply::ApplyError;
use crate::kubernetes::api::deadline;
use crate::labels;

/// The template that the orphaned pod of a validator was made from; `None` if it has no such pod.
///
/// # Errors
/// When the API server refuses or does not answer.
pub(crate) async fn template_of_orphan(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Value>, ApplyError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod = deadline(pods.get_opt(&labels::pod_name(name))).await?;
    let Some(revision) = pod.as_ref().and_then(|pod| revision_of_orphan(pod, name)) else {
        return Ok(None);
    };
    let revisions: Api<ControllerRevision> = Api::namespaced(client.clone(), namespace);
    let stored = deadline(revisions.get_opt(revision)).await?;
    let template = stored.and_then(|stored| template_of(stored.data?.0));
    if template.is_none() {
        tracing::warn!(
            validator = name,
            namespace,
            revision,
            "the pod runs without its StatefulSet, and what it was made from is not known: it may be replaced at once"
        );
    }
    Ok(template)
}

/// The revision of a pod that a new StatefulSet would take over. A pod that still has an owner goes with that one.
fn revision_of_orphan<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
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
    fn only_a_pod_that_nobody_owns_and_that_stays_is_taken_over() {
        let labels = json!({
            "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/instance": "a",
            "controller-revision-hash": "a-1",
        });
        let orphan = pod(&json!({ "labels": labels }));
        assert_eq!(revision_of_orphan(&orphan, "a"), Some("a-1"));
        assert_eq!(revision_of_orphan(&orphan, "b"), None, "another validator's");
        let owner =
            json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "a", "uid": "1", "controller": true });
        let owned = pod(&json!({ "labels": labels, "ownerReferences": [owner] }));
        assert_eq!(revision_of_orphan(&owned, "a"), None, "it goes with its owner");
        let going = pod(&json!({ "labels": labels, "deletionTimestamp": "2026-01-01T00:00:00Z" }));
        assert_eq!(revision_of_orphan(&going, "a"), None);
        assert_eq!(revision_of_orphan(&pod(&json!({})), "a"), None);
    }

    #[test]
    fn the_template_of_a_revision_is_what_the_pod_was_made_from() {
        let data = json!({ "spec": { "template": {
            "$patch": "replace",
            "metadata": { "creationTimestamp": null, "annotations": { "stellar.org/spec-hash": "1" } },
            "spec": { "containers": [] },
        } } });
        let expected = json!({
            "metadata": { "annotations": { "stellar.org/spec-hash": "1" } }, "spec": { "containers": [] },
        });
        assert_eq!(template_of(data), Some(expected));
        assert_eq!(template_of(json!({})), None);
        assert_eq!(template_of(json!({ "spec": { "template": {} } })), None);
    }
}
