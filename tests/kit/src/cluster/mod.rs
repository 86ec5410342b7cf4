//! The cluster that tests run in.

mod audit;
mod kubectl;
mod recorder;

pub use audit::{Audit, Calls};
pub use kubectl::Output;
pub use recorder::{History, Recorder};

use std::path::{Path, PathBuf};

use axum::http::Request;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use stellar_k8s::labels;

/// A cluster, as its administrator sees it.
#[derive(Clone, Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
}

impl Cluster {
    /// The cluster that `STELLAR_TEST_KUBECONFIG` names. No other is ever touched, whatever `KUBECONFIG` or the home
    /// directory say.
    pub fn connect() -> Self {
        let Some(kubeconfig) = std::env::var_os("STELLAR_TEST_KUBECONFIG") else {
            panic!("run it with: make test");
        };
        Self {
            kubeconfig: kubeconfig.into(),
        }
    }

    /// The administrator's kubeconfig, for programs other than kubectl.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs kubectl as the administrator.
    pub fn kubectl(&self, arguments: &[&str], stdin: &str) -> Output {
        kubectl::kubectl(&self.kubeconfig, arguments, stdin)
    }

    /// A client of the administrator's.
    pub async fn client(&self) -> Client {
        Client::try_from(self.config().await).expect("a client")
    }

    /// An object as the API server returns it, `None` if there is none, without a process for each look; an error for a
    /// kind that is not known here.
    pub async fn look(client: &Client, namespace: &str, object: &str) -> Result<Option<Value>, String> {
        let path = path(namespace, object).ok_or_else(|| format!("{object} is of no kind that is known here"))?;
        let request = Request::get(path).body(Vec::new()).expect("a request");
        match client.request(request).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A client without an identity: whoever uses it brings a token.
    pub async fn anonymous_client(&self) -> Client {
        let mut config = self.config().await;
        config.auth_info = kube::config::AuthInfo::default();
        Client::try_from(config).expect("a client")
    }

    async fn config(&self) -> kube::Config {
        // Also the provider of the test's own TLS; an error says that it is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).expect("STELLAR_TEST_KUBECONFIG is a kubeconfig");
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("the kubeconfig is complete")
    }

    /// Where the kubelet's part keeps what the pods got; only where the cluster is one of `tests/cluster`.
    pub fn kubelet_directory() -> PathBuf {
        let directory = std::env::var_os("STELLAR_TEST_CLUSTER_DIR").expect("a cluster made by tests/cluster");
        Path::new(&directory).join("kubelet")
    }
}

/// Where the API server has an object that is named as kubectl has it, such as `pod/validator-1-0`; or all of a kind.
fn path(namespace: &str, object: &str) -> Option<String> {
    let Some((kind, name)) = object.split_once('/') else {
        let (api, kinds) = match object {
            "events.events.k8s.io" => ("events.k8s.io/v1", "events"),
            "leases" => ("coordination.k8s.io/v1", "leases"),
            "stellarnodes" => (labels::API_VERSION, "stellarnodes"),
            _ => return None,
        };
        return Some(format!("/apis/{api}/namespaces/{namespace}/{kinds}"));
    };
    let api = match kind {
        "configmap" | "persistentvolumeclaim" | "pod" | "secret" | "service" => "api/v1",
        "deployment" | "statefulset" => "apis/apps/v1",
        "lease" => "apis/coordination.k8s.io/v1",
        "stellarnode" => {
            return Some(format!(
                "/apis/{}/namespaces/{namespace}/stellarnodes/{name}",
                labels::API_VERSION
            ));
        }
        _ => return None,
    };
    Some(format!("/{api}/namespaces/{namespace}/{kind}s/{name}"))
}
