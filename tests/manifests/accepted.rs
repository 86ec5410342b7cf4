//! A real API server accepts every install without a warning and understands its policies. A namespace with the
//! restricted Pod Security Standard admits its pods, and applying it again does not change the operator's caBundle.

use serde_json::json;

use crate::alone::{Alone, bundle};
use crate::rendering::{NAMESPACE, chart, kustomize, objects, path};

/// The kinds of cert-manager; the tests need only their CRDs.
const KINDS_OF_CERT_MANAGER: [(&str, &str); 2] = [("Certificate", "certificates"), ("Issuer", "issuers")];

fn assert_accepted(manifests: &str) {
    let alone = Alone::new();
    alone.create_namespace();
    let apply = |arguments: &[&str]| {
        let output = alone.kubectl(&[&["apply", "--server-side", "-f", "-"], arguments].concat(), manifests);
        assert!(!output.stderr.contains("Warning"), "{}", output.stderr);
        let applied = output.ok("apply");
        assert_eq!(applied.lines().count(), objects(manifests).len(), "{applied}");
    };
    // Objects of earlier tests do not conflict.
    apply(&["--dry-run=server", "--force-conflicts"]);
    apply(&["--force-conflicts"]);
    alone.rolled_out();
    alone.policies_are_understood();

    let bundle = bundle();
    let all = alone.cluster_scoped();
    let configurations: Vec<&String> = all
        .iter()
        .filter(|name| name.contains("webhookconfiguration"))
        .collect();
    assert_eq!(configurations.len(), 2, "{all:?}");
    for configuration in &configurations {
        alone.write_bundle(configuration, &bundle);
    }
    apply(&[]);
    for configuration in configurations {
        assert_eq!(alone.bundles(configuration), [bundle.as_str(); 2], "{configuration}");
    }
}

/// Runs a test while cert-manager's kinds exist.
pub(crate) fn with_cert_manager(test: impl FnOnce() + std::panic::UnwindSafe) {
    with_kinds("cert-manager.io", KINDS_OF_CERT_MANAGER, test);
}

/// Runs a test while these foreign kinds exist, with CRDs that accept any content.
pub(crate) fn with_kinds(group: &str, kinds: [(&str, &str); 2], test: impl FnOnce() + std::panic::UnwindSafe) {
    let cluster = test_kit::Cluster::connect();
    let definitions = kinds.map(|(kind, plural)| {
        let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let version =
            json!({ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": anything } });
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.{group}") },
            "spec": {
                "group": group,
                "names": { "kind": kind, "plural": plural },
                "scope": "Namespaced",
                "versions": [version],
            },
        })
    });
    let definitions = json!({ "apiVersion": "v1", "kind": "List", "items": definitions }).to_string();
    // Create and do not apply, so that an installed CRD is not changed.
    cluster.kubectl(&["create", "-f", "-"], &definitions).ok(group);
    let wait = ["wait", "--for=condition=Established", "--timeout=30s", "-f", "-"];
    cluster.kubectl(&wait, &definitions).ok("the CRDs are established");
    let result = std::panic::catch_unwind(test);
    cluster
        .kubectl(&["delete", "-f", "-"], &definitions)
        .ok("delete the CRDs");
    if let Err(failure) = result {
        std::panic::resume_unwind(failure);
    }
}

#[test]
fn the_one_file() {
    let file = path("install.yaml");
    assert_accepted(&std::fs::read_to_string(&file).expect("it is generated"));
    // It also works without --server-side.
    let alone = Alone::new();
    alone.create_namespace();
    alone
        .kubectl(&["apply", "--dry-run=server", "-f", &file], "")
        .ok("apply");
}

#[test]
fn the_overlay_for_one_namespace() {
    assert_accepted(&kustomize("overlays/namespace"));
}

#[test]
fn the_overlay_for_the_cluster() {
    assert_accepted(&kustomize("overlays/cluster"));
}

#[test]
fn the_overlay_with_cert_manager() {
    with_cert_manager(|| assert_accepted(&kustomize("overlays/cert-manager")));
}

#[test]
fn the_chart() {
    for values in ["replicas=2", "watch.allNamespaces=true"] {
        assert_accepted(&chart(NAMESPACE, &["--skip-tests", "--set", values]));
    }
}

#[test]
fn the_chart_with_cert_manager() {
    let values = "certManager.enabled=true,watch.allNamespaces=true";
    with_cert_manager(|| assert_accepted(&chart(NAMESPACE, &["--skip-tests", "--set", values])));
}

#[test]
fn the_pod_of_the_charts_test() {
    let alone = Alone::new();
    alone.create_namespace();
    let rendered = chart(NAMESPACE, &["--show-only", "templates/tests/check.yaml"]);
    let output = alone.kubectl(&["apply", "--server-side", "--dry-run=server", "-f", "-"], &rendered);
    assert!(!output.stderr.contains("Warning"), "{}", output.stderr);
    output.ok("apply");
}
