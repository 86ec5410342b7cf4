//! What one client, or many, may cost: connections, memory, time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Every limit of the HTTPS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one body. A review holds an object twice; etcd takes 1.5 MiB for one.
    pub body: usize,
    /// Bytes of all bodies that are being read or decided.
    pub bodies: usize,
    /// Connections at once; a further one is closed at once.
    pub connections: usize,
    /// Reviews decided at once that are not quick; each may hold two objects of `MOST_VALUES` values, some 25 MiB.
    pub reviews: usize,
    /// How long a review waits for its place among those.
    pub queue: Duration,
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
            bodies: 16 << 20,
            connections: 512,
            reviews: 4,
            queue: Duration::from_secs(1),
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

/// A body, and its part of the memory for all bodies.
#[derive(Debug)]
pub struct BoundedBody {
    /// The bytes.
    pub bytes: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

/// Reads a body within the limits. Memory is accounted as bytes arrive: who announces much and sends little holds little.
///
/// # Errors
/// 413 for one that is too large, 408 for one that is too slow, 400 for one that breaks off, 503 when all the memory for
/// bodies is in use.
pub async fn read_body(body: Body, limits: &Limits, room: &Arc<Semaphore>) -> Result<BoundedBody, Refusal> {
    let too_large = || {
        let sentence = format!("the body is larger than {} bytes", limits.body);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, sentence)
    };
    let end = Instant::now() + limits.body_time;
    let mut frames = body.into_data_stream();
    let mut read = BoundedBody {
        bytes: Vec::new(),
        _room: None,
    };
    loop {
        let frame = timeout_at(end, frames.next()).await.map_err(|_| {
            let sentence = format!("the body did not arrive within {} s", limits.body_time.as_secs_f32());
            Refusal::new(StatusCode::REQUEST_TIMEOUT, sentence)
        })?;
        let Some(frame) = frame else {
            return Ok(read);
        };
        let bytes: Bytes = frame.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the body broke off"))?;
        if read.bytes.len() + bytes.len() > limits.body {
            return Err(too_large());
        }
        let Some(permit) = u32::try_from(bytes.len())
            .ok()
            .and_then(|length| Arc::clone(room).try_acquire_many_owned(length).ok())
        else {
            return Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many large requests at once, try again",
            ));
        };
        match &mut read._room {
            Some(room) => room.merge(permit),
            none => *none = Some(permit),
        }
        read.bytes.extend_from_slice(&bytes);
    }
}
