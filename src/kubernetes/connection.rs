//! Which API server a person means: the flags that kubectl has too, so that `kubectl stellar-peers --context …` works.

use std::path::PathBuf;

use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// Where to ask, and in which namespace.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub struct Connection {
    /// The kubeconfig, in place of KUBECONFIG and ~/.kube/config
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig, in place of its current one
    #[arg(long)]
    context: Option<String>,
    /// The namespace, in place of the context's
    #[arg(short, long)]
    namespace: Option<String>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Neither a kubeconfig nor a service account says where the API server is.
    #[error("no API server: set KUBECONFIG or --kubeconfig, or run in a pod with a service account")]
    Infer(#[source] Box<InferConfigError>),
    /// The kubeconfig cannot be used.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[source] Box<KubeconfigError>),
    /// The configuration names an API server that no client can be made for.
    #[error("no client can be made for the API server")]
    Client(#[source] Box<kube::Error>),
}

impl Connection {
    /// A client, and the namespace that is meant.
    ///
    /// # Errors
    /// When nothing says where the API server is, or it cannot be understood; the API server itself is not asked.
    pub async fn open(&self) -> Result<(Client, String), ConnectionError> {
        let config = self.config().await?;
        let namespace = self.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| ConnectionError::Client(Box::new(error)))?;
        Ok((client, namespace))
    }

    async fn config(&self) -> Result<Config, ConnectionError> {
        if self.kubeconfig.is_none() && self.context.is_none() {
            return Config::infer()
                .await
                .map_err(|error| ConnectionError::Infer(Box::new(error)));
        }
        let unusable = |error| ConnectionError::Kubeconfig(Box::new(error));
        let kubeconfig = match &self.kubeconfig {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        };
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        Config::from_custom_kubeconfig(kubeconfig.map_err(unusable)?, &options)
            .await
            .map_err(unusable)
    }
}
