//! What one client, or many, may cost: connections, memory, time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use super::room::Share;

/// Every limit of the HTTPS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one body. A review holds an object twice; etcd takes 1.5 MiB for one.
    pub body: usize,
    /// Bytes of a small body. Small reviews have memory and places of their own: none waits for a large one.
    pub small: usize,
    /// Bytes of all small bodies that are being read or decided, and of the answers to them that are not taken yet.
    pub small_bodies: usize,
    /// The same of large ones.
    pub bodies: usize,
    /// Connections at once; a further one takes the place of one of the client that has most.
    pub connections: usize,
    /// Connections of one client; a further one takes the place of one of its own. An API server has one for each
    /// review that it waits for, and may be the only client.
    pub each: usize,
    /// Small reviews decided at once that are not quick.
    pub small_reviews: usize,
    /// Large reviews decided at once; each may hold two objects of `MOST_VALUES` values, some 25 MiB.
    pub reviews: usize,
    /// How long a review waits for its place among those.
    pub queue: Duration,
    /// Time in which a client takes an answer.
    pub answer_time: Duration,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time from there to the end of the first request's headers.
    pub first_request: Duration,
    /// Time from one request to the end of the next one's headers. Longer than the 90 s after which an API server
    /// closes an idle connection itself: closing first could meet a request on its way.
    pub idle: Duration,
    /// Time for a body.
    pub body_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 4 << 20,
            small: 64 << 10,
            small_bodies: 4 << 20,
            bodies: 12 << 20,
            connections: 512,
            each: 256,
            small_reviews: 2,
            reviews: 2,
            queue: Duration::from_secs(1),
            answer_time: Duration::from_secs(5),
            handshake: Duration::from_secs(5),
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            body_time: Duration::from_secs(5),
        }
    }
}

/// Why a request is not reviewed: an HTTP status and one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: StatusCode,
    /// What is wrong.
    pub sentence: String,
}

impl Refusal {
    /// A refusal with this status and sentence.
    pub fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self {
            status,
            sentence: sentence.into(),
        }
    }
}

/// Reads a body within the limits. Memory is accounted as bytes arrive: who announces much and sends little holds
/// little.
///
/// # Errors
/// 413 for one that is too large, 408 for one that is too slow, 400 for one that breaks off, 503 when all the memory
/// for bodies is in use.
pub async fn read_body(body: Body, limits: &Limits, share: &Share) -> Result<Vec<u8>, Refusal> {
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
        if !share.grow(bytes.len()) {
            return Err(no_room());
        }
        read.extend_from_slice(&bytes);
    }
}

/// What is said where all the memory for bodies and answers is in use.
pub(crate) fn no_room() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many large requests at once, try again",
    )
}
