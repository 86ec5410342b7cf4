//! The failures of one cycle. Each outage is logged once, and the wait before the next attempt doubles.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The first wait after a failure.
pub(crate) const RETRY: Duration = Duration::from_secs(2);
/// The longest wait. No event signals that writes succeed again, so recovery is noticed up to this much late.
const LONGEST: Duration = Duration::from_secs(15);

/// The wait after this many consecutive failures.
pub(crate) fn retry_after(failures: u32) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
    RETRY.saturating_mul(doubled).min(LONGEST)
}

/// The failures of one cycle.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// The failures of the previous cycle.
    before: BTreeSet<String>,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    failed: BTreeSet<String>,
    conflict: bool,
}

impl Failures {
    pub(crate) fn next(&mut self) {
        let now = std::mem::take(self.now.get_mut().unwrap_or_else(PoisonError::into_inner));
        self.before = now.failed;
    }

    /// Records that `what` failed. Returns true if it did not fail in the previous cycle.
    pub(crate) fn is_news(&self, what: impl Into<String>) -> bool {
        let what = what.into();
        let news = !self.before.contains(&what);
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.failed.insert(what);
        news
    }

    /// Records that a write lost to another writer. This is not a failure; the next cycle decides again.
    pub(crate) fn conflict(&self) {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).conflict = true;
    }

    pub(crate) fn any(&self) -> bool {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        !now.failed.is_empty()
    }

    pub(crate) fn has_conflict(&self) -> bool {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).conflict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_news_once() {
        let mut failures = Failures::default();
        assert!(failures.is_news("a list") && failures.any());
        failures.next();
        assert!(!failures.any());
        assert!(!failures.is_news("a list"), "it goes on");
        assert!(failures.is_news("another"));
        failures.next();
        failures.next();
        assert!(failures.is_news("a list"), "it was over in between");
        failures.next();
        failures.conflict();
        assert!(failures.has_conflict() && !failures.any());
        failures.next();
        assert!(!failures.has_conflict());
    }

    #[test]
    fn each_attempt_waits_longer_up_to_a_bound() {
        let waits = [1, 2, 3, 4, 5, 40].map(|failures| retry_after(failures).as_secs());
        assert_eq!(waits, [2, 4, 8, 15, 15, 15]);
    }
}
