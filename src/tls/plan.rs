//! The next step of certificate rotation, and its result. Neither client nor clock.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::certificate::Pair;
use super::issue::{self, IssueError};
use super::material::Material;

/// Requirements on the material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// DNS names and IP addresses that the leaf must have.
    pub names: BTreeSet<String>,
    pub leaf_lifetime: SignedDuration,
    pub ca_lifetime: SignedDuration,
    /// Time that a bundle must be in place before its new CA signs: every API server sees a changed webhook
    /// configuration within it.
    pub settle: SignedDuration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Keep,
    /// No usable CA exists: issue a CA and a leaf.
    CreateAll,
    /// The CA is old: issue the next one, to be trusted before it signs.
    AddNextCa,
    /// The next CA is trusted: it becomes the current one.
    PromoteNextCa,
    /// The leaf is old, or lacks a name: issue a new one.
    RenewLeaf,
    /// A former CA has expired: remove it from the bundle.
    ForgetExpired,
}

/// Decides the next step.
///
/// `trusted_since`: since when the current bundle is known to be in both webhook configurations.
pub fn plan(material: Option<&Material>, policy: &Policy, trusted_since: Option<Timestamp>, now: Timestamp) -> Step {
    let Some(material) = material else {
        return Step::CreateAll;
    };
    let Material {
        ca,
        leaf,
        next,
        previous,
    } = material;
    let is_usable = |pair: &Pair| pair.certificate.is_good_at(now) && !pair.certificate.is_early_at(now);
    let next = next.as_ref().filter(|next| is_usable(next));
    if !is_usable(ca) {
        return if next.is_some() {
            Step::PromoteNextCa
        } else {
            Step::CreateAll
        };
    }
    match next {
        Some(_) if trusted_since.is_some_and(|since| now.duration_since(since) >= policy.settle) => {
            return Step::PromoteNextCa;
        }
        None if ca.certificate.is_old_at(now) => return Step::AddNextCa,
        Some(_) | None => {}
    }
    if needs_renewal(leaf, ca, policy, now) {
        return Step::RenewLeaf;
    }
    if previous.iter().any(|certificate| !certificate.is_good_at(now)) {
        return Step::ForgetExpired;
    }
    Step::Keep
}

/// The material after `step`; unchanged for [`Step::Keep`].
pub fn after(
    step: Step,
    material: Option<&Material>,
    policy: &Policy,
    now: Timestamp,
) -> Result<Option<Material>, IssueError> {
    let Some(material) = material else {
        return if step == Step::CreateAll {
            create_all(policy, now).map(Some)
        } else {
            Ok(None)
        };
    };
    let mut after = material.clone();
    match step {
        Step::CreateAll => {
            let former = material.authorities().cloned();
            after = create_all(policy, now)?;
            after.previous = former.collect();
        }
        Step::AddNextCa => after.next = Some(issue::authority(now, policy.ca_lifetime)?),
        Step::PromoteNextCa => {
            if let Some(next) = after.next.take() {
                after.leaf = issue::leaf(&next, &policy.names, now, policy.leaf_lifetime)?;
                after.previous.push(std::mem::replace(&mut after.ca, next).certificate);
            }
        }
        Step::RenewLeaf => after.leaf = issue::leaf(&after.ca, &policy.names, now, policy.leaf_lifetime)?,
        Step::Keep | Step::ForgetExpired => {}
    }
    if step != Step::Keep {
        after.previous.retain(|certificate| certificate.is_good_at(now));
    }
    Ok(Some(after))
}

fn create_all(policy: &Policy, now: Timestamp) -> Result<Material, IssueError> {
    let ca = issue::authority(now, policy.ca_lifetime)?;
    let leaf = issue::leaf(&ca, &policy.names, now, policy.leaf_lifetime)?;
    Ok(Material {
        ca,
        leaf,
        next: None,
        previous: Vec::new(),
    })
}

