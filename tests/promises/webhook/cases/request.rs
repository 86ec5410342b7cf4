//! Requests to the API server, and its whole answers: status, body and warnings.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderValue, Request};
use kube::Client;
use serde_json::{Value, json};
use test_kit::{TestEnv, wait_for};

/// Time limit for the operator to see a stored object.
const SEEN: Duration = Duration::from_secs(30);

/// One request about one object.
#[derive(Clone)]
pub(super) struct Step {
    method: &'static str,
    /// The path behind the namespace.
    path: String,
    api: String,
    body: Value,
}

impl Step {
    /// Creates an object.
    pub(super) fn create(object: Value) -> Self {
        Self {
            method: "POST",
            path: resource(&object).to_owned(),
            api: api(&object),
            body: object,
        }
    }

    /// Changes a stored object by a merge patch.
    pub(super) fn patch(stored: &Value, patch: Value) -> Self {
        let name = stored["metadata"]["name"].as_str().unwrap();
        Self {
            method: "PATCH",
            path: format!("{}/{name}", resource(stored)),
            api: api(stored),
            body: patch,
        }
    }

    /// Changes the status of a stored object by a merge patch.
    pub(super) fn patch_status(stored: &Value, status: &Value) -> Self {
        let mut step = Self::patch(stored, json!({ "status": status }));
        step.path += "/status";
        step
    }

    /// Deletes a stored object.
    pub(super) fn delete(stored: &Value) -> Self {
        let mut step = Self::patch(stored, json!({}));
        step.method = "DELETE";
        step
    }

    /// The same request as a dry run.
    pub(super) fn dry(mut self) -> Self {
        self.path += "?dryRun=All";
        self
    }
}

fn api(object: &Value) -> String {
    object["apiVersion"].as_str().unwrap().to_owned()
}

fn resource(object: &Value) -> &'static str {
    match object["kind"].as_str() {
        Some("StellarNode") => "stellarnodes",
        Some("StatefulSet") => "statefulsets",
        kind => panic!("no cases are about {kind:?}"),
    }
}

/// The API server's answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    /// The object, or the Status with the error.
    pub(super) body: Value,
    pub(super) warnings: Vec<String>,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, warnings {:#?}", self.code, self.body, self.warnings)
    }
}

/// The API server, for requests in the namespace of a test.
pub(super) struct Server<'a> {
    env: &'a TestEnv,
    client: Client,
}

impl<'a> Server<'a> {
    pub(super) fn new(env: &'a TestEnv, client: Client) -> Self {
        Self { env, client }
    }

    /// Sends a request. If the webhook did not answer in time because the machine is busy, sends the request again:
    /// nothing was stored.
    pub(super) async fn send(&self, step: &Step) -> Answer {
        let mut answer = self.send_once(step).await;
        for _ in 0..5 {
            let message = answer.body["message"].as_str().unwrap_or_default();
            if answer.code != 500 || !message.contains("failed calling webhook") {
                break;
            }
            answer = self.send_once(step).await;
        }
        answer
    }

    /// Sends a request without a client library that would interpret the answer.
    async fn send_once(&self, step: &Step) -> Answer {
        let content_type = if step.method == "PATCH" {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let request = Request::builder()
            .method(step.method)
            .uri(format!(
                "/apis/{}/namespaces/{}/{}",
                step.api,
                self.env.namespace(),
                step.path
            ))
            .header("content-type", content_type)
            .body(step.body.to_string().into_bytes().into())
            .unwrap();
        let response = self.client.send(request).await.expect("the API server answers");
        let code = response.status().as_u16();
        let warnings = response.headers().get_all("warning").iter().map(text).collect();
        let body = response.into_body().collect_bytes().await.expect("the whole answer");
        Answer {
            code,
            body: serde_json::from_slice(&body).expect("JSON"),
            warnings,
        }
    }

    /// Waits until the caches that the next request depends on have the change.
    pub(super) async fn until_seen(&self, step: &Step, answer: &Answer) {
        if step.method == "DELETE" {
            self.until_cached(step).await;
        } else {
            self.until_known(&answer.body).await;
        }
    }

    /// The API server first applies a change to the object in its cache and calls the webhook with the result.
    async fn until_cached(&self, deleted: &Step) {
        let mut cached = deleted.clone();
        cached.method = "GET";
        cached.path += "?resourceVersion=0";
        wait_for("the API server's cache to have the deletion", SEEN, async || {
            let answer = self.send(&cached).await;
            let is_deleted = answer.code == 404 || answer.body["metadata"]["deletionTimestamp"].is_string();
            is_deleted.then_some(())
        })
        .await;
    }

    /// The webhook decides by the validators that the operator knows.
    async fn until_known(&self, stored: &Value) {
        if stored["kind"] != "StellarNode" || stored["spec"]["nodeType"] != "Validator" {
            return;
        }
        let name = format!("stellarnode/{}", stored["metadata"]["name"].as_str().unwrap());
        wait_for("the operator to see what was stored", SEEN, async || {
            let status = self.env.get(&name)?["status"]["observedGeneration"].as_i64()?;
            (Some(status) >= stored["metadata"]["generation"].as_i64()).then_some(())
        })
        .await;
    }
}

/// The text of a header `Warning: 299 - "text"` (RFC 7234, section 5.5).
fn text(header: &HeaderValue) -> String {
    let header = header.to_str().expect("warnings are ASCII");
    let quoted = header.split_once(" - \"").and_then(|(_, rest)| rest.strip_suffix('"'));
    let quoted = quoted.unwrap_or_else(|| panic!("{header} is no warning"));
    quoted.replace("\\\"", "\"").replace("\\\\", "\\")
}
