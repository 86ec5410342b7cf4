//! A proxy between one operator and the API server: plain HTTP on loopback, forwarded with the operator's own token. A
//! test can cause a fault for one operator at one request without affecting other tests.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use kube::Client;
use kube::client::Body as KubeBody;
use serde_json::json;
use stellar_k8s::labels;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::Cluster;

/// The handling of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Forward it.
    Pass,
    /// Neither forward nor answer it.
    Lost,
    /// Forward it and lose the answer.
    AnswerLost,
    /// Answer it with this status without forwarding it.
    Refused(u16),
    /// Forward it after this delay.
    Late(Duration),
}

/// A request, for the decision about a fault.
#[derive(Clone, Debug)]
pub struct Call {
    /// The HTTP method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The body as text.
    pub body: String,
}

impl Call {
    /// Whether the request changes an object, except the leader's Lease and Events; a dry run does not count either.
    pub fn is_write(&self) -> bool {
        let names_leader = self.path.contains(labels::LEADER_LEASE) || self.body.contains(labels::LEADER_LEASE);
        let asks = self.path.contains("dryRun=All");
        self.method != Method::GET && !names_leader && !asks && !self.path.contains("/events")
    }
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)
    }
}

type Judge = Arc<dyn Fn(&Call) -> Fate + Send + Sync>;

/// Forwards requests until it is dropped.
pub struct Proxy {
    port: u16,
    forwarder: Arc<Forwarder>,
    task: JoinHandle<()>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Proxy")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

struct Forwarder {
    client: Client,
    judge: Mutex<Judge>,
    /// Another name for the leader's Lease, with which the operator believes to be the only leader.
    leader_lease: String,
    lost: Notify,
    /// Ends the answers in progress, mainly watches.
    cut: watch::Sender<()>,
}

impl Proxy {
    /// Starts a proxy that forwards everything.
    pub async fn start(cluster: &Cluster) -> Self {
        Self::with_leader_lease(cluster, labels::LEADER_LEASE).await
    }

    /// Starts a proxy that forwards everything and renames the leader's Lease.
    pub async fn with_leader_lease(cluster: &Cluster, name: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let forwarder = Arc::new(Forwarder {
            client: cluster.anonymous_client().await,
            judge: Mutex::new(Arc::new(|_: &Call| Fate::Pass)),
            leader_lease: name.to_owned(),
            lost: Notify::new(),
            cut: watch::Sender::default(),
        });
        let routes = Router::new().fallback(forward).with_state(Arc::clone(&forwarder));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, routes).await;
        });
        Self { port, forwarder, task }
    }

    /// The address of the proxy.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on `judge` decides about every request.
    pub fn judge(&self, judge: impl Fn(&Call) -> Fate + Send + Sync + 'static) {
        *self.forwarder.judge.lock().unwrap() = Arc::new(judge);
    }

    /// Ends every watch.
    pub fn cut(&self) {
        self.forwarder.cut.send_replace(());
    }

    /// Waits until a request or its answer was lost.
    pub async fn lost(&self) {
        self.forwarder.lost.notified().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(State(forwarder): State<Arc<Forwarder>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let body = String::from_utf8(body.into()).expect("JSON is text");
    let call = Call {
        method: parts.method.clone(),
        path: parts.uri.to_string(),
        body,
    };
    let judge = Arc::clone(&forwarder.judge.lock().unwrap());
    match judge(&call) {
        Fate::Pass => forwarder.pass(parts, &call).await,
        Fate::Lost => forwarder.lose().await,
        Fate::AnswerLost => {
            forwarder.pass(parts, &call).await;
            forwarder.lose().await
        }
        Fate::Refused(status) => refusal(status),
        Fate::Late(how_long) => {
            tokio::time::sleep(how_long).await;
            forwarder.pass(parts, &call).await
        }
    }
}

/// An error in the API server's format.
fn refusal(code: u16) -> Response {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "reason": "InternalError", "message": "refused by the test",
    });
    let code = StatusCode::from_u16(code).expect("a status");
    (code, [(header::CONTENT_TYPE, "application/json")], status.to_string()).into_response()
}

impl Forwarder {
    async fn pass(&self, parts: Parts, call: &Call) -> Response {
        let renamed = |text: &str| text.replace(labels::LEADER_LEASE, &self.leader_lease);
        let mut request = axum::http::Request::new(KubeBody::from(renamed(&call.body).into_bytes()));
        *request.method_mut() = parts.method;
        *request.uri_mut() = renamed(&call.path).parse::<Uri>().expect("a URI");
        *request.headers_mut() = parts.headers;
        for name in [header::HOST, header::CONTENT_LENGTH, header::CONNECTION] {
            request.headers_mut().remove(name);
        }
        match self.client.send(request).await {
            Ok(answer) => {
                let mut cut = self.cut.subscribe();
                let until_cut = async move { cut.changed().await.unwrap_or_default() };
                answer.map(|body| Body::from_stream(Body::new(body).into_data_stream().take_until(Box::pin(until_cut))))
            }
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        }
    }

    async fn lose(&self) -> Response {
        self.lost.notify_one();
        std::future::pending().await
    }
}
