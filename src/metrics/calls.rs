//! Counts calls to the API server as they leave the client, by verb, resource and outcome.
//!
//! Labels come from fixed sets: a resource that the operator has no rights for is `other`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::{Method, Request, Response, Uri};
use prometheus_client::encoding::EncodeLabelSet;
use tower_layer::Layer;
use tower_service::Service;

use super::Metrics;

/// Every resource that the operator has rights for.
const RESOURCES: [&str; 17] = [
    "configmaps",
    "controllerrevisions",
    "customresourcedefinitions",
    "deployments",
    "events",
    "leases",
    "mutatingwebhookconfigurations",
    "namespaces",
    "persistentvolumeclaims",
    "poddisruptionbudgets",
    "pods",
    "secrets",
    "services",
    "statefulsets",
    "stellarnodes",
    "stellarnodes/status",
    "validatingwebhookconfigurations",
];

/// The labels of one call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Call {
    verb: &'static str,
    resource: &'static str,
    outcome: &'static str,
}

#[cfg(test)]
impl Call {
    pub(super) fn of_test() -> Self {
        Self {
            verb: "get",
            resource: "pods",
            outcome: "ok",
        }
    }
}

/// Counts all calls of a client.
#[derive(Clone, Debug)]
pub struct CountCalls(pub Arc<Metrics>);

/// A client whose calls are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S> Layer<S> for CountCalls {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        let metrics = Arc::clone(&self.0);
        Counted { inner, metrics }
    }
}

impl<S, A, B> Service<Request<A>> for Counted<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (verb, resource) = verb_and_resource(request.method(), request.uri());
        let metrics = Arc::clone(&self.metrics);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut call = Waiting {
                metrics,
                call: Call {
                    verb,
                    resource,
                    outcome: "no_answer",
                },
            };
            let answer = answer.await;
            if let Ok(response) = &answer {
                call.call.outcome = outcome(response.status().as_u16());
            }
            answer
        })
    }
}

/// A call in flight. Its drop counts it; a caller that gives up at its deadline drops it without an answer.
struct Waiting {
    metrics: Arc<Metrics>,
    call: Call,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.metrics.called(&self.call);
    }
}

fn outcome(code: u16) -> &'static str {
    match code {
        409 => "conflict",
        429 => "throttled",
        400..500 => "client_error",
        500.. => "server_error",
        _ => "ok",
    }
}

/// Names a request as Kubernetes does (Kubernetes docs, "Authorization", "Determine the request verb").
fn verb_and_resource(method: &Method, uri: &Uri) -> (&'static str, &'static str) {
    let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    // Strip /api/v1 or /apis/{group}/{version}, then namespaces/{namespace} unless the namespace is the object.
    let rest = match parts.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => &[],
    };
    let rest = match rest {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    };
    let (resource, named) = match rest {
        [resource, _, "status", ..] => (format!("{resource}/status"), true),
        [resource, _, ..] => ((*resource).to_owned(), true),
        [resource] => ((*resource).to_owned(), false),
        [] => (String::new(), false),
    };
    let watches = uri
        .query()
        .is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
    let verb = match *method {
        Method::GET if watches => "watch",
        Method::GET if named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PATCH => "patch",
        Method::PUT => "update",
        Method::DELETE => "delete",
        _ => "other",
    };
    let known = RESOURCES.iter().find(|known| **known == resource);
    (verb, known.copied().unwrap_or("other"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_call_is_called_as_kubernetes_calls_it() {
        for (method, uri, verb, resource) in [
            (
                Method::GET,
                "/api/v1/namespaces/a/pods?watch=true&limit=1",
                "watch",
                "pods",
            ),
            (Method::GET, "/api/v1/pods", "list", "pods"),
            (Method::GET, "/api/v1/namespaces/a", "get", "namespaces"),
            (
                Method::GET,
                "/api/v1/namespaces/a/configmaps/watch=true",
                "get",
                "configmaps",
            ),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/statefulsets/b?force=true",
                "patch",
                "statefulsets",
            ),
            (
                Method::PATCH,
                "/apis/stellar.org/v1alpha1/namespaces/a/stellarnodes/b/status",
                "patch",
                "stellarnodes/status",
            ),
            (
                Method::POST,
                "/apis/events.k8s.io/v1/namespaces/a/events",
                "create",
                "events",
            ),
            (Method::DELETE, "/api/v1/namespaces/a/pods/b", "delete", "pods"),
            (Method::GET, "/apis/example.org/v1/anything", "list", "other"),
            (Method::GET, "/version", "list", "other"),
            (Method::GET, "/", "list", "other"),
        ] {
            assert_eq!(
                verb_and_resource(&method, &uri.parse().unwrap()),
                (verb, resource),
                "{uri}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_waits_for_any_more_had_no_answer() {
        let metrics = Arc::new(Metrics::default());
        let silent = tower::service_fn(|_: Request<()>| std::future::pending::<Result<Response<()>, Infallible>>());
        let mut counted = CountCalls(Arc::clone(&metrics)).layer(silent);
        let request = Request::get("/api/v1/namespaces/a/pods/b").body(()).unwrap();
        let given_up = tokio::time::timeout(Duration::from_secs(10), counted.call(request)).await;
        assert!(given_up.is_err());
        let text = metrics.text(crate::metrics::Format::Prometheus, true);
        let line = r#"stellar_operator_api_calls_total{verb="get",resource="pods",outcome="no_answer"} 1"#;
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_code_is_put_into_one_of_a_few_words() {
        let outcomes = [200, 201, 404, 409, 429, 500, 503].map(outcome);
        assert_eq!(
            outcomes,
            [
                "ok",
                "ok",
                "client_error",
                "conflict",
                "throttled",
                "server_error",
                "server_error"
            ]
        );
    }
}
