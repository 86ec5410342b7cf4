//! Time spans, and whether a timestamp is credible. Each function takes the present time as an argument; none reads a
//! clock.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The largest clock difference within a cluster that counts as normal.
const CLOCK_ERROR: Duration = Duration::from_secs(60);

/// Whether `span` has passed since `start`.
pub fn is_past(start: Timestamp, span: Duration, now: Timestamp) -> bool {
    now.duration_since(start) >= SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX)
}

/// Whether a timestamp can belong to a past event. One well in the future comes from a wrong clock or a manual edit,
/// and no decision waits for it.
pub fn is_credible(time: Timestamp, now: Timestamp) -> bool {
    !is_past(now, CLOCK_ERROR, time)
}

pub fn later(start: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    start.checked_add(span).unwrap_or(Timestamp::MAX)
}
