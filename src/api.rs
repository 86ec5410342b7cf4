//! Deadlines for calls to the API server.
//!
//! kube tries a call that is not a watch up to 15 times and sets no read timeout, so an API server that accepts
//! connections and answers nothing would hold a loop for ever. Every call goes through [`deadline`].

use std::time::Duration;

/// How long one call to the API server may take, all attempts together.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Why a call to the API server brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer within [`DEADLINE`].
    #[error("the API server did not answer within {} s", DEADLINE.as_secs())]
    Deadline,
    /// The API server refused.
    #[error("the API server refused: {} ({})", .0.message, .0.code)]
    Refused(Box<kube::core::Status>),
    /// The API server cannot be reached, or its answer cannot be read.
    #[error("the API server cannot be asked")]
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
    /// The HTTP status that the API server answered with, if it answered.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(status) => Some(status.code),
            Self::Deadline | Self::Unreachable(_) => None,
        }
    }

    /// Whether somebody else wrote in between: read again, decide again.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }
}

/// Waits for a call to the API server, but no longer than [`DEADLINE`].
///
/// # Errors
/// Those of the call, and [`ApiError::Deadline`].
pub async fn deadline<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    tokio::time::timeout(DEADLINE, call)
        .await
        .map_err(|_| ApiError::Deadline)?
        .map_err(ApiError::from)
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
