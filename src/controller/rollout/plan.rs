//! What is to be done with the slots of one network: data, and nothing that decides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::controller::model::snapshot::{ListId, Slot};
use crate::peers::NodeId;

/// What the Lease of a network is to hold, as in [`SlotLease`](crate::controller::model::snapshot::SlotLease).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedSlots {
    /// The slots in flight.
    pub slots: Vec<Slot>,
    /// When each namespace last got or ended a slot.
    pub served: BTreeMap<String, Timestamp>,
    /// The lists that are joined across namespaces.
    pub joined: BTreeSet<(ListId, ListId)>,
}

/// What is to be done with the slots of one network.
#[derive(Clone, Debug, Default)]
pub struct SlotPlan {
    /// What the Lease is to hold, if that is a change.
    pub write: Option<PlannedSlots>,
    /// What the holders of slots need done.
    pub steps: Vec<Step>,
    /// Groups in which a slot is not done within its deadline, with its holder.
    pub stalled: BTreeMap<ListId, NodeId>,
    /// When something may change without an event.
    pub wake: Option<Timestamp>,
    /// Why a validator that needs a restart has no slot, in words.
    pub waiting: BTreeMap<NodeId, String>,
}

/// One write for the holder of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Apply its changed template: that is the restart.
    ApplyTemplate(Slot),
    /// Restart it with the same template, to load its peers.
    Restart(Slot),
    /// The reason or the leave for its slot is gone before anything was done: mark the slot as void on the StatefulSet.
    ///
    /// The slot stays taken until the mark is seen. Whoever still sees the slot and not the mark has an old version of
    /// the StatefulSet, and its write is refused; so a slot is never used by one and given to the next by another.
    GiveBack(Slot),
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
