//! What the user says of the pods of a node of any type, laid over the template that the builders made.
//!
//! What is absent changes nothing. What is given is handed on as it is written; the rules of the webhook keep it from
//! what the operator itself needs of the pods.

use serde_json::{Map, Value, json};

use crate::crd::{PodSettings, Probes};

/// Lays the settings over a pod template whose first container is the main one.
pub(super) fn merge_into(template: &mut Value, pod: &PodSettings) {
    if let (Some(labels), Some(own)) = (&pod.pod_labels, template["metadata"]["labels"].as_object_mut()) {
        for (name, value) in labels {
            // The operator finds its pods by its own.
            own.entry(name.as_str()).or_insert_with(|| json!(value));
        }
    }
    let spec = &mut template["spec"];
    for (field, value) in fields(pod) {
        spec[field] = value;
    }
    let Some(containers) = spec["containers"].as_array_mut() else {
        return;
    };
    if let Some(main) = containers.first_mut() {
        merge_environment(main, pod);
        merge_probes(main, pod.probes.as_ref());
    }
    containers.extend(pod.sidecars.iter().cloned());
}

/// The fields of a pod's spec that are given as a whole.
fn fields(pod: &PodSettings) -> impl Iterator<Item = (&'static str, Value)> {
    fn list<T: serde::Serialize>(items: &[T]) -> Option<Value> {
        (!items.is_empty()).then(|| json!(items))
    }
    let all = [
        ("nodeSelector", pod.node_selector.as_ref().map(|labels| json!(labels))),
        ("tolerations", list(&pod.tolerations)),
        ("affinity", pod.affinity.clone()),
        (
            "terminationGracePeriodSeconds",
            pod.termination_grace_period_seconds.map(|seconds| json!(seconds)),
        ),
        ("topologySpreadConstraints", list(&pod.topology_spread_constraints)),
        (
            "priorityClassName",
            pod.priority_class_name.as_ref().map(|name| json!(name)),
        ),
        ("imagePullSecrets", list(&pod.image_pull_secrets)),
        (
            "serviceAccountName",
            pod.service_account_name.as_ref().map(|name| json!(name)),
        ),
    ];
    all.into_iter().filter_map(|(field, value)| Some((field, value?)))
}

fn merge_environment(main: &mut Value, pod: &PodSettings) {
    if pod.env.is_empty() {
        return;
    }
    let given = pod.env.iter().map(|variable| json!(variable));
    match &mut main["env"] {
        Value::Array(own) => own.extend(given),
        none => *none = given.collect(),
    }
}

fn merge_probes(main: &mut Value, probes: Option<&Probes>) {
    let Some(Probes {
        liveness,
        readiness,
        startup,
    }) = probes
    else {
        return;
    };
    for (field, probe) in [
        ("livenessProbe", liveness),
        ("readinessProbe", readiness),
        ("startupProbe", startup),
    ] {
        if let Some(probe) = probe {
            main[field] = json!(probe);
        }
    }
}

/// The settings as they count in the hash of a spec: each that is given as one text.
///
/// Here what is false or empty is no default: an empty affinity switches the operator's own off, and a container that
/// must not escalate privileges is another than one that may.
pub(super) fn fingerprint(pod: &PodSettings) -> Map<String, Value> {
    let Ok(Value::Object(mut given)) = serde_json::to_value(pod) else {
        return Map::new();
    };
    // As it was hashed before the others were there.
    let annotations = given.remove_entry("podAnnotations");
    let given = given.into_iter().map(|(field, value)| {
        let empty = value.as_object().is_some_and(Map::is_empty) && field != "affinity";
        let text = if empty {
            Value::Null
        } else {
            Value::String(value.to_string())
        };
        (field, text)
    });
    given.chain(annotations).collect()
}

#[cfg(test)]
#[path = "pod_settings_tests.rs"]
mod tests;
