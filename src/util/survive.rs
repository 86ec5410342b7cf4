//! Keeps a loop running when one item panics.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

/// Returns the result of the future, or `None` if it panicked. The panic hook has logged the panic by then.
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
