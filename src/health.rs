//! The `health` sidecar: is the validator beside us voting?
//!
//! `info.state == "Synced!"` alone is not health: stellar-core forces SCP when it starts as a validator and says so for up
//! to 35 s having heard nobody (`CONSENSUS_STUCK_TIMEOUT_SECONDS`). So a ledger must also be young, somebody must be
//! connected, and the ledger number must have grown since stellar-core started. While it boots, `/info` answers 200 with
//! an `error`. [`Watch`] decides and touches nothing; the rest asks once a second and answers what was last decided, so
//! that no number of probes costs stellar-core more.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

/// Answers 200 while the validator votes, else 503 with the reason.
pub const VOTING_PATH: &str = "/voting";
/// A ledger older than this, in seconds, is not that of a node in consensus: one closes every 5 s or so.
const OLDEST_LEDGER: u64 = 10;
/// How often stellar-core is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// How long it may take to answer: connecting, headers and body together.
const PATIENCE: Duration = Duration::from_secs(2);
/// An answer older than this counts for nothing.
const STALE: Duration = Duration::from_secs(5);
/// Largest answer that is read; `/info` is below 4 KiB.
const LARGEST: usize = 256 * 1024;
/// How long a probe may take to send its request.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// How long open connections are waited for at the end.
const DRAIN: Duration = Duration::from_secs(1);

/// Tell, over HTTP, whether the stellar-core beside us takes part in consensus: GET /voting (200 or 503) and GET /alive.
#[derive(Debug, Clone, clap::Args)]
pub struct Health {
    /// Where to answer.
    #[arg(long, env = "HEALTH_LISTEN", default_value = "0.0.0.0:11628")]
    listen: SocketAddr,
    /// stellar-core's /info.
    #[arg(long, env = "HEALTH_INFO_URL", default_value = "http://127.0.0.1:11626/info")]
    info_url: Uri,
    /// The validator's quorum is itself: it needs no peer.
    #[arg(long, env = "HEALTH_ALONE")]
    alone: bool,
}

impl Health {
    /// Answers until the process is asked to end.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn run(self) -> anyhow::Result<()> {
        let listener =
            std::net::TcpListener::bind(self.listen).with_context(|| format!("cannot listen on {}", self.listen))?;
        listener.set_nonblocking(true)?;
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            result = serve(listener, self.info_url, Watch::new(self.alone)) => result,
            _ = terminate.recv() => Ok(()),
            result = tokio::signal::ctrl_c() => Ok(result?),
        }
    }
}

/// When stellar-core started, as it says, and the ledger that it had when it was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Start {
    started_on: Option<String>,
    ledger: u64,
}

/// Voting with this ledger, or why not.
pub type Verdict = Result<u64, String>;

/// Decides from one answer of `/info` after the other.
#[derive(Clone, Debug)]
pub struct Watch {
    alone: bool,
    start: Option<Start>,
}

impl Watch {
    /// Nothing seen yet. `alone`: the validator's quorum is itself, it needs no peer.
    pub fn new(alone: bool) -> Self {
        Self { alone, start: None }
    }

    /// What to say after this answer.
    pub fn answer(&mut self, json: &str) -> Verdict {
        let answer: Value = serde_json::from_str(json).map_err(|_| self.silence("stellar-core's /info is not JSON"))?;
        let Some(info) = answer.get("info") else {
            return Err(self.silence("stellar-core is booting: /info holds no info yet"));
        };
        let number = |path: &str| info.pointer(path).and_then(Value::as_u64);
        let (Some(state), Some(ledger), Some(age)) = (
            info.get("state").and_then(Value::as_str),
            number("/ledger/num"),
            number("/ledger/age"),
        ) else {
            return Err(self.silence("stellar-core's /info lacks state, ledger.num or ledger.age"));
        };
        let started_on = info.get("startedOn").and_then(Value::as_str).map(str::to_owned);
        let first = match &self.start {
            Some(start) if start.started_on == started_on => start.ledger,
            _ => {
                self.start = Some(Start { started_on, ledger });
                ledger
            }
        };
        // Older versions have no block `peers`.
        let peers = number("/peers/authenticated_count").unwrap_or(0);
        if state != "Synced!" {
            return Err(format!(
                "stellar-core's state is {:?}",
                state.chars().take(80).collect::<String>()
            ));
        }
        if age >= OLDEST_LEDGER {
            return Err(format!("ledger {ledger} is {age} s old, {OLDEST_LEDGER} s is too old"));
        }
        if peers == 0 && !self.alone {
            return Err("no peer is connected".to_owned());
        }
        if ledger <= first {
            return Err(format!(
                "no ledger has closed yet since stellar-core was first seen, at ledger {first}"
            ));
        }
        Ok(ledger)
    }

