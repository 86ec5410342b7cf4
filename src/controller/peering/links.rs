//! Can the members of a group meet? The graph of who loaded whose present address.
//!
//! Pure. Two members are linked when at least one of the two running pods loaded the other's present address. A
//! stellar-core node dials few peers and floods the rest, so links between all pairs are not needed. What is not known
//! is taken to be linked: nobody is restarted on doubt.
//!
//! Loaded lists tell who can meet, not who did: a node dials the peers of its database, too, and is dialled by others.
//! So whoever votes is connected, to all others that vote, whatever its pod loaded: consensus proves it. Members that
//! do not vote need links to them or to each other.

use std::collections::BTreeSet;

use super::groups::Group;
use crate::peers::{Report, peer_hash};

/// Links that each member needs, in a group that is large enough.
const ENOUGH: usize = 3;

/// The state of a group's graph of links. A member without an address needs none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Indices of the members whose restart would help, the neediest first; empty when the group is connected. None of
    /// them votes.
    pub needy: Vec<usize>,
}

impl Links {
    /// Whether the members can all reach each other, each over enough links.
    pub fn is_connected(&self) -> bool {
        self.needy.is_empty()
    }
}

/// What a member's running pod loaded, as far as linking goes.
#[derive(Debug)]
enum Loaded {
    /// These peers, by [`peer_hash`].
    Peers(BTreeSet<String>),
    /// It does not tell.
    Unknown,
}

/// Who of a group loaded whose present address, members counted as in [`Group::members`].
#[derive(Debug)]
pub struct Acquaintance {
    loaded: Vec<Loaded>,
    hashes: Vec<Option<String>>,
}

impl Acquaintance {
    /// Of the members of this group.
    pub fn of(group: &Group<'_>) -> Self {
        let loaded = group.members.iter().map(|member| {
            // One that is ending takes its links with it, and what its successor will load is not known.
            let pod = member.validator.pod.as_ref().filter(|pod| !pod.deleting);
            match pod.and_then(|pod| pod.report.as_ref()) {
                Some(Report::Loaded { peers: Some(peers), .. }) => Loaded::Peers(peers.iter().cloned().collect()),
                _ => Loaded::Unknown,
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

    /// Whether `a` loaded the present address of `b`; `None` where it does not tell what it loaded.
    pub fn knows(&self, a: usize, b: usize) -> Option<bool> {
        match (&self.loaded[a], &self.hashes[b]) {
            (Loaded::Unknown, _) => None,
            (Loaded::Peers(peers), Some(hash)) => Some(peers.contains(hash)),
            (Loaded::Peers(_), None) => Some(false),
        }
    }
}

/// Assesses the links of a group.
pub fn assess(group: &Group<'_>) -> Links {
    let members = &group.members;
    let votes = |index: usize| members[index].validator.is_voting();
    let acquaintance = Acquaintance::of(group);
    let Acquaintance { loaded, hashes } = &acquaintance;
    // Taken to be linked to everybody.
    let knows = |a: usize, b: usize| acquaintance.knows(a, b).unwrap_or(true);
    let dialled: Vec<usize> = (0..members.len()).filter(|index| hashes[*index].is_some()).collect();
    let linked = |a: usize, b: usize| (votes(a) && votes(b)) || knows(a, b) || knows(b, a);

    let is_unknown = |index: &&usize| matches!(loaded[**index], Loaded::Unknown);
    if dialled.iter().filter(is_unknown).count() > ENOUGH {
        // Each is linked to all of these, and over them to everybody: so it is in every large group, whose reports do
        // not fit.
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
    let enough = ENOUGH.min(dialled.len().saturating_sub(1));
    let mut needy: Vec<usize> = dialled
        .iter()
        .copied()
        .filter(|index| degrees[*index] < enough && !votes(*index))
        .collect();
    if needy.is_empty() {
        // Those that vote are in one part: of several, one at least has none of them.
        needy = smallest_part(&dialled, &component, votes);
    }
    needy.sort_by_key(|index| (degrees[*index], *index));
    Links { needy }
}

/// The smallest part of a graph that falls into several, among those in which nobody votes; empty if it does not.
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

    const NOBODY: [usize; 0] = [];

    /// The first so many of six, each of which found no list when it started.
    fn unlinked(count: usize) -> Vec<Validator> {
        let lost = SIX[..count].iter().map(|(name, ip)| {
            let mut validator = member(name, ip);
            pod(&mut validator).report = Some(Report::of_nothing());
            validator
        });
        lost.collect()
    }

    /// It started when the list held these.
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
    fn nobody_loaded_anything_and_those_that_do_not_vote_are_needy() {
        assert_eq!(needy(unlinked(4)), [0, 1, 2, 3]);
        // A quorum votes: it is connected, and the others are not.
        let mut all = unlinked(5);
        vote(&mut all[..4]);
        assert_eq!(needy(all), [4]);
    }

    #[test]
    fn whoever_votes_is_connected_whatever_its_pod_loaded() {
        for count in 1..=6 {
            let mut all = unlinked(count);
            vote(&mut all);
            assert_eq!(needy(all), NOBODY, "{count}");
        }
    }

    #[test]
    fn one_that_does_not_vote_is_linked_by_what_it_or_those_that_vote_loaded() {
        let mut all = unlinked(5);
        vote(&mut all[..4]);
        // As a newcomer, or one that came back: it found everybody in the list.
        loads(&mut all[4], &SIX);
        assert_eq!(needy(all.clone()), NOBODY);
        // It found one of them; fewer links than three leave too much to chance.
        loads(&mut all[4], &SIX[..1]);
        assert_eq!(needy(all.clone()), [4]);
        pod(&mut all[4]).report = Some(Report::of_nothing());
        for other in &mut all[..3] {
            loads(other, &SIX);
        }
        assert_eq!(needy(all), NOBODY, "three of those that vote dial it");
    }

    #[test]
    fn of_two_parts_the_one_that_does_not_vote_is_needy_even_if_it_is_the_larger() {
        // a and b vote, which are a quorum of their own; c, d, e and f know each other.
        let mut all = unlinked(6);
        vote(&mut all[..2]);
        for other in &mut all[2..] {
            loads(other, &SIX[2..]);
        }
        assert_eq!(needy(all), [2, 3, 4, 5]);
    }

    #[test]
    fn a_pod_that_is_ending_votes_no_more_and_disconnects_nobody() {
        let mut all = unlinked(4);
        vote(&mut all);
        pod(&mut all[1]).deleting = true;
        assert_eq!(needy(all.clone()), NOBODY, "what its next pod loads is not known");
        // Its next pod found no list.
        pod(&mut all[1]).deleting = false;
        pod(&mut all[1]).voting_since = None;
        assert_eq!(needy(all), [1]);
    }

    #[test]
    fn what_is_not_known_is_taken_to_be_linked() {
        let mut all = unlinked(6);
        for silent in &mut all[..4] {
            pod(silent).report = None;
        }
        assert_eq!(needy(all.clone()), NOBODY);
        pod(&mut all[0]).report = Some(Report::of_nothing());
        vote(&mut all[1..4]);
        assert_eq!(
            needy(all),
            NOBODY,
            "three that vote and do not tell are linked with everybody"
        );
    }
}
