//! Waits for a condition.

use std::time::{Duration, Instant};

/// Time limit for one change on an idle machine.
pub const SOON: Duration = Duration::from_secs(90);
/// Each wait may take this many times as long, so that a busy machine fails no test.
const PATIENCE: u32 = 3;
/// How often a condition is checked.
const POLL: Duration = Duration::from_millis(200);

/// Waits until `probe` returns a value, and returns it. Fails the test if that takes far longer than `timeout`.
pub async fn wait_for<T>(what: &str, timeout: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let (start, timeout) = (Instant::now(), timeout * PATIENCE);
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(start.elapsed() < timeout, "waited {timeout:?} in vain for {what}");
        tokio::time::sleep(POLL).await;
    }
}
