//! What stands between one operator and the API server, and can come between them: plain HTTP on loopback, forwarded
//! with the operator's own token. So a fault hits one operator, at one request, and no other test.

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

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is forwarded.
    Pass,
    /// It is not forwarded and never answered.
    Lost,
    /// It is forwarded and done, and its answer is lost.
    AnswerLost,
    /// It is answered with this status, and not forwarded.
    Refused(u16),
    /// It is forwarded after so long.
    Late(Duration),
}

/// A request as a fault looks at it.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is asked for.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The object that is sent, as text.
    pub body: String,
}

impl Call {
    /// Whether it changes something; the leader's Lease and Events do not count, nor does a question whether a write
    /// would pass.
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

/// Forwards while it lives.
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
    /// What the leader's Lease is called on the way: another name, and its operator believes that it leads alone.
    leader_lease: String,
    lost: Notify,
    /// Ends the answers that are under way: watches, above all.
    cut: watch::Sender<()>,
}

impl Proxy {
    /// Forwards everything.
    pub async fn start(cluster: &Cluster) -> Self {
        Self::with_leader_lease(cluster, labels::LEADER_LEASE).await
    }

    /// Forwards everything, and calls the leader's Lease by another name.
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

    /// Where the operator finds it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on every request is judged so.
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

/// As the API server words it.
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
