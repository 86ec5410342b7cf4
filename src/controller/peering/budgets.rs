//! One PodDisruptionBudget per group: a node drain evicts no more of its validators at once than the operator restarts.
//!
//! Pure. The budget has the name of the group's ConfigMap, and selects the pods by the label that names this ConfigMap.

use std::collections::BTreeMap;

use super::groups::Group;
use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{ListId, Snapshot};

/// One change of a group's budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetStep {
    /// Create it, or update this version.
    Write {
        /// The list that gives the budget its name.
        id: ListId,
        max_unavailable: u32,
        /// The version in the snapshot; `None` if there is no budget.
        seen: Option<String>,
    },
    /// Delete it: its group no longer exists, or budgets are switched off.
    Remove { id: ListId, uid: String },
}

/// Plans the changes of all budgets. While some StellarNode cannot be parsed, budgets of missing groups stay.
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
