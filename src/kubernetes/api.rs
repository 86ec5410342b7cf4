//! Deadlines for calls to the API server. Every call goes through [`deadline`].
//!
//! kube attempts a call other than a watch up to 15 times and sets no read timeout. Without a deadline, an API server
//! that accepts connections and never answers would block a loop for ever.

use std::fmt::Debug;
use std::time::Duration;

use kube::Api;
use kube::api::ListParams;
use serde::de::DeserializeOwned;

/// Longest time of one call, including all its retries.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A call to the API server failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("the API server did not answer within {} s", DEADLINE.as_secs())]
    Deadline,
    #[error("the API server refused: {} ({})", .0.message, .0.code)]
    Refused(Box<kube::core::Status>),
    /// The API server is unreachable, or its answer cannot be parsed.
    #[error("the call to the API server failed")]
    Unreachable(#[source] kube::Error),
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused(status),
            error => Self::Unreachable(error),
        }
    }
}

impl ApiError {
    /// The HTTP status of the API server's answer, if it answered.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(status) => Some(status.code),
            Self::Deadline | Self::Unreachable(_) => None,
        }
    }

    /// Whether the API server would give this HTTP status again: the object is invalid, or a right is missing.
    pub fn is_final(code: u16) -> bool {
        matches!(code, 400 | 403 | 422)
    }

    /// Whether another writer was first: read and decide again.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }
}

/// Objects in one page of a list. A page is held in memory whole, and an object may have 1.5 MiB.
pub const PART: u32 = 16;

/// Lists the selected objects page by page and passes each page to `take`. Tenants control the number and size of the
/// objects, so the whole list may not fit in memory.
pub async fn list_in_parts<K>(api: &Api<K>, selected: ListParams, mut take: impl FnMut(Vec<K>)) -> Result<(), ApiError>
where
    K: Clone + Debug + DeserializeOwned,
{
    let mut next = selected.limit(PART);
    loop {
        let part = deadline(api.list(&next)).await?;
        take(part.items);
        match part.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => next = next.continue_token(&token),
            None => return Ok(()),
        }
    }
}

/// Waits for a call to the API server, at most [`DEADLINE`].
pub async fn deadline<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    tokio::time::timeout(DEADLINE, call)
        .await
        .map_err(|_| ApiError::Deadline)?
        .map_err(ApiError::from)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt as _;
    use serde_json::json;

    use super::*;
    use crate::kubernetes::played::{Call, api_server};

    #[tokio::test]
    async fn a_list_is_read_in_parts_of_sixteen_to_its_end() {
        let (client, calls) = api_server(|call| {
            let (name, next) = match call.parameter("continue") {
                None => ("first", "2"),
                Some("2") => ("second", "3"),
                Some(_) => ("third", ""),
            };
            json!({
                "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "continue": next },
                "items": [{ "metadata": { "name": name } }],
            })
        });
        let mut parts = Vec::new();
        let api: Api<ConfigMap> = Api::namespaced(client, "a");
        let take = |part: Vec<ConfigMap>| parts.push(part.iter().map(ConfigMap::name_any).collect::<Vec<_>>());
        list_in_parts(&api, ListParams::default().labels("of"), take)
            .await
            .unwrap();
        assert_eq!(parts, [["first"], ["second"], ["third"]]);
        let calls = calls.all();
        let asked: Vec<_> = calls.iter().map(|call| call.parameter("continue")).collect();
        assert_eq!(asked, [None, Some("2"), Some("3")]);
        let in_parts =
            |call: &Call| call.parameter("limit") == Some("16") && call.parameter("labelSelector") == Some("of");
        assert!(calls.iter().all(in_parts), "{calls:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_ends_at_the_deadline() {
        let error = deadline(std::future::pending::<kube::Result<()>>()).await.unwrap_err();
        assert!(matches!(error, ApiError::Deadline), "{error}");
        assert!(!error.is_conflict());
    }

    #[tokio::test]
    async fn the_answer_of_the_api_server_is_kept() {
        let status = kube::core::Status::failure("changed meanwhile", "Conflict").with_code(409);
        let error = deadline(async { Err::<(), _>(kube::Error::Api(Box::new(status))) })
            .await
            .unwrap_err();
        assert!(error.is_conflict());
        assert_eq!(error.to_string(), "the API server refused: changed meanwhile (409)");
    }
}