    /// What to say when there was no answer that counts. Only a start that stellar-core itself dates is remembered: it may
    /// have been restarted meanwhile.
    fn silence(&mut self, reason: &str) -> String {
        if self.start.as_ref().is_some_and(|start| start.started_on.is_none()) {
            self.start = None;
        }
        reason.to_owned()
    }
}

/// Asks and answers, until it is dropped.
async fn serve(listener: std::net::TcpListener, info_url: Uri, watch: Watch) -> anyhow::Result<()> {
    let (tell, verdict) = watch::channel((Instant::now(), Err("stellar-core was not asked yet".to_owned())));
    let app = Router::new()
        .route("/alive", get(|| async { "alive\n" }))
        .route(VOTING_PATH, get(move || std::future::ready(voting(&verdict))));
    let handle = axum_server::Handle::new();
    let mut server = axum_server::from_tcp(listener)?.handle(handle.clone());
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME);
    tokio::select! {
        result = server.serve(app.into_make_service()) => result?,
        () = poll(&info_url, watch, tell) => handle.graceful_shutdown(Some(DRAIN)),
    }
    Ok(())
}

fn voting(verdict: &watch::Receiver<(Instant, Verdict)>) -> (StatusCode, String) {
    let (at, verdict) = &*verdict.borrow();
    match verdict {
        _ if at.elapsed() > STALE => (
            StatusCode::SERVICE_UNAVAILABLE,
            "stellar-core has not been asked of late\n".to_owned(),
        ),
        Ok(ledger) => (StatusCode::OK, format!("voting, ledger {ledger}\n")),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// Asks for ever; ends when nobody listens any more.
async fn poll(info_url: &Uri, mut watch: Watch, tell: watch::Sender<(Instant, Verdict)>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let verdict = match ask(info_url).await {
            Ok(json) => watch.answer(&json),
            Err(reason) => Err(watch.silence(&reason)),
        };
        if tell.send((Instant::now(), verdict)).is_err() {
            return;
        }
    }
}

/// One GET, bounded in time and size.
async fn ask(url: &Uri) -> Result<String, String> {
    match tokio::time::timeout(PATIENCE, fetch(url)).await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(format!("stellar-core's /info cannot be read: {error:#}")),
        Err(_) => Err(format!(
            "stellar-core's /info did not answer within {} s",
            PATIENCE.as_secs()
        )),
    }
}

