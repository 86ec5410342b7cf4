//! The `history` sidecar: serves the history archive on a validator's volume to the other members of its group.
//!
//! Read-only: GET and HEAD of regular files, with ranges, without listings, and confined to the directory (`beneath`).
//! The directory may appear later; until then every file is 404. The sidecar has no rights at the API server.

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

/// Limits for the members of a group, each with a few `curl`s at once: at most 16 MiB of buffers if all are slow.
const LIMITS: PlainLimits = PlainLimits {
    connections: 128,
    per_client: 32,
    // A `curl` sends one request.
    idle: Duration::from_secs(10),
    buffer: 64 * 1024,
    write_timeout: Duration::from_secs(30),
    // A member's `curl` gives up after two minutes; a person's download may take longer.
    lifetime: Some(Duration::from_secs(600)),
};
/// Bytes of one read.
const CHUNK: usize = 32 * 1024;
/// Time for open connections at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// Serve a history archive over HTTP, read-only: GET and HEAD of the files of a directory, and GET /alive.
#[derive(Debug, Clone, clap::Args)]
pub struct History {
    /// Address to listen on.
    #[arg(long, env = "HISTORY_LISTEN", default_value = "0.0.0.0:11629")]
    listen: SocketAddr,
    /// Directory of the archive; it need not exist yet.
    #[arg(long, env = "HISTORY_DIR", default_value = "/data/history")]
    dir: PathBuf,
    /// Format of the log. RUST_LOG sets the levels; stellar_k8s=debug logs each request
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The address is in use, or not one of this pod's.
    #[error("cannot listen on {address}: give another address with --listen")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot serve the archive")]
    Serve(#[from] std::io::Error),
}

impl History {
    /// Serves until a termination signal.
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
        // Lets downloads in progress continue for a moment.
        handle.graceful_shutdown(Some(DRAIN));
        Ok(serving.await?)
    }
}

/// The archive, and `/alive`, which is not the name of any file in an archive.
fn router(dir: PathBuf) -> Router {
    let files: ServeDir<_, _> = ServeDir::with_backend("", Beneath::new(dir))
        .append_index_html_on_directories(false)
        .ignore_multi_range_requests(true)
        .with_buf_chunk_size(CHUNK);
    Router::new()
        .route("/alive", get(|| async { "alive\n" }))
        .fallback_service(files)
        .layer(from_fn(set_content_type))
}

/// Sets the content type and logs the request. A `.gz` file is sent as is: it is the requested file, not an encoding of
/// another one.
async fn set_content_type(request: Request, next: Next) -> Response {
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
