//! Installs the shipped manifests for one test, with its own namespace, port and cluster-scoped names.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::{Cluster, root};

/// Cluster-scoped kinds, which outlive the namespace.
const CLUSTER_SCOPED: [&str; 6] = [
    // Deleted first: while they exist, no new object is admitted.
    "validatingwebhookconfiguration",
    "mutatingwebhookconfiguration",
    "clusterrolebinding",
    "clusterrole",
    "validatingadmissionpolicybinding",
    "validatingadmissionpolicy",
];

/// The name of the cluster-scoped objects of this namespace's install.
pub(crate) fn cluster_scoped_name(namespace: &str) -> String {
    format!("stellar-operator-{namespace}")
}

/// Applies the CRD. Concurrent tests all do this, with the same content.
pub(crate) fn crd(cluster: &Cluster) {
    let crd = root().join("manifests/crd").display().to_string();
    let apply = ["apply", "--server-side", "--force-conflicts", "-k", crd.as_str()];
    cluster.kubectl(&apply, "").ok("the CRD");
    let established = [
        "wait",
        "--for=condition=Established",
        "crd/stellarnodes.stellar.org",
        "--timeout=30s",
    ];
    // kubectl fails instead of waiting while a new CRD has no conditions.
    let asked = Instant::now();
    loop {
        let answer = cluster.kubectl(&established, "");
        if answer.success || asked.elapsed() > Duration::from_secs(30) {
            answer.ok("the CRD is established");
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Creates the namespace and applies `manifests/overlays/local` in it; the rendering is made in `directory`.
pub(crate) fn operator(cluster: &Cluster, namespace: &str, port: u16, directory: &Path) {
    let object = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        // The labels of the shipped Namespace.
        "metadata": { "name": namespace, "labels": { "pod-security.kubernetes.io/enforce": "restricted" } },
    });
    cluster
        .kubectl(&["create", "-f", "-"], &object.to_string())
        .ok("the namespace");
    render(namespace, port, directory);
    let directory = directory.display().to_string();
    let manifests = cluster
        .kubectl(&["kustomize", &directory], "")
        .ok("the manifests render");
    let apply = ["apply", "--server-side", "-f", "-"];
    cluster.kubectl(&apply, &manifests).ok("the manifests");
}

/// Writes the kustomization of an install.
fn render(namespace: &str, port: u16, directory: &Path) {
    let up = up(directory);
    let url = |kind: &str, path: &str| {
        let value = json!({ "url": format!("https://127.0.0.1:{port}{path}") });
        let write = |place: usize| json!({ "op": "replace", "path": format!("/webhooks/{place}/clientConfig"), "value": value });
        json!({ "target": { "kind": kind }, "patch": json!([write(0), write(1)]).to_string() })
    };
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [format!("{up}/manifests/overlays/local")],
        "patches": [
            url("MutatingWebhookConfiguration", "/mutate"),
            url("ValidatingWebhookConfiguration", "/validate"),
        ],
        "transformers": [
            "suffix.yaml",
            format!("{up}/manifests/transformers/one-namespace"),
            format!("{up}/manifests/transformers/names"),
        ],
    });
    let shipped = root().join("manifests/overlays/namespace/suffix.yaml");
    let suffix = std::fs::read_to_string(shipped).expect("the shipped suffix");
    let ours = suffix.replace("suffix: -stellar", &format!("suffix: -{namespace}"));
    assert_ne!(ours, suffix, "the shipped suffix is -stellar");
    // JSON is YAML.
    std::fs::write(directory.join("kustomization.yaml"), kustomization.to_string()).expect("the kustomization");
    std::fs::write(directory.join("suffix.yaml"), ours).expect("the suffix");
}

/// The relative path from `directory`, which is below the target directory, to the root of the project: kustomize
/// accepts no absolute paths.
fn up(directory: &Path) -> String {
    let root = root().canonicalize().expect("the project is there");
    let directory = directory.canonicalize().expect("the directory is there");
    let common = directory
        .ancestors()
        .find(|ancestor| root.starts_with(ancestor))
        .expect("the file system has a root");
    let steps = directory
        .strip_prefix(common)
        .expect("an ancestor")
        .components()
        .count();
    let down = root.strip_prefix(common).expect("an ancestor");
    let mut way = vec![".."; steps].join("/");
    if !down.as_os_str().is_empty() {
        way = format!("{way}/{}", down.display());
    }
    way
}

/// Removes an install without waiting until the namespace is empty.
pub(crate) fn remove(cluster: &Cluster, namespace: &str) {
    let name = cluster_scoped_name(namespace);
    for kind in CLUSTER_SCOPED {
        cluster.kubectl(&["delete", kind, &name, "--ignore-not-found", "--wait=false"], "");
    }
    let one_pod = format!("stellar-operator-one-pod-{namespace}");
    let policies = ["validatingadmissionpolicybinding", "validatingadmissionpolicy"];
    for kind in policies {
        cluster.kubectl(&["delete", kind, &one_pod, "--ignore-not-found", "--wait=false"], "");
    }
    let view = format!("stellar-operator-view-{namespace}");
    cluster.kubectl(
        &["delete", "clusterrole", &view, "--ignore-not-found", "--wait=false"],
        "",
    );
    cluster.kubectl(
        &["delete", "namespace", namespace, "--ignore-not-found", "--wait=false"],
        "",
    );
}
