//! For how long this program has seen each pod vote, by a clock that never jumps.
//!
//! A pod says since when it is Ready by its node's clock, and that is compared with ours. Where one of the two is wrong
//! by hours, a pod that became Ready a moment ago seems to have been so for long. What this program saw itself no clock
//! can lengthen. It decides nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::controller::model::snapshot::Validator;

/// Since when each pod is seen voting without a break, by uid.
#[derive(Debug, Default)]
pub(crate) struct Witness(Mutex<HashMap<String, Instant>>);

impl Witness {
    /// Notes who votes at this moment, and tells each pod for how long it has been seen to. Pods that do not vote, or
    /// are gone, are forgotten.
    pub(crate) fn look(&self, validators: &mut [Validator], now: Instant) {
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
    fn what_was_seen_counts_from_when_it_was_seen_without_a_break() {
        let (witness, start) = (Witness::default(), Instant::now());
        let mut validators = [member("a", "10.0.0.1")];
        let mut look = |votes: bool, uid: &str, second: u64| {
            // Its node's clock has it vote since long ago.
            pod(&mut validators[0]).voting_since = votes.then(|| at(-100_000));
            pod(&mut validators[0]).uid = uid.to_owned();
            witness.look(&mut validators, start + Duration::from_secs(second));
            pod(&mut validators[0]).voted_for.map(|seen| seen.as_secs())
        };
        assert_eq!(look(true, "1", 0), Some(0));
        assert_eq!(look(true, "1", 7), Some(7));
        assert_eq!(look(false, "1", 8), None);
        assert_eq!(look(true, "1", 9), Some(0), "it paused");
        assert_eq!(look(true, "2", 12), Some(0), "another pod");
        assert_eq!(look(true, "2", 15), Some(3));
    }
}
