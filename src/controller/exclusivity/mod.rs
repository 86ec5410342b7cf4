//! What only one validator at a time may use: its seed, because two validators with one seed harm consensus, and its
//! database, because a second validator would wipe it when it starts.
//!
//! The webhook refuses the second validator. This module keeps two apart that were created at once or while the webhook
//! was down: the younger is not started. A validator is not started either while a pod or a stored template still uses
//! the same, as `seeds` finds. A validator that runs is never stopped. Pure but for [`Claims`], which has no I/O.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::EnvVar;
use kube::ResourceExt;

use crate::crd::{GuardedNode, Network, NodeType, SecretKeyRef, SeedSource, StellarNode};
use crate::kubernetes::stored::runs;
use crate::labels;
use seeds::Present;

/// What another validator has that this one was given, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    pub what: Exclusive,
    pub holder: Holder,
}

/// What only one may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusive {
    Seed,
    Database,
}

/// Who has what another validator was given, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A validator that runs, or is to run first.
    Validator(String),
    /// A pod that has not ended, although its validator was deleted or is to have another seed.
    Pod { validator: String, pod: String },
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

/// The names of all validators that were given the same seed or the same database.
pub fn all_rivals(node: &StellarNode, all: &[Arc<GuardedNode>]) -> BTreeSet<String> {
    let kinds = [Exclusive::Seed, Exclusive::Database].into_iter();
    let rivals = kinds.flat_map(|what| rivals(node, what, all));
    rivals.map(ResourceExt::name_any).collect()
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

/// What is known of the others that have the seed or the database that a validator would take into use.
#[derive(Debug, Default)]
pub struct Contest {
    /// What its next write takes into use.
    pub kinds: Vec<Exclusive>,
    /// Whether another validator with the same is being started at this moment.
    pub is_under_way: bool,
    pub nodes: Vec<Arc<GuardedNode>>,
    /// The StatefulSets of its rivals, by name.
    pub stateful_sets: HashMap<String, StatefulSet>,
    /// The pods and pod templates in its namespace that use the same.
    pub present: Present,
    /// The uid of the validator that this process started with the same.
    pub claimed: Vec<(Exclusive, String)>,
}

impl Contest {
    /// What another validator, pod or StatefulSet has of what `node` would take into use. `own` is its StatefulSet.
    pub fn in_use(&self, node: &StellarNode, own: Option<&StatefulSet>) -> Option<InUse> {
        let by_spec = |what| {
            let rivals = rivals(node, what, &self.nodes);
            let elder = elder(node, what, own, &rivals);
            let has_it = |rival: &&&StellarNode| {
                let theirs = self.stateful_sets.get(&rival.name_any());
                theirs.is_some_and(|theirs| has_it(theirs, what, own))
            };
            let holder = elder.or_else(|| rivals.iter().find(has_it).copied())?;
            Some(Holder::Validator(holder.name_any()))
        };
        let by_pods = |what| self.present.holder(node, what, own, &self.nodes);
        let by_claim = |what| {
            let rivals = rivals(node, what, &self.nodes);
            let is_holder = |rival: &&&StellarNode| {
                let mut claimed = self.claimed.iter();
                // A suspended validator does not use its seed: its StatefulSet shows whether it still runs.
                let uses_it = what == Exclusive::Database || !rival.spec.suspended;
                uses_it && claimed.any(|(kind, uid)| *kind == what && rival.uid().as_ref() == Some(uid))
            };
            Some(Holder::Validator(rivals.iter().find(is_holder)?.name_any()))
        };
        let first = |holder: &dyn Fn(Exclusive) -> Option<Holder>| {
            let mut found = self.kinds.iter().map(|what| (*what, holder(*what)));
            found.find_map(|(what, holder)| Some(InUse { what, holder: holder? }))
        };
        first(&by_spec).or_else(|| first(&by_pods)).or_else(|| first(&by_claim))
    }
}

/// What this process started each validator with. Between the decision to start a validator and the write of its
/// StatefulSet, the API server does not show it.
#[derive(Debug, Default)]
pub struct Claims {
    held: Mutex<HashMap<Given, String>>,
    starting: Mutex<HashSet<Given>>,
}

/// The start of a validator: from before its rivals are read until its StatefulSet is written.
#[derive(Debug)]
pub struct Start<'a> {
    claims: &'a Claims,
    given: Vec<(Exclusive, Given)>,
}

impl Drop for Start<'_> {
    fn drop(&mut self) {
        let mut starting = self.claims.starting.lock().unwrap_or_else(PoisonError::into_inner);
        self.given.iter().for_each(|(_, given)| {
            starting.remove(given);
        });
    }
}

impl Claims {
    /// Begins the start of `node`. `None` while another with one of these is being started: a look at the API server
    /// would not show that one yet.
    pub fn start(&self, node: &StellarNode, kinds: &[Exclusive]) -> Option<Start<'_>> {
        let given: Vec<(Exclusive, Given)> = kinds
            .iter()
            .filter_map(|what| Some((*what, given(node, *what)?)))
            .collect();
        let mut starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if given.iter().any(|(_, given)| starting.contains(given)) {
            return None;
        }
        starting.extend(given.iter().map(|(_, given)| given.clone()));
        Some(Start { claims: self, given })
    }
}

impl Start<'_> {
    /// The uids of the validators that were started with the same before.
    pub fn claimed(&self) -> Vec<(Exclusive, String)> {
        let held = self.claims.held.lock().unwrap_or_else(PoisonError::into_inner);
        let claimed = self.given.iter();
        claimed
            .filter_map(|(what, given)| Some((*what, held.get(given)?.clone())))
            .collect()
    }

    /// Remembers that `node` is started with all of it.
    pub fn claim(&self, node: &StellarNode) {
        let uid = node.uid().unwrap_or_default();
        let mut held = self.claims.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.extend(self.given.iter().map(|(_, given)| (given.clone(), uid.clone())));
    }
}

pub mod seeds;
pub mod shared_keys;
#[cfg(test)]
mod tests;
