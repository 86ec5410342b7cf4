//! The objects of one test: a namespace, an identity with the webhook's rights, and webhook configurations.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::replica::Replica;

pub(crate) struct Cluster {
    /// Name of the namespace, of both configurations and of the Secret.
    pub(crate) name: String,
    /// An administrator's client.
    admin: Client,
}

impl Cluster {
    pub(crate) async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let name = format!(
            "webhook-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let admin = Client::try_from(config().await).unwrap();
        let cluster = Self { name, admin };
        cluster.create_identity().await;
        cluster
    }

    /// A client with exactly the rights of the webhook's identity.
    pub(crate) async fn operator(&self) -> Client {
        let mut config = config().await;
        config.auth_info.impersonate = Some(format!("system:serviceaccount:{}:webhook", self.name));
        Client::try_from(config).unwrap()
    }

    async fn create_identity(&self) {
        let name = &self.name;
        let metadata = json!({ "name": name });
        self.put(
            &Api::<Namespace>::all(self.admin.clone()),
            json!({ "metadata": metadata }),
        )
        .await;
        let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({ "apiGroups": [group], "resources": resources, "resourceNames": [name], "verbs": verbs });
        let subject = json!([{ "kind": "ServiceAccount", "name": "webhook", "namespace": name }]);
        let reference = |kind: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
        let role = json!({ "metadata": metadata, "rules": [rule("", &["secrets"], &["get", "create", "patch"])] });
        let configurations = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
        let configurations = rule("admissionregistration.k8s.io", &configurations, &["get", "patch"]);
        let cluster_role = json!({ "metadata": metadata, "rules": [configurations] });
        let binding = |kind| json!({ "metadata": metadata, "roleRef": reference(kind), "subjects": subject });
        self.put(&self.namespaced::<Role>(), role).await;
        self.put(&self.namespaced::<RoleBinding>(), binding("Role")).await;
        self.put(&Api::<ClusterRole>::all(self.admin.clone()), cluster_role)
            .await;
        self.put(
            &Api::<ClusterRoleBinding>::all(self.admin.clone()),
            binding("ClusterRole"),
        )
        .await;
    }

    /// Registers the first replica as mutating and the last as validating webhook for this namespace's ConfigMaps.
    pub(crate) async fn register_replicas(&self, replicas: &[Replica]) {
        let (first, last) = (replicas.first().unwrap(), replicas.last().unwrap());
        self.register(first.address, last.address).await;
    }

    /// Registers the servers at these addresses as mutating and validating webhook for this namespace's ConfigMaps.
    pub(crate) async fn register(&self, mutating: SocketAddr, validating: SocketAddr) {
        let mutating = self.configuration(&self.name, &format!("https://{mutating}/mutate"));
        self.put(&self.mutating(), mutating).await;
        let validating = self.configuration(&self.name, &format!("https://{validating}/validate"));
        self.put(&self.validating(), validating).await;
    }

    /// Registers a configuration with another name, which must not change.
    pub(crate) async fn register_other(&self) -> MutatingWebhookConfiguration {
        let mut other = self.configuration(&format!("{}-other", self.name), "https://127.0.0.1:1/");
        other["webhooks"][0]["failurePolicy"] = "Ignore".into();
        self.put(&self.mutating(), other).await
    }

    fn configuration(&self, name: &str, url: &str) -> Value {
        json!({
            "metadata": { "name": name },
            "webhooks": [{
                "name": "configmaps.stellar.org",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 5,
                "clientConfig": { "url": url },
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": self.name } },
                "rules": [{
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["configmaps"],
                    "scope": "Namespaced",
                }],
            }],
        })
    }

