//! What only one validator at a time may use: its seed, with which two harm consensus, and its database, which a second
//! one would wipe when it starts.
//!
//! The webhook refuses the second. Two that were created at once, or with the webhook down, are kept apart here: the
//! younger is not started. Nor is one that would use what a pod or a stored template still uses, as `seeds` finds.
//! One that runs is never stopped. Pure but for [`Claims`], which has no I/O either.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::EnvVar;
use kube::ResourceExt;

use crate::crd::{GuardedNode, Network, NodeType, SecretKeyRef, SeedSource, StellarNode};
use crate::kubernetes::stored::runs;
use crate::labels;

/// What another validator has that this one was given, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// What it is.
    pub what: Exclusive,
    /// Who has it.
    pub holder: Holder,
}

/// What only one may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusive {
    /// A seed.
    Seed,
    /// A database.
    Database,
}

/// Who has what another validator was given, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A validator that runs, or is to run first.
    Validator(String),
    /// A pod that has not ended, although its validator was deleted or is to have another seed.
    Pod {
        /// Name of the validator.
        validator: String,
        /// Name of the pod.
        pod: String,
    },
    /// A StatefulSet whose stored template still has it: its next pod would use it.
    StatefulSet(String),
}

impl Holder {
    /// Name of the object that has it.
    pub fn name(&self) -> &str {
        match self {
            Self::Validator(name) | Self::StatefulSet(name) | Self::Pod { pod: name, .. } => name,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Validator(name) => write!(formatter, "validator {name}"),
            Self::Pod { validator, pod } => {
                write!(formatter, "pod {pod} of validator {validator}, which has not ended,")
            }
            Self::StatefulSet(name) => {
                write!(formatter, "the pod template of StatefulSet {name}, which has replicas,")
            }
        }
    }
}

/// What a validator was given, as far as it can be told apart without reading a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Given {
    /// The seed, and the network that it signs for.
    Seed {
        namespace: String,
        source: SeedSource,
        network: Network,
    },
    /// The key of a Secret that names the database.
    Database { namespace: String, key: SecretKeyRef },
}

pub(super) fn given(node: &StellarNode, what: Exclusive) -> Option<Given> {
    let config = node.spec.validator_config.as_ref();
    let config = config.filter(|_| node.spec.node_type == NodeType::Validator)?;
    let namespace = node.namespace().unwrap_or_default();
    Some(match what {
        Exclusive::Seed => Given::Seed {
            namespace,
            source: config.seed_source()?,
            network: Network::parse(&node.spec.network),
        },
        Exclusive::Database => Given::Database {
            namespace,
            key: config.database_key()?.clone(),
        },
    })
}

/// What a validator takes into use with the next write of its StatefulSet, which is `stored` as it is: its seed when it
/// starts; its database when it is made. One that was a member has made it; one that is created suspended would when it
/// is resumed.
pub fn taken_into_use(is_to_run: bool, stored: Option<&StatefulSet>) -> Vec<Exclusive> {
    let starts = is_to_run && stored.is_none_or(|stored| !runs(stored));
    let makes_database = stored.is_none_or(|stored| starts && !was_member(stored));
    let both = [(Exclusive::Seed, starts), (Exclusive::Database, makes_database)];
    both.into_iter()
        .filter(|(_, is_taken)| *is_taken)
        .map(|(what, _)| what)
        .collect()
}

/// Whether a rival with this StatefulSet has what a validator, whose own is `stored`, was given, too. Of two whose
/// StatefulSets are there the one that was a member has made their database.
pub fn has_it(rival: &StatefulSet, what: Exclusive, stored: Option<&StatefulSet>) -> bool {
    match what {
        Exclusive::Seed => runs(rival),
        Exclusive::Database => stored.is_none() || was_member(rival),
    }
}

/// Whether a StatefulSet remembers that its validator was a member of its group.
fn was_member(stored: &StatefulSet) -> bool {
    stored.annotations().contains_key(labels::MEMBER)
}

/// The other validators that were given the same, suspended ones too.
pub fn rivals<'a>(node: &StellarNode, what: Exclusive, all: &'a [Arc<GuardedNode>]) -> Vec<&'a StellarNode> {
    let Some(mine) = given(node, what) else {
        return Vec::new();
    };
    let others = all.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    others
        .filter(|other| other.uid() != node.uid() && given(other, what).as_ref() == Some(&mine))
        .collect()
}

/// The one among `rivals` that is to have it before `node`: it is older and not on its way out. A seed is of no use to
/// one that is suspended; a database it keeps, and once the StatefulSet of `node` is there, age says nothing of it any
/// more.
pub fn elder<'a>(
    node: &StellarNode,
    what: Exclusive,
    stored: Option<&StatefulSet>,
    rivals: &[&'a StellarNode],
) -> Option<&'a StellarNode> {
    if what == Exclusive::Database && stored.is_some() {
        return None;
    }
    let age = |node: &StellarNode| (node.creation_timestamp().map(|time| time.0), node.uid());
    let is_wanted = |rival: &&StellarNode| {
        rival.metadata.deletion_timestamp.is_none() && (what == Exclusive::Database || !rival.spec.suspended)
    };
    rivals
        .iter()
        .copied()
        .filter(is_wanted)
        .find(|rival| age(rival) < age(node))
}

/// The Secret that an environment variable takes a validator's seed from.
pub fn secret_of(variable: &EnvVar) -> Option<&str> {
    let key = variable.value_from.as_ref()?.secret_key_ref.as_ref()?;
    (key.key == labels::SEED_KEY).then_some(key.name.as_str())
}

/// Who was started with what in this process: between the decision to start a validator and its StatefulSet nothing
/// in the API server tells of it.
#[derive(Debug, Default)]
pub struct Claims {
    held: Mutex<HashMap<Given, String>>,
    starting: Mutex<HashSet<Given>>,
}

/// The start of a validator, from before it is looked who has its seed and its database until its StatefulSet is
/// written.
#[derive(Debug)]
pub struct Start<'a> {
    claims: &'a Claims,
    given: Vec<Given>,
}

impl Drop for Start<'_> {
    fn drop(&mut self) {
        let mut starting = self.claims.starting.lock().unwrap_or_else(PoisonError::into_inner);
        self.given.iter().for_each(|given| {
            starting.remove(given);
        });
    }
}

impl Claims {
    /// Begins the start of `node`. `None` while another starts with one of these: whoever looked now would not see it.
    pub fn start(&self, node: &StellarNode, kinds: &[Exclusive]) -> Option<Start<'_>> {
        let given: Vec<Given> = kinds.iter().filter_map(|what| given(node, *what)).collect();
        let mut starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if given.iter().any(|given| starting.contains(given)) {
            return None;
        }
        starting.extend(given.iter().cloned());
        Some(Start { claims: self, given })
    }

    /// Claims what `node` was given for it; the rival that has claimed it before, if there is one.
    pub fn claim<'a>(
        &self,
        node: &StellarNode,
        what: Exclusive,
        rivals: &[&'a StellarNode],
    ) -> Option<&'a StellarNode> {
        let given = given(node, what)?;
        let mut claims = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let holder = claims.get(&given);
        let rival = rivals
            .iter()
            .find(|rival| holder.is_some() && rival.uid().as_ref() == holder);
        // A suspended validator has no use for a seed: whether it still runs, its StatefulSet tells.
        if let Some(rival) = rival.filter(|rival| what == Exclusive::Database || !rival.spec.suspended) {
            return Some(rival);
        }
        claims.insert(given, node.uid().unwrap_or_default());
        None
    }
}

pub mod seeds;
pub mod shared_keys;
#[cfg(test)]
mod tests;
