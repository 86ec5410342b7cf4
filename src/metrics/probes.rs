//! `/healthz`, `/readyz` and `/metrics`, on a port of their own, and what each part of the program has to say to them.
//!
//! Alive is whoever answers at all: nothing outside the process makes `/healthz` fail, or a broken API server would get
//! every operator restarted. Ready is decided by the parts: each names its condition when it is set up, so that a
//! condition nobody has spoken for yet counts as not met.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use axum::{Router, response::IntoResponse};
use tracing::{info, warn};

use crate::metrics;
use crate::util::text::plain;

/// What has to hold before this replica is sent work; cheap to clone, all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    /// Condition → why it does not hold; `None`: it holds.
    conditions: Arc<RwLock<BTreeMap<&'static str, Option<String>>>>,
}

impl Readiness {
    /// Adds a condition, not met yet, for the reason given.
    pub fn require(&self, condition: &'static str, reason: &str) {
        self.set(condition, Some(reason.to_owned()));
    }

    /// The condition holds.
    pub fn met(&self, condition: &'static str) {
        self.set(condition, None);
    }

    /// The condition does not hold; `reason` is a sentence for the person who reads `/readyz`.
    pub fn unmet(&self, condition: &'static str, reason: impl Into<String>) {
        self.set(condition, Some(reason.into()));
    }

    /// What is missing: condition and reason, sorted; nothing when ready.
    pub fn missing(&self) -> Vec<(&'static str, String)> {
        let conditions = self.conditions.read().unwrap_or_else(PoisonError::into_inner);
        let missing = conditions
            .iter()
            .filter_map(|(name, reason)| Some((*name, reason.clone()?)));
        missing.collect()
    }

    /// Whether every condition holds.
    pub fn is_ready(&self) -> bool {
        self.missing().is_empty()
    }

    fn set(&self, condition: &'static str, reason: Option<String>) {
        let mut conditions = self.conditions.write().unwrap_or_else(PoisonError::into_inner);
        let before = conditions.insert(condition, reason.clone());
        metrics::get().ready(conditions.values().all(Option::is_none));
        drop(conditions);
        // One line for each change of state; a reason that is only worded anew is no change.
        match (before, reason) {
            (Some(Some(_)), None) => info!(condition, "condition of readiness met"),
            (Some(None), Some(reason)) => warn!(condition, reason, "condition of readiness no longer met"),
            _ => {}
        }
    }
}

/// The routes of the probes.
pub fn router(readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(readiness)
}

async fn metrics(headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = metrics::Format::accepted(accept.unwrap_or_default());
    (
        [(header::CONTENT_TYPE, format.content_type())],
        metrics::get().text(format),
    )
}

async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    let missing = readiness.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let lines = missing
        .iter()
        .map(|(name, reason)| format!("{name}: {}\n", plain(reason)));
    (StatusCode::SERVICE_UNAVAILABLE, lines.collect())
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn get(readiness: &Readiness, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(readiness.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 4096).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_when_every_condition_holds() {
        let readiness = Readiness::default();
        readiness.require("certificate", "no certificate yet");
        readiness.require("caBundle", "not looked at yet");
        readiness.met("caBundle");
        assert_eq!(
            get(&readiness, "/readyz").await,
            (503, "certificate: no certificate yet\n".to_owned())
        );
        assert_eq!(get(&readiness, "/healthz").await.0, 200);
        readiness.unmet("certificate", "a\u{1b}[2J\nb");
        let (_, text) = get(&readiness, "/readyz").await;
        assert_eq!(text, "certificate: a\\u{1b}[2J\\nb\n");
        readiness.met("certificate");
        assert_eq!(get(&readiness, "/readyz").await, (200, "ok\n".to_owned()));
        readiness.clone().unmet("certificate", "expired");
        assert!(!readiness.is_ready(), "a clone speaks for all");
    }
}