    /// Adds a policy that refuses every change of these configurations by the webhook's identity.
    pub(crate) async fn refuse_changes_of(&self, resources: &[&str]) {
        let metadata = json!({ "name": self.name });
        let user = format!("system:serviceaccount:{}:webhook", self.name);
        let policy = json!({
            "metadata": metadata,
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": [{
                    "apiGroups": ["admissionregistration.k8s.io"],
                    "apiVersions": ["v1"],
                    "operations": ["UPDATE"],
                    "resources": resources,
                }] },
                "validations": [{
                    "expression": format!("request.userInfo.username != '{user}'"),
                    "message": "nobody changes this here",
                }],
            },
        });
        self.put(&Api::<ValidatingAdmissionPolicy>::all(self.admin.clone()), policy)
            .await;
        let binding = json!({
            "metadata": metadata,
            "spec": { "policyName": self.name, "validationActions": ["Deny"] },
        });
        self.put(
            &Api::<ValidatingAdmissionPolicyBinding>::all(self.admin.clone()),
            binding,
        )
        .await;
        let try_it: Api<MutatingWebhookConfiguration> = Api::all(self.operator().await);
        let change = Patch::Merge(json!({ "metadata": { "annotations": { "seen": "yes" } } }));
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        eventually("the policy is in force", async || {
            let answer = try_it.patch(&self.name, &params, &change).await;
            answer.is_err_and(|error| error.to_string().contains("nobody changes this here"))
        })
        .await;
    }

    /// Removes that policy.
    pub(crate) async fn allow_changes(&self) {
        let params = DeleteParams::default();
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(self.admin.clone());
        let _ = bindings.delete(&self.name, &params).await;
        let policies = Api::<ValidatingAdmissionPolicy>::all(self.admin.clone());
        let _ = policies.delete(&self.name, &params).await;
    }

    /// Creates a ConfigMap and asserts that the mutating webhook has changed it.
    pub(crate) async fn create(&self, name: &str) -> kube::Result<()> {
        let config_map = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        let stored = self
            .namespaced::<ConfigMap>()
            .create(&PostParams::default(), &config_map)
            .await?;
        assert_eq!(stored.metadata.labels.unwrap()["seen"], "yes");
        Ok(())
    }

    /// Creates ConfigMaps until one is admitted: the API server sees a changed configuration only some time later.
    pub(crate) async fn create_until_trusted(&self) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        eventually("the API server trusts the webhook", async || {
            let name = format!("first-{}", COUNT.fetch_add(1, Ordering::Relaxed));
            match self.create(&name).await {
                Ok(()) => true,
                Err(error) => {
                    assert!(error.to_string().contains("certificate"), "{error}");
                    false
                }
            }
        })
        .await;
    }

    /// The `caBundle` of the mutating and of the validating configuration.
    pub(crate) async fn bundles(&self) -> [String; 2] {
        let mutating = self
            .mutating()
            .get(&self.name)
            .await
            .unwrap()
            .webhooks
            .unwrap()
            .remove(0);
        let validating = self
            .validating()
            .get(&self.name)
            .await
            .unwrap()
            .webhooks
            .unwrap()
            .remove(0);
        [mutating.client_config, validating.client_config].map(|config| {
            let bundle = config.ca_bundle.map(|bundle| bundle.0).unwrap_or_default();
            String::from_utf8(bundle).unwrap()
        })
    }

    /// Content of the certificate Secret.
    pub(crate) async fn secret(&self) -> BTreeMap<String, String> {
        let secret = self.secrets().get(&self.name).await.unwrap();
        let entries = secret.data.unwrap_or_default().into_iter();
        entries
            .map(|(key, value)| (key, String::from_utf8(value.0).unwrap()))
            .collect()
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        self.namespaced()
    }

    pub(crate) fn mutating(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.admin.clone())
    }

    pub(crate) fn validating(&self) -> Api<ValidatingWebhookConfiguration> {
        Api::all(self.admin.clone())
    }

    /// Deletes the namespace and the cluster-scoped objects.
    pub(crate) async fn remove(self) {
        self.allow_changes().await;
        let params = DeleteParams::default();
        let _ = self.mutating().delete(&self.name, &params).await;
        let _ = self.mutating().delete(&format!("{}-other", self.name), &params).await;
        let _ = self.validating().delete(&self.name, &params).await;
        let _ = Api::<ClusterRole>::all(self.admin.clone())
            .delete(&self.name, &params)
            .await;
        let _ = Api::<ClusterRoleBinding>::all(self.admin.clone())
            .delete(&self.name, &params)
            .await;
        let _ = Api::<Namespace>::all(self.admin.clone())
            .delete(&self.name, &params)
            .await;
    }

    fn namespaced<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.admin.clone(), &self.name)
    }

    async fn put<K>(&self, api: &Api<K>, object: Value) -> K
    where
        K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
    {
        let object = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap()
    }
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let polling = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), polling)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

async fn config() -> Config {
    let path = std::env::var("STELLAR_TEST_KUBECONFIG").expect("STELLAR_TEST_KUBECONFIG names the control plane");
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap()
}
