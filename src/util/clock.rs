//! The one place where the program reads the time.
//!
//! Code that decides is given the time; code at the edge asks here.

use jiff::Timestamp;

/// The present time, in whole milliseconds: what is written for people to read needs no more.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
