//! The graph of members that loaded each other's current address: can the group connect?
//!
//! Pure. Two members are linked when at least one of the two running pods loaded the other's current address. A
//! stellar-core node dials few peers and floods the rest, so not every pair needs a link. An unknown link counts as
//! present: doubt restarts no validator.
//!
//! A loaded list shows which members can connect, not which did: a stellar-core also dials the peers in its database,
//! and others dial it. So a voting member counts as connected to all other voting members, whatever its pod loaded;
//! consensus proves it. Members that do not vote need links to these or to each other.

use std::collections::BTreeSet;

use super::groups::Group;
use crate::peers::{Report, peer_hash};

/// Links that each member needs, in a group that is large enough.
const MIN_LINKS: usize = 3;

/// The result for one group. A member without an address needs no links.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Indices of the members that a restart would connect, the one with the fewest links first; empty when the group
    /// is connected. None of them votes.
    pub needy: Vec<usize>,
}

impl Links {
    /// Whether all members can reach each other, each with enough links.
    pub fn is_connected(&self) -> bool {
        self.needy.is_empty()
    }
}

/// Which member of a group loaded which other's current address. Members have their index in [`Group::members`].
#[derive(Debug)]
pub struct Acquaintance {
    /// The peers that each running pod loaded, by [`peer_hash`]; `None` for a pod that has not reported.
    loaded: Vec<Option<BTreeSet<String>>>,
    hashes: Vec<Option<String>>,
}

impl Acquaintance {
    /// Reads the reports of this group's members.
    pub fn of(group: &Group<'_>) -> Self {
        let loaded = group.members.iter().map(|member| {
            // A terminating pod loses its links, and its successor has not loaded anything yet.
            let pod = member.validator.pod.as_ref().filter(|pod| !pod.deleting);
            match pod.and_then(|pod| pod.report.as_ref()) {
                Some(Report::Loaded { peers: Some(peers), .. }) => Some(peers.iter().cloned().collect()),
                _ => None,
            }
        });
        let hashes = group.members.iter().map(|member| {
            let address = member.address.as_ref()?;
            Some(peer_hash(&member.validator.id, address))
        });
        Self {
            loaded: loaded.collect(),
            hashes: hashes.collect(),
        }
    }

    /// Whether `a` loaded the current address of `b`; `None` without a report of `a`.
    pub fn knows(&self, a: usize, b: usize) -> Option<bool> {
        let loaded = self.loaded[a].as_ref()?;
        Some(self.hashes[b].as_ref().is_some_and(|hash| loaded.contains(hash)))
    }
}

/// Assesses the links of a group.
pub fn assess(group: &Group<'_>) -> Links {
    let members = &group.members;
    let votes = |index: usize| members[index].validator.is_voting();
    let acquaintance = Acquaintance::of(group);
    let Acquaintance { loaded, hashes } = &acquaintance;
    // A member without a report counts as linked to all.
    let knows = |a: usize, b: usize| acquaintance.knows(a, b).unwrap_or(true);
    let dialled: Vec<usize> = (0..members.len()).filter(|index| hashes[*index].is_some()).collect();
    let linked = |a: usize, b: usize| (votes(a) && votes(b)) || knows(a, b) || knows(b, a);

    if dialled.iter().filter(|index| loaded[**index].is_none()).count() > MIN_LINKS {
        // Each member is linked to all of these, and through them to every other. Large groups are always like this,
        // because their reports do not fit.
        return Links::default();
    }

    let mut degrees = vec![0_usize; members.len()];
    let mut component: Vec<usize> = (0..members.len()).collect();
    for (position, a) in dialled.iter().copied().enumerate() {
        for b in dialled[position + 1..].iter().copied().filter(|b| linked(a, *b)) {
            degrees[a] += 1;
            degrees[b] += 1;
            let (from, to) = (component[b], component[a]);
            if from != to {
                component
                    .iter_mut()
                    .filter(|entry| **entry == from)
                    .for_each(|entry| *entry = to);
            }
        }
    }
    let enough = MIN_LINKS.min(dialled.len().saturating_sub(1));
    let mut needy: Vec<usize> = dialled
        .iter()
        .copied()
        .filter(|index| degrees[*index] < enough && !votes(*index))
        .collect();
    if needy.is_empty() {
        // The voting members are in one part, so of several parts at least one has none.
        needy = smallest_part(&dialled, &component, votes);
    }
    needy.sort_by_key(|index| (degrees[*index], *index));
    Links { needy }
}

