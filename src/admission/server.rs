//! The webhook's HTTPS server, and how certificate, server and probes are joined.
//!
//! The HTTP layer knows nothing of Stellar: what it reads goes to a [`Reviewer`], what that answers goes out.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{debug, error, info};

use super::config::WebhookConfig;
use super::limits::{Limits, Refusal, read_body};
use super::reviewer::{Answer, Reviewer};
use crate::http::{BoundedAcceptor, serve_plain};
use crate::metrics::{self, Outcome};
use crate::probes::{self, Readiness};
use crate::tls::ca_bundle::Configurations;
use crate::tls::serving::{Serving, ServingError};
use crate::tls::store::Store;
use crate::tls::upkeep::{CA_BUNDLE, CERTIFICATE, Follower, Keeper, Source};

/// Condition of readiness: not being told to stop.
const SERVING: &str = "serving";
/// How long requests that have begun may go on once no further ones are taken.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Why the webhook ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] ServingError),
    /// The server failed.
    #[error("the webhook's server failed")]
    Serve(#[source] io::Error),
}

/// The webhook, bound to its ports, not serving yet.
#[derive(Debug)]
pub struct Webhook {
    config: WebhookConfig,
    limits: Limits,
    readiness: Readiness,
    serving: Serving,
    source: Source,
    configurations: Configurations,
    namespace: String,
    listener: std::net::TcpListener,
    probes: std::net::TcpListener,
}

impl Webhook {
    /// Binds both ports.
    ///
    /// # Errors
    /// When one of them is taken.
    pub async fn bind(
        config: WebhookConfig,
        client: kube::Client,
        namespace: &str,
        readiness: Readiness,
    ) -> Result<Self, ServerError> {
        let listener = listen(config.webhook_listen).await?;
        let probes = listen(config.probe_listen).await?;
        // Before anybody can ask: no conditions would be ready.
        readiness.require(CERTIFICATE, "no certificate yet");
        readiness.require(CA_BUNDLE, "not known to be in place yet");
        let configurations = Configurations::new(&client, &config.webhook_configuration);
        let source = match (&config.tls_cert_file, &config.tls_key_file) {
            (Some(cert), Some(key)) => Source::Files {
                cert: cert.clone(),
                key: key.clone(),
                ca: config.tls_ca_file.clone(),
            },
            _ => Source::Secret(Box::new(Store::new(client, namespace, &config.certificate_secret))),
        };
        Ok(Self {
            config,
            limits: Limits::default(),
            readiness,
            serving: Serving::default(),
            source,
            configurations,
            namespace: namespace.to_owned(),
            listener,
            probes,
        })
    }

    /// The address that the webhook is served on.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What makes and rotates the certificate and keeps `caBundle`; to be run on the leader.
    pub fn keeper(&self) -> Keeper {
        Keeper {
            source: self.source.clone(),
            configurations: self.configurations.clone(),
            policy: self.config.policy(&self.namespace),
            interval: self.config.interval(),
        }
    }

