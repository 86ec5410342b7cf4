//! The webhook's HTTPS server, joined with certificate and probes.
//!
//! The server has no rules about Stellar: a [`Reviewer`] decides what it reads.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tracing::{debug, info};

use super::config::WebhookConfig;
use super::handler::router;
use super::limits::Limits;
use super::reviewer::Reviewer;
use crate::metrics::Metrics;
use crate::metrics::probes::{self, Readiness};
use crate::tls::ca_bundle::Configurations;
use crate::tls::serving::{Serving, ServingError};
use crate::tls::upkeep::{CA_BUNDLE, CERTIFICATE, Follower, Keeper, Source};
use crate::util::http::{self, Acceptor, Timeouts, serve_plain};

/// Readiness condition: no shutdown is in progress.
const SERVING: &str = "serving";
/// Time for pending requests after the server stops accepting new ones.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address is in use or invalid.
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Tls(#[from] ServingError),
    #[error("the webhook's server failed")]
    Serve(#[source] io::Error),
}

/// The webhook, bound to its ports but not serving yet.
#[derive(Debug)]
pub struct Webhook {
    keeper: Keeper,
    readiness: Readiness,
    drain: Duration,
    listener: std::net::TcpListener,
    probes: std::net::TcpListener,
}

impl Webhook {
    /// Binds both ports.
    pub async fn bind(
        config: WebhookConfig,
        source: Source,
        configurations: Configurations,
        namespace: &str,
        readiness: Readiness,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ServerError> {
        let listener = listen(config.webhook_listen)?;
        let probes = listen(config.probe_listen)?;
        // Set before the probes are served: without any condition, the replica would be ready.
        readiness.require(CERTIFICATE, "no certificate yet");
        readiness.require(CA_BUNDLE, "not known to be in place yet");
        let keeper = Keeper {
            source,
            configurations,
            policy: config.policy(namespace),
            interval: config.interval(),
            metrics,
        };
        Ok(Self {
            keeper,
            readiness,
            drain: config.drain_time,
            listener,
            probes,
        })
    }

    /// The address that the webhook listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Creates and rotates the certificate and keeps `caBundle` up to date; runs on the leader.
    pub fn keeper(&self) -> Keeper {
        self.keeper.clone()
    }

    /// Serves until `shutdown`, then drains. It serves the certificate of the source and creates none.
    pub async fn serve(
        self,
        reviewer: Arc<dyn Reviewer>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServerError> {
        let metrics = Arc::clone(&self.keeper.metrics);
        let probes_router = probes::router(self.readiness.clone(), Arc::clone(&metrics));
        let serving = Serving::default();
        let follower = Follower {
            keeper: self.keeper,
            serving: serving.clone(),
            readiness: self.readiness.clone(),
        };
        let server = HttpsServer {
            listener: self.listener,
            serving,
            limits: Limits::default(),
            drain: self.drain,
            metrics,
        };
        tokio::select! {
            result = server.serve(reviewer, self.readiness, shutdown) => result,
            () = follower.run() => Ok(()),
            result = serve_plain(self.probes, probes_router, Handle::new()) => {
                result.map_err(ServerError::Serve)
            }
        }
    }
}

/// The HTTPS server without certificate upkeep and probes.
#[derive(Debug)]
pub struct HttpsServer {
    pub listener: std::net::TcpListener,
    pub serving: Serving,
    pub limits: Limits,
    /// Time to continue serving after the shutdown signal.
    pub drain: Duration,
    pub metrics: Arc<Metrics>,
}

impl HttpsServer {
    /// Serves until `shutdown`. During the drain, the server is not ready and asks clients to close their connections,
    /// but still serves: API servers send requests until they see that the pod ends. After the drain, it accepts
    /// nothing new and returns once the pending requests are answered.
    pub async fn serve(
        self,
        reviewer: Arc<dyn Reviewer>,
        readiness: Readiness,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServerError> {
        let draining = Arc::new(AtomicBool::new(false));
        let routes = router(reviewer, self.metrics, &self.limits, Arc::clone(&draining));
        let tls = RustlsConfig::from_config(Arc::new(self.serving.server_config()?));
        let timeouts = Timeouts {
            write: self.limits.answer_time,
            whole_write: true,
            lifetime: None,
        };
        let acceptor = RustlsAcceptor::new(tls)
            .handshake_timeout(self.limits.handshake)
            .acceptor(Acceptor::new(self.limits.connections, self.limits.per_client, timeouts));
        let handle = Handle::new();
        let mut server = axum_server::from_tcp(self.listener)
            .map_err(ServerError::Serve)?
            .acceptor(acceptor)
            .handle(handle.clone())
            .first_request_timeout(self.limits.first_request)
            .accept_error_handler(|client, error| debug!(?client, %error, "connection refused"))
            .http1_only();
        server.http_builder().http1().header_read_timeout(self.limits.idle);
        let ending = async {
            shutdown.await;
            info!(seconds = self.drain.as_secs_f32(), "draining");
            readiness.unmet(SERVING, "shutting down");
            draining.store(true, Ordering::Relaxed);
            tokio::time::sleep(self.drain).await;
            handle.graceful_shutdown(Some(LAST_REQUESTS));
        };
        let serving = server.serve(routes.into_make_service());
        tokio::pin!(serving);
        tokio::select! {
            result = &mut serving => result,
            () = ending => serving.await,
        }
        .map_err(ServerError::Serve)
    }
}

fn listen(address: SocketAddr) -> Result<std::net::TcpListener, ServerError> {
    http::listen(address).map_err(|source| ServerError::Listen { address, source })
}
