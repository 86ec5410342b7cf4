//! What is to be done with the turns of one network: data, and nothing that decides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::controller::model::snapshot::{ListId, Turn};
use crate::peers::NodeId;

/// What the Lease of a network is to hold, as in [`TurnLease`](crate::controller::model::snapshot::TurnLease).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedTurns {
    /// The turns in flight.
    pub turns: Vec<Turn>,
    /// When each namespace last got or ended a turn.
    pub served: BTreeMap<String, Timestamp>,
    /// The lists that are joined across namespaces.
    pub joined: BTreeSet<(ListId, ListId)>,
}

/// What is to be done with the turns of one network.
#[derive(Clone, Debug, Default)]
pub struct TurnPlan {
    /// What the Lease is to hold, if that is a change.
    pub write: Option<PlannedTurns>,
    /// What the holders of turns need done.
    pub steps: Vec<Step>,
    /// Groups in which a turn is not done within its deadline, with its holder.
    pub stalled: BTreeMap<ListId, NodeId>,
    /// When something may change without an event.
    pub wake: Option<Timestamp>,
    /// Why a validator that needs a restart has no turn, in words.
    pub waiting: BTreeMap<NodeId, String>,
}

/// One write for the holder of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Apply its changed template: that is the restart.
    ApplyTemplate(Turn),
    /// Restart it with the same template, to load its peers.
    Restart(Turn),
    /// The reason or the leave for its turn is gone before anything was done: mark the turn as void on the StatefulSet.
    ///
    /// The turn stays taken until the mark is seen. Whoever still sees the turn and not the mark has an old version of
    /// the StatefulSet, and its write is refused; so a turn is never used by one and given to the next by another.
    GiveBack(Turn),
    /// Its pod is not Ready and Kubernetes does not replace such a pod: delete it.
    DeletePod {
        /// The holder.
        node: NodeId,
        /// Name of the pod.
        name: String,
        /// For the preconditions: another pod, or one that came up meanwhile, is not deleted.
        uid: String,
        /// As `uid`.
        resource_version: String,
    },
}
