//! The webhook's routes. A handler reads a request within its limits, passes it to a [`Reviewer`], and sends the
//! answer.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::Semaphore;
use tracing::{debug, error, info};

use super::limits::{Limits, Refusal, over_budget, read_body};
use super::memory_budget::{MemoryBudget, Reservation, Size};
use super::reviewer::{Answer, Reviewer};
use crate::metrics::{Metrics, Outcome};
use crate::util::http::Permit;

#[derive(Clone)]
struct App {
    reviewer: Arc<dyn Reviewer>,
    metrics: Arc<Metrics>,
    limits: Arc<Limits>,
    budget: MemoryBudget,
    small_permits: Arc<Semaphore>,
    permits: Arc<Semaphore>,
}

/// The routes of the webhook. While `draining`, every answer asks its client to close the connection.
pub fn router(
    reviewer: Arc<dyn Reviewer>,
    metrics: Arc<Metrics>,
    limits: &Limits,
    draining: Arc<AtomicBool>,
) -> Router {
    let app = App {
        reviewer,
        metrics,
        budget: MemoryBudget::new(limits.small_budget, limits.large_budget),
        small_permits: Arc::new(Semaphore::new(limits.small_reviews)),
        permits: Arc::new(Semaphore::new(limits.large_reviews)),
        limits: Arc::new(limits.clone()),
    };
    Router::new()
        .route("/mutate", post(mutate))
        .route("/validate", post(validate))
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "send a review with POST")
        })
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "only /mutate and /validate exist") })
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
        let metrics = Arc::clone(&self.metrics);
        match self.review(path, request, ask).await {
            Ok((answer, share)) => {
                metrics.reviewed(path, outcome_of(&answer), begin.elapsed());
                log(path, &answer);
                respond(answer, share)
            }
            Err(refusal) => {
                metrics.reviewed(path, Outcome::Undecided, begin.elapsed());
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
    ) -> Result<(Answer, Reservation), Refusal> {
        let (mut parts, body) = request.into_parts();
        let length = check_headers(&parts.headers, &self.limits)?;
        let (size, permits) = match length {
            Some(length) if length <= self.limits.small as u64 => (Size::Small, self.small_permits),
            _ => (Size::Large, self.permits),
        };
        let reservation = self.budget.reserve(parts.extensions.remove::<Permit>(), size);
        let body = read_body(body, &self.limits, &reservation).await?;
        reservation.mark_complete();
        let reviewer = self.reviewer;
        if reviewer.is_quick(&body) {
            // A panic fails only this review, as on a thread of its own.
            let decided = catch_unwind(AssertUnwindSafe(|| ask(&*reviewer, &body)));
            let answer = decided.map_err(|_| undecided(path, &"it panicked"))?;
            return answered(answer, reservation);
        }
        let permit = tokio::time::timeout(self.limits.queue, permits.acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many reviews at once, try again",
            ));
        };
        // On a thread of its own: a review of megabytes delays no other request, and a panic fails only this review.
        // Its memory is released when the review is done, even if the client disconnects earlier.
        let decided = tokio::task::spawn_blocking(move || {
            let answer = ask(&*reviewer, &body);
            drop((permit, body));
            (answer, reservation)
        });
        let (answer, reservation) = decided.await.map_err(|error| undecided(path, &error))?;
        answered(answer, reservation)
    }
}

/// Reserves memory for the answer, in place of the review's.
fn answered(answer: Answer, reservation: Reservation) -> Result<(Answer, Reservation), Refusal> {
    if reservation.replace_by_answer(answer.body.len()) {
        Ok((answer, reservation))
    } else {
        Err(over_budget())
    }
}

/// An answer that holds its reservation until the last byte is sent.
struct Held {
    body: Vec<u8>,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

fn undecided(path: &'static str, error: &dyn fmt::Display) -> Refusal {
    error!(path, %error, "the review could not be decided");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the review could not be decided")
}

/// Checks the headers. Returns the length of the body, if announced.
fn check_headers(headers: &HeaderMap, limits: &Limits) -> Result<Option<u64>, Refusal> {
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
    Ok(length)
}

fn outcome_of(answer: &Answer) -> Outcome {
    match answer.facts.allowed {
        Some(_) if answer.facts.unknown_kind => Outcome::UnknownKind,
        Some(true) => Outcome::Allowed,
        Some(false) => Outcome::Denied,
        None => Outcome::Undecided,
    }
}

/// Logs an answer as one event. A span with these fields would cost time for each review even if nothing logs it.
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

fn respond(answer: Answer, reservation: Reservation) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let media_type = if status == StatusCode::OK {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    };
    let held = Held {
        body: answer.body,
        _reservation: reservation,
    };
    let body = Body::from(Bytes::from_owner(held));
    (status, [(header::CONTENT_TYPE, media_type)], body).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, format!("{}\n", self.sentence)).into_response()
    }
}