/// The smallest part without a voting member, if the graph has several parts; otherwise empty.
fn smallest_part(dialled: &[usize], component: &[usize], votes: impl Fn(usize) -> bool) -> Vec<usize> {
    let parts: BTreeSet<usize> = dialled.iter().map(|index| component[*index]).collect();
    if parts.len() < 2 {
        return Vec::new();
    }
    parts
        .into_iter()
        .map(|part| {
            dialled
                .iter()
                .copied()
                .filter(|index| component[*index] == part)
                .collect::<Vec<_>>()
        })
        .filter(|part| !part.iter().any(|index| votes(*index)))
        .min_by_key(Vec::len)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::model::options::Options;
    use crate::controller::model::snapshot::Validator;
    use crate::controller::peering::groups::form;
    use crate::controller::samples::{at, member, pod, published, snapshot, with_list};
    use crate::peers::PeerList;

    const SIX: [(&str, &str); 6] = [
        ("a", "10.0.0.1"),
        ("b", "10.0.0.2"),
        ("c", "10.0.0.3"),
        ("d", "10.0.0.4"),
        ("e", "10.0.0.5"),
        ("f", "10.0.0.6"),
    ];

    const NONE: [usize; 0] = [];

    /// The first `count` of six members, each of which found no list at its start.
    fn unlinked(count: usize) -> Vec<Validator> {
        let lost = SIX[..count].iter().map(|(name, ip)| {
            let mut validator = member(name, ip);
            pod(&mut validator).report = Some(Report::of_nothing());
            validator
        });
        lost.collect()
    }

    /// Lets the pod start with a list of these members.
    fn loads(validator: &mut Validator, members: &[(&str, &str)]) {
        let list: PeerList = published(members).list.unwrap();
        let report = Report::of_list(&list, &validator.id);
        pod(validator).report = Report::parse(&report.to_message("G"));
    }

    fn vote(validators: &mut [Validator]) {
        for validator in validators {
            pod(validator).voting_since = Some(at(10));
        }
    }

    fn needy(validators: Vec<Validator>) -> Vec<usize> {
        let members = &SIX[..validators.len()];
        let snapshot = with_list(snapshot(validators), published(members));
        let groups = form(&snapshot, &Options::default());
        assess(&groups[0]).needy
    }

    #[test]
    fn members_that_loaded_nothing_and_do_not_vote_are_needy() {
        assert_eq!(needy(unlinked(4)), [0, 1, 2, 3]);
        // A quorum votes, so it is connected; the last member is not.
        let mut all = unlinked(5);
        vote(&mut all[..4]);
        assert_eq!(needy(all), [4]);
    }

    #[test]
    fn a_voting_member_is_connected_whatever_its_pod_loaded() {
        for count in 1..=6 {
            let mut all = unlinked(count);
            vote(&mut all);
            assert_eq!(needy(all), NONE, "{count}");
        }
    }

    #[test]
    fn a_member_that_does_not_vote_is_linked_by_its_list_or_that_of_voting_ones() {
        let mut all = unlinked(5);
        vote(&mut all[..4]);
        // Like a new member or one that was away: it found all of them in the list.
        loads(&mut all[4], &SIX);
        assert_eq!(needy(all.clone()), NONE);
        // It found one of them: fewer than three links are too few.
        loads(&mut all[4], &SIX[..1]);
        assert_eq!(needy(all.clone()), [4]);
        pod(&mut all[4]).report = Some(Report::of_nothing());
        for other in &mut all[..3] {
            loads(other, &SIX);
        }
        assert_eq!(needy(all), NONE, "three of those that vote dial it");
    }

    #[test]
    fn the_part_that_does_not_vote_is_needy_even_if_it_is_the_larger() {
        // a and b are a quorum and vote; c, d, e and f loaded each other.
        let mut all = unlinked(6);
        vote(&mut all[..2]);
        for other in &mut all[2..] {
            loads(other, &SIX[2..]);
        }
        assert_eq!(needy(all), [2, 3, 4, 5]);
    }

    #[test]
    fn a_terminating_pod_does_not_vote_and_disconnects_no_other() {
        let mut all = unlinked(4);
        vote(&mut all);
        pod(&mut all[1]).deleting = true;
        assert_eq!(needy(all.clone()), NONE, "what its next pod loads is not known");
        // Its next pod found no list.
        pod(&mut all[1]).deleting = false;
        pod(&mut all[1]).voting_since = None;
        assert_eq!(needy(all), [1]);
    }

    #[test]
    fn an_unknown_link_counts_as_present() {
        let mut all = unlinked(6);
        for silent in &mut all[..4] {
            pod(silent).report = None;
        }
        assert_eq!(needy(all.clone()), NONE);
        pod(&mut all[0]).report = Some(Report::of_nothing());
        vote(&mut all[1..4]);
        assert_eq!(
            needy(all),
            NONE,
            "three voting members without a report are linked with all"
        );
    }
}
