//! The `history` sidecar: serves the history archive that a validator publishes on its volume to the other members.
//!
//! Read-only: GET and HEAD of regular files, with ranges; no listing, and no way out of the directory (`beneath`). The
//! directory may appear later: until then nothing is there. It has no rights for the API server.

mod beneath;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use tower_http::services::ServeDir;
use tracing::{debug, info};

use crate::util::http::{self, PlainLimits, serve_within};
use crate::util::telemetry::LogFormat;
use beneath::Beneath;

/// What the members of a group, each with a few `curl`s at once, may cost: 16 MiB of buffers where all are slow.
const LIMITS: PlainLimits = PlainLimits {
    connections: 128,
    each: 32,
    // A `curl` asks once.
    idle: Duration::from_secs(10),
    buffer: 64 * 1024,
    stall: Duration::from_secs(30),
    // A member's `curl` gives up after two minutes; a person's may take longer.
    life: Some(Duration::from_secs(600)),
};
/// Bytes that are read at once.
const CHUNK: usize = 32 * 1024;
/// How long open connections are waited for at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// Serve a history archive over HTTP, read-only: GET and HEAD of the files of a directory, and GET /alive.
#[derive(Debug, Clone, clap::Args)]
pub struct History {
    /// Where to answer.
    #[arg(long, env = "HISTORY_LISTEN", default_value = "0.0.0.0:11629")]
    listen: SocketAddr,
    /// The archive; it need not exist yet.
    #[arg(long, env = "HISTORY_DIR", default_value = "/data/history")]
    dir: PathBuf,
    /// Format of the log; RUST_LOG sets what is logged: stellar_k8s=debug logs each request
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// Why the archive cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The address is taken, or is none of this pod's.
    #[error("cannot listen on {address}: give another address with --listen")]
    Listen {
        /// As it was given.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The server or the handling of signals failed.
    #[error("cannot serve the archive")]
    Serve(#[from] std::io::Error),
}

impl History {
    /// Serves until the process is asked to end.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn run(self) -> Result<(), HistoryError> {
        let Self { listen, dir, .. } = self;
        let listener = http::listen(listen).map_err(|source| HistoryError::Listen {
            address: listen,
            source,
        })?;
        let address = listener.local_addr()?;
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        info!(%address, dir = %dir.display(), "serving the history archive");
        let handle = axum_server::Handle::new();
        let mut serving = std::pin::pin!(serve_within(listener, router(dir), handle.clone(), LIMITS));
        tokio::select! {
            result = &mut serving => return Ok(result?),
            _ = terminate.recv() => {}
            result = tokio::signal::ctrl_c() => result?,
        }
        // Whoever downloads a file may go on for a moment.
        handle.graceful_shutdown(Some(DRAIN));
        Ok(serving.await?)
    }
}

/// The archive, and `/alive`, a name that no file of an archive has.
fn router(dir: PathBuf) -> Router {
    let files: ServeDir<_, _> = ServeDir::with_backend("", Beneath::new(dir))
        .append_index_html_on_directories(false)
        .ignore_multi_range_requests(true)
        .with_buf_chunk_size(CHUNK);
    Router::new()
        .route("/alive", get(|| async { "alive\n" }))
        .fallback_service(files)
        .layer(from_fn(answered))
}

/// Types the files of an archive as what they are: `.gz` is not an encoding of something else, it is what was asked
/// for.
async fn answered(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    debug!(%method, path, status = response.status().as_u16(), "answered");
    if response.status().is_success() && path != "/alive" {
        let kind = if path.ends_with(".json") {
            "application/json"
        } else {
            "application/octet-stream"
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

#[cfg(test)]
mod tests;
