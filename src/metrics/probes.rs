//! `/healthz`, `/readyz` and `/metrics`, on their own port, and the conditions behind `/readyz`.
//!
//! A process that answers is healthy: if `/healthz` depended on the API server, an outage there would restart every
//! operator. Each part of the program requires its condition at set-up and reports it later, so a condition that was
//! not reported yet is not met.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use axum::{Router, response::IntoResponse};
use tracing::{info, warn};

use super::{Format, Metrics};
use crate::util::text::plain;

/// The conditions for receiving requests. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    /// Condition → why it does not hold; `None`: it holds.
    conditions: Arc<RwLock<BTreeMap<&'static str, Option<String>>>>,
}

impl Readiness {
    /// Adds a condition that is not met yet.
    pub fn require(&self, condition: &'static str, reason: &str) {
        self.set(condition, Some(reason.to_owned()));
    }

    pub fn met(&self, condition: &'static str) {
        self.set(condition, None);
    }

    /// Reports that a condition does not hold. `/readyz` shows `reason`, a sentence.
    pub fn unmet(&self, condition: &'static str, reason: impl Into<String>) {
        self.set(condition, Some(reason.into()));
    }

    /// The conditions that do not hold, sorted, each with its reason.
    pub fn missing(&self) -> Vec<(&'static str, String)> {
        let conditions = self.conditions.read().unwrap_or_else(PoisonError::into_inner);
        let missing = conditions
            .iter()
            .filter_map(|(name, reason)| Some((*name, reason.clone()?)));
        missing.collect()
    }

    pub fn is_ready(&self) -> bool {
        self.missing().is_empty()
    }

    fn set(&self, condition: &'static str, reason: Option<String>) {
        let mut conditions = self.conditions.write().unwrap_or_else(PoisonError::into_inner);
        let before = conditions.insert(condition, reason.clone());
        drop(conditions);
        // Log a change of state once; a new reason is no change.
        match (before, reason) {
            (Some(Some(_)), None) => info!(condition, "condition of readiness met"),
            (Some(None), Some(reason)) => warn!(condition, reason, "condition of readiness no longer met"),
            _ => {}
        }
    }
}

pub fn router(readiness: Readiness, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(readiness.clone()))
        .route("/metrics", get(scrape).with_state((readiness, metrics)))
}

async fn scrape(
    State((readiness, metrics)): State<(Readiness, Arc<Metrics>)>,
    headers: HeaderMap,
) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let text = metrics.text(format, readiness.is_ready());
    ([(header::CONTENT_TYPE, format.content_type())], text)
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
        let router = router(readiness.clone(), Arc::default());
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 65_536).await.unwrap();
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
        let scraped = get(&readiness, "/metrics").await.1;
        assert!(scraped.contains("\nstellar_operator_ready 0\n"), "{scraped}");
        readiness.met("certificate");
        let scraped = get(&readiness, "/metrics").await.1;
        assert!(scraped.contains("\nstellar_operator_ready 1\n"), "{scraped}");
    }
}
