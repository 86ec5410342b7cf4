//! The user's pod settings of a node of any type, merged into the template that the builders made.
//!
//! Absent settings change nothing; the others are copied unchanged. The webhook's rules keep them away from the fields
//! that the operator itself needs.

use serde_json::{Map, Value, json};

use crate::crd::{PodSettings, Probes};

/// Merges the settings into a pod template whose first container is the main one.
pub(super) fn merge_into(template: &mut Value, pod: &PodSettings) {
    if let (Some(labels), Some(own)) = (&pod.pod_labels, template["metadata"]["labels"].as_object_mut()) {
        for (name, value) in labels {
            // The operator's own labels win: it selects its pods by them.
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

/// The settings that replace a whole field of a pod's spec.
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

/// The settings as they enter the spec hash: each as one text.
///
/// False and empty values count here: an empty affinity removes the operator's own, and a container that must not
/// escalate privileges differs from one that may.
pub(super) fn fingerprint(pod: &PodSettings) -> Map<String, Value> {
    let Ok(Value::Object(mut given)) = serde_json::to_value(pod) else {
        return Map::new();
    };
    // `podAnnotations` is older than the other settings and keeps its form.
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
