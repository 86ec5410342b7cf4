//! Serves container logs for `kubectl logs`, with and without following.
//!
//! It listens on loopback with a self-signed certificate, which API servers do not verify for kubelets by default.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum_server::tls_rustls::RustlsConfig;
use futures::stream;
use serde::Deserialize;

/// How often a followed log is read.
const LOOK: Duration = Duration::from_millis(200);

/// The supported query parameters; kubectl's other options have no effect.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    #[serde(default)]
    follow: bool,
    tail_lines: Option<usize>,
}

/// Serves the logs below `root` until the process ends.
pub(crate) async fn serve(root: PathBuf, port: u16) -> anyhow::Result<()> {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate = pair.cert.der().to_vec();
    let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(
        vec![certificate.into()],
        rustls::pki_types::PrivatePkcs8KeyDer::from(pair.signing_key.serialize_der()).into(),
    )?;
    let routes = Router::new()
        .route("/containerLogs/{namespace}/{pod}/{container}", get(log))
        .with_state(root);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    axum_server::bind_rustls(address, RustlsConfig::from_config(Arc::new(tls)))
        .serve(routes.into_make_service())
        .await?;
    Ok(())
}

async fn log(
    State(root): State<PathBuf>,
    UrlPath((namespace, pod, container)): UrlPath<(String, String, String)>,
    Query(wanted): Query<Wanted>,
) -> Response {
    if ![&namespace, &pod, &container].into_iter().all(|name| is_name(name)) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    // The directory of the current pod; the next pod of this name has another one.
    let Ok(directory) = root.join(namespace).join(pod).join("current").canonicalize() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let file = directory.join(format!("{container}.log"));
    let content = std::fs::read(&file).unwrap_or_default();
    let begin = wanted.tail_lines.map_or(0, |lines| start_of_last(&content, lines));
    if !wanted.follow {
        return content[begin..].to_vec().into_response();
    }
    let more = stream::unfold((file, begin), |(file, position)| async move {
        loop {
            if let Some(news) = read_from(&file, position) {
                let position = position + news.len();
                return Some((Ok::<_, std::io::Error>(Bytes::from(news)), (file, position)));
            }
            // The log ends with its pod.
            if !file.parent().is_some_and(Path::exists) {
                return None;
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    Body::from_stream(more).into_response()
}

fn is_name(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    !text.is_empty() && text.chars().all(plain)
}

/// The position at which the last `lines` lines begin.
fn start_of_last(content: &[u8], lines: usize) -> usize {
    let ends = content.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    // The last newline ends the last line.
    ends.map(|(place, _)| place + 1).nth(lines).unwrap_or(0)
}

fn read_from(file: &Path, position: usize) -> Option<Vec<u8>> {
    let content = std::fs::read(file).ok()?;
    let news = content.get(position..)?;
    (!news.is_empty()).then(|| news.to_vec())
}

#[cfg(test)]
mod tests {
    use super::{is_name, start_of_last};

    #[test]
    fn start_of_last_finds_the_last_lines() {
        for (lines, rest) in [(0, ""), (1, "c\n"), (2, "b\nc\n"), (3, "a\nb\nc\n"), (9, "a\nb\nc\n")] {
            let content = "a\nb\nc\n";
            assert_eq!(&content[start_of_last(content.as_bytes(), lines)..], rest, "{lines}");
        }
    }

    #[test]
    fn a_name_cannot_leave_the_directory() {
        assert!(is_name("stellar-operator-0"));
        for name in ["", "..", "a/b", "a.b"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
