//! The cluster that the tests run in.

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

/// The cluster, with the rights of its administrator.
#[derive(Clone, Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
}

impl Cluster {
    /// Connects to the cluster that `STELLAR_TEST_KUBECONFIG` names. `KUBECONFIG` and the home directory are ignored,
    /// so that no other cluster is ever changed.
    pub fn connect() -> Self {
        let Some(kubeconfig) = std::env::var_os("STELLAR_TEST_KUBECONFIG") else {
            panic!("run this with: make test");
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

    /// A client with the administrator's rights.
    pub async fn client(&self) -> Client {
        Client::try_from(self.config().await).expect("a client")
    }

    /// Reads an object, `None` if it does not exist, without starting a kubectl process; an error for a kind that is
    /// missing in `path`.
    pub async fn look(client: &Client, namespace: &str, object: &str) -> Result<Option<Value>, String> {
        let path = path(namespace, object).ok_or_else(|| format!("{object} has a kind that the kit does not know"))?;
        let request = Request::get(path).body(Vec::new()).expect("a request");
        match client.request(request).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A client without credentials: the caller adds a token.
    pub async fn anonymous_client(&self) -> Client {
        let mut config = self.config().await;
        config.auth_info = kube::config::AuthInfo::default();
        Client::try_from(config).expect("a client")
    }

    async fn config(&self) -> kube::Config {
        // The provider for the tests' TLS; an error means that it is already installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).expect("STELLAR_TEST_KUBECONFIG is a kubeconfig");
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("the kubeconfig is complete")
    }

    /// The directory with the pods' files, which the simulated kubelet of `tests/cluster` writes.
    pub fn kubelet_directory() -> PathBuf {
        let directory = std::env::var_os("STELLAR_TEST_CLUSTER_DIR").expect("a cluster made by tests/cluster");
        Path::new(&directory).join("kubelet")
    }
}

/// The API path of an object with a kubectl name such as `pod/validator-1-0`, or of all objects of a kind.
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
