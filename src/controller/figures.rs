//! What a decision says of each group in numbers, for whoever counts. Pure.

use std::collections::BTreeMap;

use super::groups::Group;
use super::links;
use super::needs::Need;
use super::rollout::{TurnPlan, is_voting};
use super::snapshot::Snapshot;
use crate::peers::NodeId;

/// One group in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFigures {
    /// Namespace of its ConfigMap.
    pub namespace: String,
    /// Name of its ConfigMap.
    pub config_map: String,
    /// Addresses in its list.
    pub peers: usize,
    /// Members that read its ConfigMap.
    pub members: usize,
    /// Those of them that vote.
    pub voting: usize,
    /// Whether its members can all reach each other by what they loaded.
    pub connected: bool,
    /// Whether a restart is not done within its deadline, or who may restart cannot be read.
    pub stalled: bool,
    /// Validators with a reason to be restarted, by the first of their reasons.
    pub pending: BTreeMap<&'static str, usize>,
}

/// The figures of one group.
pub fn of_group(
    snapshot: &Snapshot,
    group: &Group<'_>,
    needs: &BTreeMap<NodeId, Vec<Need>>,
    turns: &BTreeMap<String, TurnPlan>,
) -> GroupFigures {
    let mut pending = BTreeMap::new();
    let own = group.validators.iter().filter_map(|validator| needs.get(&validator.id));
    for need in own.filter_map(|needs| needs.first()) {
        *pending.entry(need.cause.as_str()).or_default() += 1;
    }
    let unreadable = snapshot
        .turns
        .get(&group.network.short_hash())
        .is_some_and(|lease| !lease.readable);
    let mut stalled = turns.values().flat_map(|turns| turns.stalled.keys());
    GroupFigures {
        namespace: group.id.namespace.clone(),
        config_map: group.id.name.clone(),
        peers: group.list.addresses().len(),
        members: group.own_members().count(),
        voting: group.own_members().filter(|member| is_voting(member.validator)).count(),
        connected: links::assess(group).is_connected(),
        stalled: unreadable || stalled.any(|list| group.includes(list)),
        pending,
    }
}