    /// Serves until `shutdown`, then drains. Serves whatever certificate the source holds; makes none.
    ///
    /// # Errors
    /// When a server fails for good.
    pub async fn serve(
        self,
        reviewer: Arc<dyn Reviewer>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServerError> {
        let follower = Follower {
            keeper: self.keeper(),
            serving: self.serving.clone(),
            readiness: self.readiness.clone(),
        };
        let server = HttpsServer {
            listener: self.listener,
            serving: self.serving,
            limits: self.limits,
            drain: self.config.drain_time,
        };
        let readiness = self.readiness.clone();
        tokio::select! {
            result = server.serve(reviewer, self.readiness, shutdown) => result,
            () = follower.run() => Ok(()),
            result = serve_plain(self.probes, probes::router(readiness), Handle::new()) => {
                result.map_err(ServerError::Serve)
            }
        }
    }
}

/// The HTTPS server alone: a certificate to show, a reviewer to ask.
#[derive(Debug)]
pub struct HttpsServer {
    /// Where connections come from.
    pub listener: std::net::TcpListener,
    /// What is shown to clients.
    pub serving: Serving,
    /// What clients may cost.
    pub limits: Limits,
    /// How long to serve on after being told to stop.
    pub drain: Duration,
}

impl HttpsServer {
    /// Serves until `shutdown`. Then, for the time of the drain, goes on as before, but not ready, and asking clients to
    /// close: API servers go on sending to a pod that ends until they hear of it. Then takes nothing new, and ends when
    /// the requests that have begun are answered.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(
        self,
        reviewer: Arc<dyn Reviewer>,
        readiness: Readiness,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServerError> {
        let draining = Arc::new(AtomicBool::new(false));
        let routes = router(reviewer, &self.limits, Arc::clone(&draining));
        let tls = RustlsConfig::from_config(Arc::new(self.serving.server_config()?));
        let acceptor = RustlsAcceptor::new(tls)
            .handshake_timeout(self.limits.handshake)
            .acceptor(BoundedAcceptor::new(self.limits.connections));
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

#[derive(Clone)]
struct App {
    reviewer: Arc<dyn Reviewer>,
    limits: Arc<Limits>,
    room: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// The routes of the webhook. While `draining`, every answer asks its client to close the connection.
pub fn router(reviewer: Arc<dyn Reviewer>, limits: &Limits, draining: Arc<AtomicBool>) -> Router {
    let app = App {
        reviewer,
        room: Arc::new(Semaphore::new(limits.bodies)),
        places: Arc::new(Semaphore::new(limits.reviews)),
        limits: Arc::new(limits.clone()),
    };
    Router::new()
        .route("/mutate", post(mutate))
        .route("/validate", post(validate))
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "send a review with POST")
        })
        .fallback(|| async {
            Refusal::new(
                StatusCode::NOT_FOUND,
                "there are /mutate and /validate here, nothing else",
            )
        })
        .with_state(app)
        .layer(middleware::from_fn_with_state(draining, close_while_draining))
}

async fn close_while_draining(State(draining): State<Arc<AtomicBool>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if draining.load(Ordering::Relaxed) {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn mutate(State(app): State<App>, request: Request) -> Response {
    app.answer("mutate", request, Reviewer::mutate).await
}

async fn validate(State(app): State<App>, request: Request) -> Response {
    app.answer("validate", request, Reviewer::validate).await
}

impl App {
    async fn answer(self, path: &'static str, request: Request, ask: fn(&dyn Reviewer, &[u8]) -> Answer) -> Response {
        let begin = Instant::now();
        match self.review(path, request, ask).await {
            Ok(answer) => {
                metrics::get().reviewed(path, outcome_of(&answer), begin.elapsed());
                log(path, &answer);
                answer.into_response()
            }
            Err(refusal) => {
                metrics::get().reviewed(path, Outcome::Undecided, begin.elapsed());
                info!(path, status = refusal.status.as_u16(), "refused: {}", refusal.sentence);
                refusal.into_response()
            }
        }
    }

    async fn review(
        self,
        path: &'static str,
        request: Request,
        ask: fn(&dyn Reviewer, &[u8]) -> Answer,
    ) -> Result<Answer, Refusal> {
        let (parts, body) = request.into_parts();
        check_headers(&parts.headers, &self.limits)?;
        let body = read_body(body, &self.limits, &self.room).await?;
        let reviewer = self.reviewer;
        if reviewer.is_quick(&body.bytes) {
            // A panic ends with its review, as on a thread of its own.
            let decided = catch_unwind(AssertUnwindSafe(|| ask(&*reviewer, &body.bytes)));
            return decided.map_err(|_| undecided(path, &"it panicked"));
        }
        let place = tokio::time::timeout(self.limits.queue, self.places.acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            return Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many reviews at once, try again",
            ));
        };
        // On a thread of its own: a review of megabytes holds up nobody else, and a panic ends with it.
        let decided = tokio::task::spawn_blocking(move || {
            let answer = ask(&*reviewer, &body.bytes);
            drop((place, body));
            answer
        });
        decided.await.map_err(|error| undecided(path, &error))
    }
}

fn undecided(path: &'static str, error: &dyn fmt::Display) -> Refusal {
    error!(path, %error, "the review could not be decided");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the review could not be decided")
}

fn check_headers(headers: &HeaderMap, limits: &Limits) -> Result<(), Refusal> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let media_type = text(header::CONTENT_TYPE)
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let sentence = format!("Content-Type must be application/json, not {media_type:?}");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
    }
    let length: Option<u64> = text(header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    if length.is_some_and(|length| length > limits.body as u64) {
        let sentence = format!("the body is larger than {} bytes", limits.body);
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, sentence));
    }
    Ok(())
}

fn outcome_of(answer: &Answer) -> Outcome {
    match answer.facts.allowed {
        Some(_) if answer.facts.unknown_kind => Outcome::UnknownKind,
        Some(true) => Outcome::Allowed,
        Some(false) => Outcome::Denied,
        None => Outcome::Undecided,
    }
}

/// Tells of an answer, in one event: a span with these fields would be made and written for each review, heard or not.
fn log(path: &'static str, answer: &Answer) {
    let Answer { status, facts, .. } = answer;
    debug!(
        path,
        uid = facts.uid,
        kind = facts.kind,
        operation = facts.operation,
        namespace = facts.namespace,
        name = facts.name,
        allowed = facts.allowed,
        code = facts.code,
        status,
        "answered"
    );
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let media_type = if status == StatusCode::OK {
            "application/json"
        } else {
            "text/plain; charset=utf-8"
        };
        (status, [(header::CONTENT_TYPE, media_type)], Body::from(self.body)).into_response()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, format!("{}\n", self.sentence)).into_response()
    }
}

async fn listen(address: SocketAddr) -> Result<std::net::TcpListener, ServerError> {
    let bound = TcpListener::bind(address).await.and_then(TcpListener::into_std);
    bound.map_err(|source| ServerError::Listen { address, source })
}
