//! One PodDisruptionBudget a group: while machines are drained, no more of its validators go than one at a time.
//!
//! Pure. It is named after the group's ConfigMap and finds its pods by a label that says which ConfigMap they read.

use std::collections::BTreeMap;

use super::groups::Group;
use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{ListId, Snapshot};

/// What is to be done for one group's budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetStep {
    /// Write it: create it, or change the one of this version.
    Write {
        /// Named after this list.
        id: ListId,
        /// How many pods may be gone.
        max_unavailable: u32,
        /// The version that was seen; `None` where there is none.
        seen: Option<String>,
    },
    /// Remove it: its group is gone, or nobody wants budgets.
    Remove {
        /// Named after this list.
        id: ListId,
        /// For the precondition.
        uid: String,
    },
}

/// What is to be done. A group that cannot be read keeps its budget.
pub fn plan(snapshot: &Snapshot, options: &Options, groups: &[Group<'_>]) -> Vec<BudgetStep> {
    let wanted: BTreeMap<&ListId, u32> = groups
        .iter()
        .filter(|_| !options.no_disruption_budgets)
        .map(|group| (&group.id, options.max_unavailable))
        .collect();
    let writes = wanted.iter().filter_map(|(id, most)| {
        let seen = snapshot.budgets.get(*id);
        let is_right = seen.is_some_and(|seen| seen.max_unavailable == Some(*most));
        (!is_right).then(|| BudgetStep::Write {
            id: (*id).clone(),
            max_unavailable: *most,
            seen: seen.map(|seen| seen.resource_version.clone()),
        })
    });
    let all_read = snapshot.unreadable.is_empty() || options.no_disruption_budgets;
    let removals = snapshot
        .budgets
        .iter()
        .filter(|(id, _)| all_read && !wanted.contains_key(id))
        .map(|(id, budget)| BudgetStep::Remove {
            id: id.clone(),
            uid: budget.uid.clone(),
        });
    writes.chain(removals).collect()
}
