//! The cluster that tests run in.

use std::path::{Path, PathBuf};

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::kubectl::{self, Output};

/// A cluster, as its administrator sees it.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    kubeconfig: PathBuf,
}

impl Cluster {
    /// The cluster that `STELLAR_TEST_KUBECONFIG` names. No other is ever touched, whatever `KUBECONFIG` or the home
    /// directory say.
    pub(crate) fn connect() -> Self {
        let Some(kubeconfig) = std::env::var_os("STELLAR_TEST_KUBECONFIG") else {
            panic!("run it with: make test");
        };
        Self {
            kubeconfig: kubeconfig.into(),
        }
    }

    /// The administrator's kubeconfig, for programs other than kubectl.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs kubectl as the administrator.
    pub(crate) fn kubectl(&self, arguments: &[&str], stdin: &str) -> Output {
        kubectl::kubectl(&self.kubeconfig, arguments, stdin)
    }

    /// A client of the administrator's.
    pub(crate) async fn client(&self) -> Client {
        Client::try_from(self.config().await).expect("a client")
    }

    /// A client without an identity: whoever uses it brings a token.
    pub(crate) async fn client_of_nobody(&self) -> Client {
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
    pub(crate) fn kubelet_directory() -> PathBuf {
        let directory = std::env::var_os("STELLAR_TEST_CLUSTER_DIR").expect("a cluster made by tests/cluster");
        Path::new(&directory).join("kubelet")
    }
}
