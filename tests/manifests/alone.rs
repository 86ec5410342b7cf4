//! Gives one test at a time exclusive use of the cluster: the webhooks of a cluster-wide install cover every namespace.
//!
//! The tests only apply, read and delete such an install. They create no StellarNode meanwhile, because no operator
//! runs behind the Service that the API server would call.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use stellar_k8s::labels;
use test_kit::{Cluster, Output};

use crate::rendering::NAMESPACE;

static ALONE: Mutex<()> = Mutex::new(());
/// The cluster-scoped kinds of an install, except the CustomResourceDefinition, which stays.
const CLUSTER_SCOPED: &str = "validatingwebhookconfigurations,mutatingwebhookconfigurations,clusterrolebindings,clusterroles,\
                              validatingadmissionpolicybindings,validatingadmissionpolicies";

/// The cluster without an install of the operator. Dropping the value removes the test's install.
pub(crate) struct Alone {
    cluster: Cluster,
    _guard: MutexGuard<'static, ()>,
}

impl Alone {
    /// Waits until no other test uses the cluster.
    pub(crate) fn new() -> Self {
        let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = Cluster::connect();
        Self { cluster, _guard: guard }
    }

    /// Creates the namespace of the overlays.
    pub(crate) fn create_namespace(&self) {
        let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE, "labels": labels },
        });
        self.kubectl(&["create", "-f", "-"], &namespace.to_string())
            .ok("the namespace");
    }

    /// Runs kubectl as the administrator.
    pub(crate) fn kubectl(&self, arguments: &[&str], stdin: &str) -> Output {
        self.cluster.kubectl(arguments, stdin)
    }

    /// An object as the API server returns it.
    pub(crate) fn get(&self, object: &str) -> Value {
        let text = self.kubectl(&["get", object, "--namespace", NAMESPACE, "-o", "json"], "");
        serde_json::from_str(&text.ok(object)).expect("JSON")
    }

    /// The names, as `kind/name`, of the install's cluster-scoped objects.
    pub(crate) fn cluster_scoped(&self) -> Vec<String> {
        cluster_scoped(&self.cluster)
    }

    /// Waits until the simulated kubelets report both replicas ready, which proves that the namespace admitted the
    /// pods.
    pub(crate) fn rolled_out(&self) {
        let rollout = [
            "rollout",
            "status",
            "deployment/stellar-operator",
            "--namespace",
            NAMESPACE,
            "--timeout=60s",
        ];
        self.kubectl(&rollout, "").ok("the rollout");
    }

    /// Waits until Kubernetes has checked the policies, and asserts that it has no warning about an expression.
    pub(crate) fn policies_are_understood(&self) {
        let all = self.cluster_scoped();
        let policies = all.iter().filter(|name| name.starts_with("validatingadmissionpolicy."));
        let policies: Vec<&String> = policies.collect();
        assert_eq!(policies.len(), 2, "{all:?}");
        for policy in policies {
            let read = [
                "wait",
                "--for=jsonpath={.status.observedGeneration}=1",
                policy,
                "--timeout=30s",
            ];
            self.kubectl(&read, "").ok("the policy is read");
            let warnings = &self.get(policy)["status"]["typeChecking"]["expressionWarnings"];
            assert!(warnings.is_null(), "{warnings}");
        }
    }

    /// Writes a CA into the webhooks of a configuration, as the operator does.
    pub(crate) fn write_bundle(&self, configuration: &str, bundle: &str) {
        let write = |place: u8| json!({ "op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": bundle });
        let patch = json!([write(0), write(1)]).to_string();
        let patch = [
            "patch",
            configuration,
            "--type=json",
            "--field-manager=stellar-operator",
            "-p",
            &patch,
        ];
        self.kubectl(&patch, "").ok("caBundle");
    }

    /// The CAs in a configuration, one for each webhook.
    pub(crate) fn bundles(&self, configuration: &str) -> Vec<Value> {
        let configuration = self.get(configuration);
        let webhooks = configuration["webhooks"].as_array().expect("webhooks").iter();
        webhooks
            .map(|webhook| webhook["clientConfig"]["caBundle"].clone())
            .collect()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        for name in self.cluster_scoped() {
            self.kubectl(&["delete", &name], "");
        }
        // Delete pods first: a namespace with pods waits for their grace period.
        let deployments = [
            "delete",
            "deployments",
            "--all",
            "--namespace",
            NAMESPACE,
            "--cascade=foreground",
        ];
        self.kubectl(&deployments, "");
        self.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found"], "");
    }
}

fn cluster_scoped(cluster: &Cluster) -> Vec<String> {
    let label = format!("{}={}", labels::NAME, labels::OPERATOR);
    let names = cluster.kubectl(&["get", CLUSTER_SCOPED, "-l", &label, "-o", "name"], "");
    names.ok("names").lines().map(str::to_owned).collect()
}

/// A CA in the format of caBundle.
pub(crate) fn bundle() -> String {
    use base64::Engine as _;
    let authority = rcgen::generate_simple_self_signed(["a.example.org".to_owned()]).expect("a certificate");
    base64::engine::general_purpose::STANDARD.encode(authority.cert.pem())
}
