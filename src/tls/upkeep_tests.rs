//! Tests: the wait before the next round.

use jiff::SignedDuration;

use super::*;
use crate::tls::plan::{Policy, Step, after};

#[test]
fn the_authority_that_is_watched_is_the_one_that_signed() {
    let policy = Policy {
        names: ["webhook.ns.svc".to_owned()].into(),
        leaf_lifetime: SignedDuration::from_hours(24),
        ca_lifetime: SignedDuration::from_hours(240),
        settle: SignedDuration::ZERO,
    };
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let later = now + SignedDuration::from_hours(1);
    let first = after(Step::CreateAll, None, &policy, now).unwrap().unwrap();
    let second = after(Step::CreateAll, None, &policy, later).unwrap().unwrap();
    let both = format!("{}{}", first.bundle(), second.bundle());
    for material in [&first, &second] {
        let found = signer(&material.leaf.certificate, &both);
        assert_eq!(found.as_ref(), Some(&material.ca.certificate));
    }
    assert_eq!(signer(&first.leaf.certificate, &second.bundle()), None);
}
