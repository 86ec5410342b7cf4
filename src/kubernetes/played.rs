//! Tests: an API server in the same process that records its calls.

use std::sync::{Arc, Mutex};

use axum::http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

/// One recorded call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub query: String,
}

impl Call {
    /// A parameter of the query, still percent-encoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// The calls that an API server received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<Vec<Call>>>);

impl Calls {
    /// All calls, in order.
    pub(crate) fn all(&self) -> Vec<Call> {
        self.0.lock().unwrap().clone()
    }
}

/// A client of an API server that answers every call with `answer`.
pub(crate) fn api_server(answer: impl Fn(&Call) -> Value + Clone + Send + 'static) -> (Client, Calls) {
    let calls = Calls::default();
    let noted = calls.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, noted) = (answer.clone(), noted.clone());
        async move {
            let (head, _) = request.into_parts();
            let call = Call {
                query: head.uri.query().unwrap_or_default().to_owned(),
            };
            let body = Body::from(answer(&call).to_string().into_bytes());
            noted.0.lock().unwrap().push(call);
            Ok::<_, tower::BoxError>(Response::new(body))
        }
    });
    (Client::new(service, "stellar"), calls)
}
