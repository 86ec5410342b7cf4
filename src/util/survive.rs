//! A loop goes on when the work on one item panics.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

/// The future's result; `None` if it panicked, so that the caller goes on. The panic itself is in the log by then.
pub async fn survive<T>(future: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(future).catch_unwind().await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_calls_a_future_that_panics_goes_on() {
        assert_eq!(survive(async { 1 }).await, Some(1));
        assert_eq!(survive(async { panic!("a defect") }).await, None::<()>);
    }
}
