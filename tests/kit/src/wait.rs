//! Waiting for something to happen.

use std::time::{Duration, Instant};

/// How long one change may take to show, on a machine of its own.
pub const SOON: Duration = Duration::from_secs(90);
/// Each wait may take so many times as long: machines are shared, and a busy one fails no test.
const PATIENCE: u32 = 3;
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(200);

/// Waits until `probe` finds something, and gives it back; fails the test when that takes far longer than `timeout`.
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
