//! What to do next to the material, and what it is afterwards. No client, no clock.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::certificate::Pair;
use super::issue::{self, IssueError};
use super::material::Material;

/// What the material is held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// DNS names and IP addresses that the leaf must be good for.
    pub names: BTreeSet<String>,
    /// Life of a leaf.
    pub leaf_lifetime: SignedDuration,
    /// Life of an authority.
    pub ca_lifetime: SignedDuration,
    /// How long the bundle must have been in force before a new authority in it signs: the time in which every API
    /// server sees a changed webhook configuration.
    pub settle: SignedDuration,
}

/// One change to the material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do.
    Keep,
    /// There is nothing that can be used: make an authority and a leaf.
    CreateAll,
    /// The authority is old: make the next one, to be trusted before it signs.
    AddNextCa,
    /// The next authority is trusted: it signs from now on.
    PromoteNextCa,
    /// The leaf is old, or not good for every name: make a new one.
    RenewLeaf,
    /// A former authority expired: trust it no longer.
    ForgetExpired,
}

/// Decides the next step.
///
/// `trusted_since`: since when the present bundle has been in both webhook configurations, as far as is known.
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
    let next = next.as_ref().filter(|next| next.certificate.is_good_at(now));
    if !ca.certificate.is_good_at(now) {
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

/// The material after `step`; the same material for [`Step::Keep`].
///
/// # Errors
/// When a certificate cannot be made.
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
    if !policy.names.is_subset(&leaf.certificate.names) {
        return true;
    }
    // A leaf that already ends with its authority gains nothing; renewing it would be done again and again.
    leaf.certificate.is_old_at(now) && leaf.certificate.expires < ca.certificate.expires
}
