//! Spans of time and how far clocks are to be believed. The present is an argument of each: no clock is read.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Clocks of a cluster agree to within this.
const CLOCK_ERROR: Duration = Duration::from_secs(60);

/// Whether `span` has passed since `start`.
pub fn is_past(start: Timestamp, span: Duration, now: Timestamp) -> bool {
    now.duration_since(start) >= SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX)
}

/// Whether a time can be that of something which has happened: one well after now comes from a wrong clock or from
/// somebody's hand, and nothing waits for it.
pub fn is_credible(time: Timestamp, now: Timestamp) -> bool {
    !is_past(now, CLOCK_ERROR, time)
}

/// `span` after `start`.
pub fn later(start: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    start.checked_add(span).unwrap_or(Timestamp::MAX)
}
