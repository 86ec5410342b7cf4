//! The documented commands for each way to install and uninstall, and for monitoring.

use test_kit::{SOON, wait_for};

use super::{UNINSTALL, left, put_definition_back, types, uninstalls};
use crate::accepted::{with_cert_manager, with_kinds};
use crate::alone::Alone;

/// The kinds of the Prometheus operator; the tests need only their CRDs.
const KINDS_OF_PROMETHEUS: [(&str, &str); 2] = [
    ("ServiceMonitor", "servicemonitors"),
    ("PrometheusRule", "prometheusrules"),
];

/// A cluster without the CRD. Dropping the value restores the CRD for the other tests.
struct Fresh(Alone);

impl Fresh {
    fn new() -> Self {
        let alone = Alone::new();
        alone
            .kubectl(&["delete", "crd", "stellarnodes.stellar.org", "--ignore-not-found"], "")
            .ok("delete the CRD");
        Self(alone)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        put_definition_back(&self.0);
    }
}

#[test]
fn with_the_one_file() {
    let fresh = Fresh::new();
    // The second run is the upgrade.
    for _ in 0..2 {
        types("kubectl apply --server-side -f manifests/install.yaml");
        types("kubectl rollout status deployment/stellar-operator --namespace stellar");
    }
    // Listing works before there are any StellarNodes.
    types("kubectl get stellarnodes --all-namespaces");
    uninstalls();
    assert_eq!(left(&fresh.0), [""; 0]);
}

#[test]
fn with_an_overlay() {
    for overlay in [
        "kubectl apply --server-side -k manifests/overlays/namespace",
        "kubectl apply --server-side -k manifests/overlays/cluster",
    ] {
        let fresh = Fresh::new();
        for _ in 0..2 {
            types("kubectl apply --server-side -k manifests/crd");
            types(overlay);
            types("kubectl rollout status deployment/stellar-operator --namespace stellar");
        }
        uninstalls();
        assert_eq!(left(&fresh.0), [""; 0], "{overlay}");
    }
}

#[test]
fn switching_to_one_namespace_removes_the_rights_in_the_others() {
    let fresh = Fresh::new();
    types("kubectl apply --server-side -f manifests/install.yaml");
    types("kubectl apply --server-side -k manifests/overlays/namespace");
    for line in [
        "kubectl delete validatingwebhookconfigurations,mutatingwebhookconfigurations stellar-operator",
        "kubectl delete validatingadmissionpolicies,validatingadmissionpolicybindings stellar-operator stellar-operator-one-pod",
        "kubectl delete clusterrolebindings,clusterroles stellar-operator stellar-operator-nodes stellar-operator-view --ignore-not-found",
    ] {
        types(line);
    }
    let left = fresh.0.cluster_scoped();
    assert!(
        !left.is_empty() && left.iter().all(|name| name.ends_with("-stellar")),
        "{left:?}"
    );
    uninstalls();
}

#[test]
fn with_certificates_by_cert_manager() {
    with_cert_manager(|| {
        let _fresh = Fresh::new();
        types("kubectl apply --server-side -k manifests/crd");
        types("kubectl apply --server-side -k manifests/overlays/cert-manager");
        let certificates = types("kubectl get certificates --namespace stellar");
        assert!(certificates.contains("stellar-operator-webhook"), "{certificates}");
        types("kubectl delete certificates,issuers -l app.kubernetes.io/name=stellar-operator --namespace stellar");
        types(
            "kubectl delete secrets/stellar-operator-authority secrets/stellar-operator-webhook-tls --namespace stellar --ignore-not-found",
        );
        let left = types("kubectl get certificates --namespace stellar");
        assert!(!left.contains("stellar-operator"), "{left}");
    });
}

/// Another namespace; dropping the value deletes it.
struct Second<'a>(&'a Alone);

impl<'a> Second<'a> {
    fn created(alone: &'a Alone) -> Self {
        alone
            .kubectl(&["create", "namespace", "stellar-two"], "")
            .ok("another namespace");
        Self(alone)
    }
}

impl Drop for Second<'_> {
    fn drop(&mut self) {
        self.0.kubectl(&["delete", "namespace", "stellar-two"], "");
    }
}

#[test]
fn with_the_chart() {
    for install in [
        "helm install stellar-operator manifests/chart --namespace stellar --create-namespace",
        "helm install stellar-operator manifests/chart --namespace stellar --create-namespace --set watch.allNamespaces=true",
        "helm install stellar-operator manifests/chart --namespace stellar --create-namespace --set 'watch.namespaces={stellar,stellar-two}'",
    ] {
        let fresh = Fresh::new();
        let second = Second::created(&fresh.0);
        types(install);
        types("kubectl rollout status deployment/stellar-operator --namespace stellar");
        let scope = fresh.0.cluster_scoped();
        types("helm upgrade stellar-operator manifests/chart --namespace stellar");
        let other = "helm upgrade stellar-operator manifests/chart --namespace stellar --reset-then-reuse-values --set-string image.tag=TAG";
        types(&other.replace("TAG", "20261127"));
        assert_eq!(
            fresh.0.cluster_scoped(),
            scope,
            "{install}: the values of the install are kept"
        );
        let image = &fresh.0.get("deployment/stellar-operator")["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(image, "stellar-operator:20261127");
        types("helm rollback stellar-operator --namespace stellar");
        types("kubectl label namespace stellar pod-security.kubernetes.io/enforce=restricted");
        types("helm uninstall stellar-operator --namespace stellar");
        types(UNINSTALL[6]);
        wait_a_moment(|| left(&fresh.0).is_empty(), install);
        drop(second);
        // The uninstall keeps the CRD.
        types("kubectl get stellarnodes --all-namespaces");
    }
}

/// Waits for an operation that ends in the background.
fn wait_a_moment(mut is_so: impl FnMut() -> bool, what: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(wait_for(what, SOON, async || is_so().then_some(())));
}

#[test]
fn with_monitoring() {
    with_kinds("monitoring.coreos.com", KINDS_OF_PROMETHEUS, || {
        let alone = Alone::new();
        alone.create_namespace();
        let applied = types("kubectl apply --namespace stellar --kustomize manifests/monitoring");
        assert!(
            applied.contains("servicemonitor") && applied.contains("prometheusrule"),
            "{applied}"
        );
        let removed = types("kubectl delete --namespace stellar --kustomize manifests/monitoring --ignore-not-found");
        assert_eq!(applied.lines().count(), removed.lines().count(), "{removed}");
    });
}