async fn fetch(url: &Uri) -> anyhow::Result<String> {
    let host = url.host().context("the URL has no host")?;
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
            .map_err(anyhow::Error::from_boxed)?;
        anyhow::ensure!(status.is_success(), "it answered {status}");
        Ok(String::from_utf8(body.to_bytes().into())?)
    };
    // The connection does the work; it ends by itself when the exchange has what it wants or is dropped.
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        result = &mut exchange => result,
        result = connection => { result?; exchange.await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn info(state: &str, num: u64, age: u64, peers: u64) -> String {
        json!({"info": {
            "state": state, "startedOn": "2026-01-01T00:00:00Z",
            "ledger": {"num": num, "age": age}, "peers": {"authenticated_count": peers},
        }})
        .to_string()
    }

    /// What is said after the last of these answers.
    fn after(answers: &[&str]) -> Verdict {
        let mut watch = Watch::new(false);
        answers.iter().map(|json| watch.answer(json)).last().unwrap()
    }

    #[test]
    fn only_a_node_in_consensus_is_voting() {
        let first = info("Synced!", 100, 2, 3);
        assert_eq!(after(&[&first, &info("Synced!", 101, 2, 3)]), Ok(101));
        assert_eq!(
            after(&[&info("Catching up", 100, 900, 3), &info("Synced!", 101, 9, 1)]),
            Ok(101)
        );
        for (name, answers, reason) in [
            ("booting", vec![r#"{"error":"booting"}"#.to_owned()], "booting"),
            (
                "catching up",
                vec![first.clone(), info("Catching up", 105, 2, 3)],
                "Catching up",
            ),
            (
                "false Synced! after a start",
                vec![first.clone(), first.clone()],
                "no ledger has closed yet",
            ),
            (
                "nobody heard",
                vec![first.clone(), info("Synced!", 101, 2, 0)],
                "no peer",
            ),
            ("stuck", vec![first.clone(), info("Synced!", 101, 10, 3)], "too old"),
            ("garbage", vec![first.clone(), "<html>".to_owned()], "not JSON"),
            ("other JSON", vec![first.clone(), "[1]".to_owned()], "booting"),
            (
                "incomplete",
                vec![first.clone(), r#"{"info":{"state":"Synced!"}}"#.to_owned()],
                "lacks",
            ),
            ("negative", vec![first.clone(), first.replace("100", "-1")], "lacks"),
        ] {
            let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
            let verdict = after(&answers);
            assert!(
                verdict.as_ref().is_err_and(|found| found.contains(reason)),
                "{name}: {verdict:?}"
            );
        }
    }

    #[test]
    fn a_restarted_stellar_core_starts_anew() {
        let later = |json: String| json.replace("2026-01-01", "2026-01-02");
        let (first, second) = (info("Synced!", 100, 2, 3), info("Synced!", 101, 2, 3));
        let again = later(info("Synced!", 102, 2, 3));
        assert!(after(&[&first, &second, &again]).is_err());
        assert_eq!(
            after(&[&first, &second, &again, &later(info("Synced!", 103, 2, 3))]),
            Ok(103)
        );
        // A moment of silence forgets only a start that has no date.
        assert_eq!(after(&[&first, "?", &second]), Ok(101));
        let undated = |json: &str| json.replace("startedOn", "x");
        assert!(after(&[&undated(&first), "?", &undated(&second)]).is_err());
    }

    #[test]
    fn who_is_its_own_quorum_needs_no_peer() {
        let mut watch = Watch::new(true);
        assert!(watch.answer(&info("Synced!", 7, 1, 0)).is_err());
        assert_eq!(watch.answer(&info("Synced!", 8, 1, 0)), Ok(8));
    }

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
            let error = ask(&url).await.unwrap_err();
            assert!(error.contains(reason), "{reason}: {error}");
        }
        let closed: Uri = "http://127.0.0.1:1/info".parse().unwrap();
        assert!(ask(&closed).await.unwrap_err().contains("cannot be read"));
    }

    #[tokio::test]
    async fn a_probe_hears_what_stellar_core_says() {
        let answer = Arc::new(Mutex::new(ok(r#"{"error":"booting"}"#)));
        let url = stand_in(Arc::clone(&answer)).await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let running = tokio::spawn(serve(listener, url, Watch::new(false)));
        let voting: Uri = format!("{base}{VOTING_PATH}").parse().unwrap();
        let until = async |wanted: &str| loop {
            let heard = ask(&voting).await;
            let text = heard.as_ref().map_or_else(String::clone, String::clone);
            if text.contains(wanted) {
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
        // The ledger grows only once the first one was seen.
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