fn needs_renewal(leaf: &Pair, ca: &Pair, policy: &Policy, now: Timestamp) -> bool {
    if !policy.names.is_subset(&leaf.certificate.names) || leaf.certificate.is_early_at(now) {
        return true;
    }
    // A leaf that expires with its CA is not renewed: the new leaf would expire at the same time, and be renewed in
    // each round.
    leaf.certificate.is_old_at(now) && leaf.certificate.expires < ca.certificate.expires
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::tls::certificate::Certificate;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn policy(leaf: i64, ca: i64) -> Policy {
        Policy {
            names: BTreeSet::from(["webhook.ns.svc".to_owned(), "127.0.0.1".to_owned()]),
            leaf_lifetime: SignedDuration::from_secs(leaf),
            ca_lifetime: SignedDuration::from_secs(ca),
            settle: SignedDuration::from_secs(10),
        }
    }

    /// The material after each of these steps at these seconds.
    fn material(policy: &Policy, steps: &[(Step, i64)]) -> Material {
        let mut material = None;
        for (step, second) in steps {
            material = after(*step, material.as_ref(), policy, at(*second)).unwrap();
        }
        material.unwrap()
    }

    #[test]
    fn each_step_comes_when_it_is_due() {
        let normal = policy(90, 900);
        let new = [(Step::CreateAll, 0)];
        let renewed = [new[0], (Step::RenewLeaf, 590)];
        let next = [renewed[0], renewed[1], (Step::AddNextCa, 600)];
        let promoted = [next[0], next[1], next[2], (Step::PromoteNextCa, 620)];
        let check = |name: &str, steps: &[(Step, i64)], trusted_since: Option<i64>, now, expected| {
            let material = material(&normal, steps);
            let step = plan(Some(&material), &normal, trusted_since.map(at), at(now));
            assert_eq!(step, expected, "{name}");
        };
        check("new", &new, Some(0), 0, Step::Keep);
        check("leaf young", &new, Some(0), 59, Step::Keep);
        check("leaf old", &new, Some(0), 60, Step::RenewLeaf);
        check("leaf expired", &new, None, 95, Step::RenewLeaf);
        check("CA old goes before leaf", &renewed, None, 655, Step::AddNextCa);
        check("CA young", &renewed, Some(0), 599, Step::Keep);
        check("CA old", &renewed, Some(0), 600, Step::AddNextCa);
        check("next not trusted", &next, None, 640, Step::Keep);
        check("next not trusted for long", &next, Some(605), 614, Step::Keep);
        check("next trusted", &next, Some(605), 615, Step::PromoteNextCa);
        check("next not trusted, leaf old", &next, None, 650, Step::RenewLeaf);
        check("next never trusted, CA expired", &next, None, 900, Step::PromoteNextCa);
        check("former CA good", &promoted, Some(620), 640, Step::Keep);
        check("all expired", &next, None, 1500, Step::CreateAll);
        assert_eq!(plan(None, &normal, None, at(0)), Step::CreateAll);
    }

    #[test]
    fn what_a_clock_made_that_was_ahead_is_made_anew() {
        let (hour, policy) = (3600, policy(90 * 3600, 900 * 3600));
        let ahead = material(&policy, &[(Step::CreateAll, 8 * hour)]);
        assert_eq!(plan(Some(&ahead), &policy, None, at(0)), Step::CreateAll);
        assert_eq!(plan(Some(&ahead), &policy, None, at(7 * hour)), Step::Keep);
        let now = after(Step::CreateAll, Some(&ahead), &policy, at(0)).unwrap().unwrap();
        assert_eq!(
            now.previous,
            [ahead.ca.certificate],
            "what is served until then stays trusted"
        );
        assert_eq!(plan(Some(&now), &policy, None, at(0)), Step::Keep);
        let leaf = material(&policy, &[(Step::CreateAll, 0), (Step::RenewLeaf, 8 * hour)]);
        assert_eq!(plan(Some(&leaf), &policy, None, at(0)), Step::RenewLeaf);
        let next = material(&policy, &[(Step::CreateAll, 0), (Step::AddNextCa, 8 * hour)]);
        assert_eq!(
            plan(Some(&next), &policy, Some(at(0)), at(60)),
            Step::Keep,
            "it signs nothing yet"
        );
    }

    #[test]
    fn a_former_authority_is_forgotten_when_it_expires() {
        let long_leaf = policy(3000, 900);
        let steps = [(Step::CreateAll, 0), (Step::AddNextCa, 600), (Step::PromoteNextCa, 610)];
        let material = material(&long_leaf, &steps);
        assert_eq!(plan(Some(&material), &long_leaf, Some(at(610)), at(899)), Step::Keep);
        assert_eq!(
            plan(Some(&material), &long_leaf, Some(at(610)), at(900)),
            Step::ForgetExpired
        );
        let after = after(Step::ForgetExpired, Some(&material), &long_leaf, at(900))
            .unwrap()
            .unwrap();
        assert_eq!(after.previous, []);
        assert_eq!(after.leaf, material.leaf);
    }

    #[test]
    fn another_name_renews_the_leaf_and_one_name_less_does_not() {
        let before = policy(90, 900);
        let material = material(&before, &[(Step::CreateAll, 0)]);
        let mut more = before.clone();
        more.names.insert("example.org".to_owned());
        assert_eq!(plan(Some(&material), &more, None, at(1)), Step::RenewLeaf);
        let renewed = after(Step::RenewLeaf, Some(&material), &more, at(1)).unwrap().unwrap();
        assert_eq!(renewed.leaf.certificate.names, more.names);
        assert_eq!(plan(Some(&renewed), &before, None, at(2)), Step::Keep);
    }

    #[test]
    fn a_leaf_that_ends_with_its_authority_is_not_renewed_again_and_again() {
        let policy = policy(90, 100);
        let mut material = material(&policy, &[(Step::CreateAll, 0), (Step::AddNextCa, 67)]);
        let mut renewals = 0;
        for second in 67..100 {
            // The bundle cannot be written: never trusted.
            let step = plan(Some(&material), &policy, None, at(second));
            renewals += usize::from(step == Step::RenewLeaf);
            material = after(step, Some(&material), &policy, at(second)).unwrap().unwrap();
        }
        assert_eq!(renewals, 1);
    }

    #[test]
    fn a_secret_gives_back_what_was_put_into_it() {
        let policy = policy(90, 900);
        let steps = [
            (Step::CreateAll, 0),
            (Step::AddNextCa, 600),
            (Step::PromoteNextCa, 610),
            (Step::AddNextCa, 620),
        ];
        for length in 1..=steps.len() {
            let material = material(&policy, &steps[..length]);
            let entries = material.to_entries().into_iter();
            let entries = entries
                .filter_map(|(key, text)| Some((key.to_owned(), text?)))
                .collect();
            assert_eq!(Material::from_entries(&entries), Ok(Some(material)));
        }
    }

    /// A cluster in which every component is late now and then.
    struct World {
        policy: Policy,
        material: Option<Material>,
        /// The bundle in the configurations, with the second it was written at; the API server sees it `lag` later.
        bundles: Vec<(i64, Vec<Certificate>)>,
        lag: i64,
        trusted_since: Option<i64>,
        served: Vec<Option<Pair>>,
        signed: HashMap<(String, String), bool>,
        created: usize,
        promoted: usize,
    }

    impl World {
        fn keeper_round(&mut self, now: i64, can_write_bundle: bool) {
            let step = plan(
                self.material.as_ref(),
                &self.policy,
                self.trusted_since.map(at),
                at(now),
            );
            self.created += usize::from(step == Step::CreateAll);
            self.promoted += usize::from(step == Step::PromoteNextCa);
            if step != Step::Keep {
                self.material = after(step, self.material.as_ref(), &self.policy, at(now)).unwrap();
                self.trusted_since = None;
            }
            let bundle: Vec<Certificate> = self.material.iter().flat_map(Material::authorities).cloned().collect();
            let present = self.bundles.last().map(|(_, bundle)| bundle);
            let same = present.is_some_and(|present| {
                present.len() == bundle.len() && present.iter().all(|certificate| bundle.contains(certificate))
            });
            if same {
                self.trusted_since = self.trusted_since.or(Some(now));
            } else if can_write_bundle {
                self.bundles.push((now, bundle));
            }
        }

        fn is_trusted(&mut self, leaf: &Certificate, now: i64) -> bool {
            let seen = self.bundles.iter().rev().find(|(written, _)| written + self.lag <= now);
            let Some((_, bundle)) = seen else {
                return false;
            };
            bundle
                .iter()
                .filter(|authority| authority.is_good_at(at(now)))
                .any(|authority| {
                    let key = (leaf.pem.clone(), authority.pem.clone());
                    *self.signed.entry(key).or_insert_with(|| leaf.is_signed_by(authority))
                })
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// The current and the previous state of everything: replicas that read late, an API server that sees changes
        /// late, a keeper that misses rounds and cannot always write. No API server meets a valid leaf that it does not
        /// trust, and a replica that reads often enough always has a valid leaf.
        #[test]
        fn whatever_is_served_is_trusted(
            leaf in 30_i64..200,
            ca in 120_i64..400,
            lag in 0_i64..10,
            chances in proptest::collection::vec(any::<u8>(), 1200),
        ) {
            let mut world = World {
                policy: policy(leaf, ca),
                material: None,
                bundles: Vec::new(),
                lag,
                trusted_since: None,
                served: vec![None; 3],
                signed: HashMap::new(),
                created: 0,
                promoted: 0,
            };
            world.keeper_round(0, true);
            for (now, chance) in (0_i64..).zip(&chances) {
                if chance & 0b11 != 0 {
                    world.keeper_round(now, chance & 0b1100 != 0);
                }
                let latest = world.material.as_ref().map(|material| material.leaf.clone());
                // The first reads at once, the second mostly late, the third once in a while.
                world.served[0].clone_from(&latest);
                if chance & 0b11_0000 == 0 {
                    world.served[1].clone_from(&latest);
                }
                if *chance == 0 {
                    world.served[2] = latest;
                }
                // No replica is ready before the first bundle arrives.
                if now < 10 + lag {
                    continue;
                }
                let fresh = world.served[0].clone().unwrap();
                prop_assert!(fresh.certificate.is_good_at(at(now)), "an expired leaf is served at {now}");
                for replica in 0..world.served.len() {
                    let Some(leaf) = world.served[replica].clone() else { continue };
                    if leaf.certificate.is_good_at(at(now)) {
                        prop_assert!(world.is_trusted(&leaf.certificate, now), "replica {replica} at {now}");
                    }
                }
            }
            prop_assert_eq!(world.created, 1, "nothing was begun anew");
            prop_assert!(world.promoted >= 1);
        }
    }
}
