//! The chart renders the same objects as the overlays, field by field, except what only Helm needs.

use serde_json::Value;

use crate::rendering::{NAMESPACE, Objects, chart, kustomize, objects};

/// Labels that name the release of an object.
const LABELS_OF_HELM: [&str; 4] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
];

/// The chart's objects without Helm's labels and annotations.
fn without_helm(yaml: &str) -> Objects {
    let mut objects = objects(yaml);
    objects.retain(|_, object| object["metadata"]["annotations"]["helm.sh/hook"].is_null());
    for ([kind, ..], object) in &mut objects {
        let metadata = object["metadata"].as_object_mut().expect("metadata");
        let labels = metadata["labels"].as_object_mut().expect("labels");
        for label in LABELS_OF_HELM {
            assert!(labels.remove(label).is_some(), "{kind} has the label {label}");
        }
        if kind == "CustomResourceDefinition" {
            // Without this annotation an uninstall would delete every StellarNode.
            let annotations = metadata["annotations"].as_object_mut().expect("annotations");
            assert_eq!(annotations.remove("helm.sh/resource-policy"), Some("keep".into()));
            metadata.remove("labels");
        }
    }
    objects
}

/// The objects of the CRD and an overlay, without the Namespace, which `helm install --create-namespace` makes.
fn overlay(name: &str) -> Objects {
    let mut all = objects(&kustomize("crd"));
    all.extend(objects(&kustomize(&format!("overlays/{name}"))));
    all.retain(|[kind, ..], _| kind != "Namespace");
    all
}

fn assert_same(chart: &Objects, overlay: &Objects) {
    let keys = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(chart), keys(overlay));
    for (key, object) in chart {
        let differing = differences("", object, &overlay[key]);
        assert!(
            differing.is_empty(),
            "{key:?}, chart and overlay:\n{}",
            differing.join("\n")
        );
    }
}

/// The differences of two values.
fn differences(place: &str, one: &Value, other: &Value) -> Vec<String> {
    match (one, other) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
            keys.flat_map(|key| differences(&format!("{place}/{key}"), &one[key], &other[key]))
                .collect()
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => (0..left.len())
            .flat_map(|index| differences(&format!("{place}/{index}"), &left[index], &right[index]))
            .collect(),
        _ if one == other => Vec::new(),
        _ => vec![format!("{place}: {one} and {other}")],
    }
}

#[test]
fn default_values_equal_the_namespace_overlay() {
    let rendered = chart(NAMESPACE, &[]);
    assert_same(&without_helm(&rendered), &overlay("namespace"));
}

#[test]
fn all_namespaces_equals_the_cluster_overlay() {
    let rendered = chart(NAMESPACE, &["--set", "watch.allNamespaces=true"]);
    assert_same(&without_helm(&rendered), &overlay("cluster"));
}

#[test]
fn cert_manager_equals_its_overlay() {
    let values = "watch.allNamespaces=true,certManager.enabled=true";
    let rendered = chart(NAMESPACE, &["--set", values]);
    assert_same(&without_helm(&rendered), &overlay("cert-manager"));
}

#[test]
fn monitoring_equals_its_manifests() {
    let rendered = chart(NAMESPACE, &["--set", "monitoring.enabled=true"]);
    let mut expected = overlay("namespace");
    for ([kind, _, name], mut object) in objects(&kustomize("monitoring")) {
        object["metadata"]["namespace"] = NAMESPACE.into();
        expected.insert([kind, NAMESPACE.to_owned(), name], object);
    }
    assert_same(&without_helm(&rendered), &expected);
}

#[test]
fn another_namespace_replaces_the_default_everywhere() {
    let values = ["--set", "certManager.enabled=true"];
    let elsewhere = chart("elsewhere", &values);
    assert!(elsewhere.contains("system:serviceaccount:elsewhere:stellar-operator"));
    let back = elsewhere.replace("elsewhere", NAMESPACE);
    assert_same(&objects(&back), &objects(&chart(NAMESPACE, &values)));
}
