//! The `health` sidecar: polls the stellar-core in its pod once a second, and reports over HTTP whether it votes.
//!
//! Probes get the last verdict while it is valid, so more probes cause no more load on stellar-core. [`VotingJudge`]
//! makes the verdict.

mod voting;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::core_config::pod_paths::VOTING_PATH;
use crate::util::error_chain::on_one_line;
use crate::util::http::{listen, serve_plain};

pub use voting::{Silence, Verdict, VotingJudge};

/// Interval between requests to stellar-core.
const PERIOD: Duration = Duration::from_secs(1);
/// Longest time of a request: connection, headers and body together.
const PATIENCE: Duration = Duration::from_secs(2);
/// Largest accepted answer in bytes; `/info` is below 4 KiB.
const LARGEST: usize = 256 * 1024;
/// Time for open connections at shutdown.
const DRAIN: Duration = Duration::from_secs(1);

/// Report over HTTP whether the stellar-core in the same pod takes part in consensus: GET /voting (200 or 503) and GET
/// /alive.
#[derive(Debug, Clone, clap::Args)]
pub struct Health {
    /// Address to listen on.
    #[arg(long, env = "HEALTH_LISTEN", default_value = "0.0.0.0:11628")]
    listen: SocketAddr,
    /// URL of stellar-core's /info.
    #[arg(long, env = "HEALTH_INFO_URL", default_value = "http://127.0.0.1:11626/info")]
    info_url: Uri,
    /// The validator is its own quorum and needs no peer.
    #[arg(long, env = "HEALTH_ALONE")]
    alone: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address is in use, or not one of this pod's.
    #[error("cannot listen on {address}: give another address with --listen")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot answer probes")]
    Serve(#[from] std::io::Error),
}

impl Health {
    /// Answers probes until a termination signal.
    pub async fn run(self) -> Result<(), HealthError> {
        let listener = listen(self.listen).map_err(|source| HealthError::Listen {
            address: self.listen,
            source,
        })?;
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            result = serve(listener, self.info_url, VotingJudge::new(self.alone)) => result,
            _ = terminate.recv() => Ok(()),
            result = tokio::signal::ctrl_c() => Ok(result?),
        }
    }
}

/// Polls and answers until it is dropped.
async fn serve(listener: std::net::TcpListener, info_url: Uri, judge: VotingJudge) -> Result<(), HealthError> {
    let begin = Instant::now();
    let (sender, verdict) = watch::channel(Verdict::NotVoting("stellar-core was not asked yet".to_owned()));
    let app = Router::new().route("/alive", get(|| async { "alive\n" })).route(
        VOTING_PATH,
        get(move || std::future::ready(voting(&verdict.borrow(), begin.elapsed()))),
    );
    let handle = axum_server::Handle::new();
    tokio::select! {
        result = serve_plain(listener, app, handle.clone()) => result?,
        () = poll(&info_url, judge, begin, sender) => handle.graceful_shutdown(Some(DRAIN)),
    }
    Ok(())
}

