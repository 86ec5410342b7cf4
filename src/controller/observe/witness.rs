//! How long this process has seen each pod vote, by a monotonic clock.
//!
//! A pod's Ready condition has a timestamp from its node's clock, and the operator compares it with its own clock.
//! Where one of the two is wrong by hours, a pod that became Ready a moment ago seems to have been Ready for long. No
//! clock error can lengthen what this process observed itself. This module decides nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::controller::model::snapshot::Validator;

/// The time since which each pod has voted without a break, by uid.
#[derive(Debug, Default)]
pub(crate) struct Witness(Mutex<HashMap<String, Instant>>);

impl Witness {
    /// Records which pods vote now, and sets `voted_for` of each. Pods that do not vote, or no longer exist, are
    /// dropped.
    pub(crate) fn update(&self, validators: &mut [Validator], now: Instant) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = HashMap::with_capacity(since.len());
        for validator in validators {
            let votes = validator.is_voting();
            let Some(pod) = validator.pod.as_mut() else { continue };
            pod.voted_for = votes.then(|| {
                let first = since.get(&pod.uid).copied().unwrap_or(now);
                seen.insert(pod.uid.clone(), first);
                now.saturating_duration_since(first)
            });
        }
        *since = seen;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::controller::samples::{at, member, pod};

    #[test]
    fn voting_time_counts_without_a_break() {
        let (witness, start) = (Witness::default(), Instant::now());
        let mut validators = [member("a", "10.0.0.1")];
        let mut update = |votes: bool, uid: &str, second: u64| {
            // By its node's clock, it has voted for long.
            pod(&mut validators[0]).voting_since = votes.then(|| at(-100_000));
            pod(&mut validators[0]).uid = uid.to_owned();
            witness.update(&mut validators, start + Duration::from_secs(second));
            pod(&mut validators[0]).voted_for.map(|seen| seen.as_secs())
        };
        assert_eq!(update(true, "1", 0), Some(0));
        assert_eq!(update(true, "1", 7), Some(7));
        assert_eq!(update(false, "1", 8), None);
        assert_eq!(update(true, "1", 9), Some(0), "it paused");
        assert_eq!(update(true, "2", 12), Some(0), "another pod");
        assert_eq!(update(true, "2", 15), Some(3));
    }
}
