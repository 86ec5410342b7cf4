//! The one place where the program reads the time.
//!
//! Code that decides is given the time; code at the edge asks here.

use jiff::Timestamp;

/// The present time.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Timestamp {
    Timestamp::now()
}
