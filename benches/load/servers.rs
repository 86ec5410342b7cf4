//! The servers in Rust, each with the runtime, the TLS provider and the HTTP library of the operator.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use stellar_k8s::admission::context::NoContext;
use stellar_k8s::admission::reviewer::Rules;
use stellar_k8s::metrics::Metrics;
use stellar_k8s::metrics::probes::{Readiness, router};
use stellar_k8s::tls::serving::Serving;
use stellar_k8s::util::http::{listen, serve_plain};
use stellar_k8s::util::telemetry::{self, LogFormat};
use stellar_k8s::webhook::limits::Limits;
use stellar_k8s::webhook::server::HttpsServer;

use crate::plain;

/// The compared servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The operator's HTTPS server with its rules, limits, log and metrics, as in `run`. The other parts of `run` need
    /// a cluster: the caches, which this review does not use, and the upkeep of the certificate.
    Ours,
    /// axum and rustls, echoing the request: the minimal cost of TLS and HTTP for this many bytes.
    Echo,
    /// The same mutation with kube's review types, in `plain.rs`.
    Plain,
    /// The same mutation in Go, in `benches/go-webhook`.
    Go,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Ours, Self::Echo, Self::Plain, Self::Go];

    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        match Self::ALL.into_iter().find(|kind| kind.name() == name) {
            Some(kind) => Ok(kind),
            None => bail!("no server is called {name:?}"),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Echo => "echo",
            Self::Plain => "plain",
            Self::Go => "go",
        }
    }

    /// The name in the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Ours => "stellar-operator",
            Self::Echo => "axum + rustls, echo",
            Self::Plain => "kube's admission types",
            Self::Go => "Go, controller-runtime",
        }
    }
}

/// Serves until the parent process closes the standard input or ends.
///
/// With an address for `probes`, answers probes there, as `run` does.
pub(crate) fn serve(
    kind: Kind,
    address: SocketAddr,
    probes: Option<SocketAddr>,
    certificates: &Path,
) -> anyhow::Result<()> {
    // The same as in src/main.rs.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _log = telemetry::start(LogFormat::default());
    let within = runtime.enter();
    let listener = listen(address)?;
    drop(within);
    let chain = fs::read_to_string(certificates.join("tls.crt"))?;
    let key = fs::read_to_string(certificates.join("tls.key"))?;
    runtime.block_on(async {
        let metrics = Arc::<Metrics>::default();
        if let Some(probes) = probes {
            let routes = router(Readiness::default(), Arc::clone(&metrics));
            tokio::spawn(serve_plain(listen(probes)?, routes, axum_server::Handle::new()));
        }
        match kind {
            Kind::Ours => ours(listener, &chain, &key, metrics).await,
            Kind::Echo => other(listener, &chain, &key, post(echo)).await,
            Kind::Plain => other(listener, &chain, &key, post(plainly)).await,
            Kind::Go => bail!("that one is a program of its own"),
        }
    })
}

async fn ours(listener: TcpListener, chain: &str, key: &str, metrics: Arc<Metrics>) -> anyhow::Result<()> {
    let serving = Serving::default();
    serving.offer(chain, key)?;
    let server = HttpsServer {
        listener,
        serving,
        limits: Limits::default(),
        drain: Duration::ZERO,
        metrics,
    };
    let rules = Arc::new(Rules::new(Arc::new(NoContext)));
    server.serve(rules, Readiness::default(), end()).await?;
    Ok(())
}

async fn other(
    listener: TcpListener,
    chain: &str,
    key: &str,
    mutate: axum::routing::MethodRouter,
) -> anyhow::Result<()> {
    let tls = RustlsConfig::from_pem(chain.into(), key.into()).await?;
    let acceptor = RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor);
    let routes = Router::new().route("/mutate", mutate);
    let server = axum_server::from_tcp(listener)?.acceptor(acceptor).http1_only();
    tokio::select! {
        result = server.serve(routes.into_make_service()) => Ok(result?),
        () = end() => Ok(()),
    }
}

async fn echo(body: Bytes) -> impl IntoResponse {
    body
}

async fn plainly(body: Bytes) -> impl IntoResponse {
    match plain::mutate(&body) {
        Ok(answer) => (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], answer),
        Err(error) => {
            let sentence = error.to_string().into_bytes();
            (
                StatusCode::BAD_REQUEST,
                [(header::CONTENT_TYPE, "text/plain")],
                sentence,
            )
        }
    }
}

/// Waits for the end of standard input.
async fn end() {
    let reading = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    let _ = reading.await;
}
