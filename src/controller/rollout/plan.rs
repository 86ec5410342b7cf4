//! The plan for the slots of one network. Data only; no decisions.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::controller::model::snapshot::{ListId, Slot};
use crate::peers::NodeId;

/// The desired content of a network's Lease, as in [`SlotLease`](crate::controller::model::snapshot::SlotLease).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedSlots {
    pub slots: Vec<Slot>,
    /// When each namespace last got or ended a slot.
    pub served: BTreeMap<String, Timestamp>,
    /// The lists that are joined across namespaces.
    pub joined: BTreeSet<(ListId, ListId)>,
}

/// The plan for the slots of one network.
#[derive(Clone, Debug, Default)]
pub struct SlotPlan {
    /// The new content of the Lease, if it changes.
    pub write: Option<PlannedSlots>,
    /// The writes for the holders of slots.
    pub steps: Vec<Step>,
    /// Groups with a slot beyond its deadline, with its holder.
    pub stalled: BTreeMap<ListId, NodeId>,
    /// The next time at which the plan may change without an event.
    pub wake: Option<Timestamp>,
    /// The reason why a validator that needs a restart has no slot.
    pub waiting: BTreeMap<NodeId, String>,
}

/// One write for the holder of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Apply the changed template, which restarts the pod.
    ApplyTemplate(Slot),
    /// Restart the pod with the same template, so that it loads its peers.
    Restart(Slot),
    /// Return an unused slot because its reason or its permission is gone: mark it as void on the StatefulSet.
    ///
    /// The slot stays taken until the mark is visible. An operator that sees the slot and not the mark has an old
    /// version of the StatefulSet, and the API server refuses its write. So two validators never use one slot.
    GiveBack(Slot),
    /// Delete a pod that is not Ready and that Kubernetes does not replace.
    DeletePod {
        node: NodeId,
        name: String,
        /// Precondition: never delete a successor of the pod.
        uid: String,
        /// Precondition: never delete a pod that changed meanwhile, such as one that became Ready.
        resource_version: String,
    },
}
