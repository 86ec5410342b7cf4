//! The flags of kubectl that select an API server, so that `kubectl stellar-peers --context …` works.

use std::path::PathBuf;

use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// Selects the API server and the namespace.
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

#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("no API server: set KUBECONFIG or --kubeconfig, or run in a pod with a service account")]
    Infer(#[source] Box<InferConfigError>),
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[source] Box<KubeconfigError>),
    #[error("no client can be made for the API server")]
    Client(#[source] Box<kube::Error>),
}

impl Connection {
    /// Returns a client and the selected namespace. Fails if no API server is configured, or its configuration is
    /// invalid. This does not call the API server.
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