fn voting(verdict: &Verdict, now: Duration) -> (StatusCode, String) {
    match verdict.at(now) {
        Ok(ledger) => (StatusCode::OK, format!("voting, ledger {ledger}\n")),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// Polls until the receiver is dropped. Times count from `begin`.
async fn poll(info_url: &Uri, mut judge: VotingJudge, begin: Instant, verdicts: watch::Sender<Verdict>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = begin.elapsed();
        let verdict = match ask(info_url).await {
            // The reported age was correct at some time between the request and now; the time of the request makes the
            // ledger older, never younger.
            Ok(json) => judge.answer(asked, &json),
            Err(silence) => judge.silence(begin.elapsed(), silence),
        };
        if verdicts.send(verdict).is_err() {
            return;
        }
    }
}

/// `/info` cannot be read.
#[derive(Debug, thiserror::Error)]
enum InfoError {
    #[error("the URL has no host: give one such as http://127.0.0.1:11626/info with --info-url")]
    NoHost,
    #[error("no connection")]
    Connect(#[from] std::io::Error),
    #[error("the exchange broke off")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be built")]
    Request(#[from] axum::http::Error),
    #[error("its answer was not read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer is not UTF-8")]
    Text(#[from] std::string::FromUtf8Error),
}

/// One GET with limits on time and size.
async fn ask(url: &Uri) -> Result<String, Silence> {
    match tokio::time::timeout(PATIENCE, fetch(url)).await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(error.silence()),
        Err(_) => Err(Silence::Unanswered(format!(
            "stellar-core's /info did not answer within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

impl InfoError {
    /// A connection that breaks off may belong to a process that ends; the next one is then refused. A busy main thread
    /// does not refuse connections, since the kernel accepts them.
    fn silence(&self) -> Silence {
        let reason = format!("stellar-core's /info cannot be read: {}", on_one_line(self));
        match self {
            Self::Connect(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Silence::Gone(reason),
            Self::Connect(_) | Self::Http(_) => Silence::Unanswered(reason),
            _ => Silence::Gone(reason),
        }
    }
}

async fn fetch(url: &Uri) -> Result<String, InfoError> {
    let host = url.host().ok_or(InfoError::NoHost)?;
    let port = url.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host, port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = hyper::Request::get(url.path_and_query().map_or("/", |path| path.as_str()))
        .header(hyper::header::HOST, host)
        .header(hyper::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST)
            .collect()
            .await
            .map_err(InfoError::Body)?;
        if !status.is_success() {
            return Err(InfoError::Status(status));
        }
        Ok(String::from_utf8(body.to_bytes().into())?)
    };
    // The connection drives the exchange. It ends once the exchange is complete or dropped.
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        result = &mut exchange => result,
        result = connection => { result?; exchange.await }
    }
}

#[cfg(test)]
mod tests {
    use super::voting::tests::info;
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A stand-in for stellar-core: answers each connection with these bytes; `None` is silence.
    async fn stand_in(answer: Arc<Mutex<Option<String>>>) -> Uri {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/info", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.lock().unwrap().clone();
                match answer {
                    None => silent.push(stream),
                    Some(text) => {
                        let mut request = [0; 1024];
                        let _ = stream.read(&mut request).await;
                        let _ = stream.write_all(text.as_bytes()).await;
                    }
                }
            }
        });
        url.parse().unwrap()
    }

    fn ok(body: &str) -> Option<String> {
        Some(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    #[tokio::test]
    async fn asking_is_bounded_in_time_and_size() {
        let answer = Arc::new(Mutex::new(ok("{}")));
        let url = stand_in(Arc::clone(&answer)).await;
        assert_eq!(ask(&url).await, Ok("{}".to_owned()));
        for (text, reason) in [
            (ok(&"x".repeat(LARGEST + 1)), "length limit"),
            (
                Some(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(2 * LARGEST))),
                "length limit",
            ),
            (
                Some("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned()),
                "404",
            ),
            (Some("SSH-2.0\r\n\r\n".to_owned()), "cannot be read"),
            (Some(String::new()), "cannot be read"),
            (None, "did not answer within 2 s"),
        ] {
            *answer.lock().unwrap() = text;
            let heard = ask(&url).await.unwrap_err();
            assert!(heard.reason().contains(reason), "{reason}: {heard:?}");
            // Only a complete silence may mean a busy process.
            let busy = matches!(heard, Silence::Unanswered(_));
            assert_eq!(busy, !reason.contains("length") && reason != "404", "{heard:?}");
        }
        let closed: Uri = "http://127.0.0.1:1/info".parse().unwrap();
        let heard = ask(&closed).await.unwrap_err();
        assert!(
            matches!(&heard, Silence::Gone(reason) if reason.contains("cannot be read")),
            "{heard:?}"
        );
    }

    #[tokio::test]
    async fn a_probe_hears_what_stellar_core_says() {
        let answer = Arc::new(Mutex::new(ok(r#"{"error":"booting"}"#)));
        let url = stand_in(Arc::clone(&answer)).await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let running = tokio::spawn(serve(listener, url, VotingJudge::new(false)));
        let voting: Uri = format!("{base}{VOTING_PATH}").parse().unwrap();
        let until = async |wanted: &str| loop {
            let heard = ask(&voting).await;
            if heard
                .as_ref()
                .map_or_else(Silence::reason, String::as_str)
                .contains(wanted)
            {
                return;
            }
            tokio::task::yield_now().await;
        };
        let wait = Duration::from_secs(20);
        tokio::time::timeout(wait, until("503")).await.unwrap();
        *answer.lock().unwrap() = ok(&info("Synced!", 100, 1, 2));
        assert_eq!(
            ask(&format!("{base}/alive").parse().unwrap()).await,
            Ok("alive\n".to_owned())
        );
        // The ledger grows only after the first one was seen.
        let seen = async {
            for ledger in 101.. {
                *answer.lock().unwrap() = ok(&info("Synced!", ledger, 1, 2));
                if ask(&voting).await.is_ok() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(wait, seen).await.unwrap();
        *answer.lock().unwrap() = ok("garbage");
        tokio::time::timeout(wait, until("503")).await.unwrap();
        running.abort();
    }
}
