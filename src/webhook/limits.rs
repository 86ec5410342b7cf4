//! Limits of the HTTPS server: connections, memory and time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use super::memory_budget::Reservation;

/// All limits of the HTTPS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one body. A review contains an object twice; etcd accepts 1.5 MiB for one object.
    pub body: usize,
    /// Bytes of a small body. Small reviews have their own memory and permits, so they never wait for a large one.
    pub small: usize,
    /// Memory budget of small reviews in bytes: their bodies, and their answers until they are sent.
    pub small_budget: usize,
    /// Memory budget of large reviews.
    pub large_budget: usize,
    /// Open connections. One more closes a connection of the client that has most.
    pub connections: usize,
    /// Open connections of one client. One more closes another connection of that client. An API server opens one for
    /// each pending review, and may be the only client.
    pub per_client: usize,
    /// Concurrent small reviews that are not quick.
    pub small_reviews: usize,
    /// Concurrent large reviews. Each may hold two objects of `MOST_VALUES` values, some 25 MiB.
    pub large_reviews: usize,
    /// Time that a review waits for its permit.
    pub queue: Duration,
    /// Time in which a client must read an answer.
    pub answer_time: Duration,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time from the handshake to the end of the first request's headers.
    pub first_request: Duration,
    /// Time from one request to the end of the next request's headers. An API server closes an idle connection after 90
    /// s; closing it earlier could hit a request in flight.
    pub idle: Duration,
    pub body_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 4 << 20,
            small: 64 << 10,
            small_budget: 4 << 20,
            large_budget: 12 << 20,
            connections: 512,
            per_client: 256,
            small_reviews: 2,
            large_reviews: 2,
            queue: Duration::from_secs(1),
            answer_time: Duration::from_secs(5),
            handshake: Duration::from_secs(5),
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            body_time: Duration::from_secs(5),
        }
    }
}

/// A request is not reviewed: HTTP status and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub sentence: String,
}

impl Refusal {
    pub fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self {
            status,
            sentence: sentence.into(),
        }
    }
}

/// Reads a body within the limits. Memory is reserved as bytes arrive, so a client that announces much and sends little
/// reserves little. Refuses with 413 if the body is too large, 408 if it is too slow, 400 if it breaks off, 503 if the
/// memory budget is used up.
pub async fn read_body(body: Body, limits: &Limits, reservation: &Reservation) -> Result<Vec<u8>, Refusal> {
    let end = Instant::now() + limits.body_time;
    let mut frames = body.into_data_stream();
    let mut read = Vec::new();
    loop {
        let frame = timeout_at(end, frames.next()).await.map_err(|_| {
            let sentence = format!("the body did not arrive within {} s", limits.body_time.as_secs_f32());
            Refusal::new(StatusCode::REQUEST_TIMEOUT, sentence)
        })?;
        let Some(frame) = frame else {
            return Ok(read);
        };
        let bytes: Bytes = frame.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the body broke off"))?;
        if read.len() + bytes.len() > limits.body {
            let sentence = format!("the body is larger than {} bytes", limits.body);
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, sentence));
        }
        if !reservation.grow(bytes.len()) {
            return Err(over_budget());
        }
        read.extend_from_slice(&bytes);
    }
}

/// The refusal when the memory budget is used up.
pub(crate) fn over_budget() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many large requests at once, try again",
    )
}
