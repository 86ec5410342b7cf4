//! Can the members of a group meet? The graph of who loaded whose present address.
//!
//! Pure. Two members are linked when at least one of the two running pods loaded the other's present address. A
//! stellar-core node dials few peers and floods the rest, so links between all pairs are not needed. What is not known
//! is taken to be linked: nobody is restarted on doubt.

use std::collections::BTreeSet;

use super::groups::Group;
use crate::peers::{Report, peer_hash};

/// Links that each member needs, in a group that is large enough.
const ENOUGH: usize = 3;

/// The state of a group's graph of links. A member without an address needs none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Indices of the members whose restart would help, the neediest first; empty when the group is connected.
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
            match member.validator.pod.as_ref().and_then(|pod| pod.report.as_ref()) {
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
    let acquaintance = Acquaintance::of(group);
    let Acquaintance { loaded, hashes } = &acquaintance;
    // Taken to be linked to everybody.
    let knows = |a: usize, b: usize| acquaintance.knows(a, b).unwrap_or(true);
    let dialled: Vec<usize> = (0..members.len()).filter(|index| hashes[*index].is_some()).collect();
    let linked = |a: usize, b: usize| knows(a, b) || knows(b, a);

    let is_unknown = |index: &&usize| matches!(loaded[**index], Loaded::Unknown);
    if dialled.iter().filter(is_unknown).count() > ENOUGH {
        // Each is linked to all of these, and over them to everybody: so it is in every large group, whose reports do not
        // fit.
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
        .filter(|index| degrees[*index] < enough)
        .collect();
    if needy.is_empty() {
        needy = smallest_part(&dialled, &component);
    }
    needy.sort_by_key(|index| (degrees[*index], *index));
    Links { needy }
}

/// The smallest part of a graph that falls into several; empty if it does not.
fn smallest_part(dialled: &[usize], component: &[usize]) -> Vec<usize> {
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
        .min_by_key(Vec::len)
        .unwrap_or_default()
}
