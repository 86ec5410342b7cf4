//! The only module that reads the system clock. Pure code takes the time as a parameter; its callers read it here.
//!

use jiff::Timestamp;

/// The current time, truncated to milliseconds: log lines and annotations need no finer precision.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
