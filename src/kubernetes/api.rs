//! Deadlines and parameters of calls to the API server. Every call goes through [`deadline`].
//!
//! kube attempts a call other than a watch up to 15 times and sets no read timeout. Without a deadline, an API server
//! that accepts connections and never answers would block a loop for ever.

use std::time::Duration;

use kube::api::{DeleteParams, PatchParams, PostParams, Preconditions};

/// Longest time of one call, including all its retries.
pub const DEADLINE: Duration = Duration::from_secs(10);

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

/// Waits for a call to the API server, at most [`DEADLINE`].
pub async fn deadline<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    tokio::time::timeout(DEADLINE, call)
        .await
        .map_err(|_| ApiError::Deadline)?
        .map_err(ApiError::from)
}

/// A merge patch or a JSON patch by this manager.
pub(crate) fn merge(manager: &str) -> PatchParams {
    PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    }
}

pub(crate) fn server_side(manager: &str) -> PatchParams {
    PatchParams::apply(manager).force()
}

pub(crate) fn created_by(manager: &str) -> PostParams {
    PostParams {
        field_manager: Some(manager.to_owned()),
        ..PostParams::default()
    }
}

/// A delete of just this object.
pub(crate) fn only_uid(uid: &str) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            ..Preconditions::default()
        }),
        ..DeleteParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
