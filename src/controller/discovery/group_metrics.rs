//! The exported metrics of each group. Pure.

use std::collections::BTreeMap;

use crate::controller::model::snapshot::{Cause, Snapshot};
use crate::controller::peering::groups::{Group, Member};
use crate::controller::peering::lists::ListAction;
use crate::controller::rollout::needs::Need;
use crate::controller::rollout::plan::SlotPlan;
use crate::metrics::GroupMetrics;
use crate::peers::NodeId;

pub fn of_group(
    snapshot: &Snapshot,
    group: &Group<'_>,
    needs: &BTreeMap<NodeId, Vec<Need>>,
    slots: &BTreeMap<String, SlotPlan>,
) -> GroupMetrics {
    let mut pending = BTreeMap::new();
    let own = group.validators.iter().filter_map(|validator| needs.get(&validator.id));
    for need in own.filter_map(|needs| needs.first()) {
        *pending.entry(need.cause.as_str()).or_default() += 1;
    }
    let network = group.network.short_hash();
    let unreadable = snapshot.slots.get(&network).is_some_and(|lease| !lease.readable);
    let own_slots = slots.get(&network);
    let mut stalled = own_slots.into_iter().flat_map(|slots| slots.stalled.keys());
    let votes = |member: &Member<'_>| member.validator.is_voting();
    let named = group.validators.iter().chain(&group.other_network);
    let mut blocked = BTreeMap::new();
    for found in named.clone().filter_map(|validator| validator.blocked()) {
        *blocked.entry(found.reason.into()).or_default() += 1;
    }
    GroupMetrics {
        namespace: group.id.namespace.clone(),
        config_map: group.id.name.clone(),
        peers: group.list.addresses().len(),
        validators: named.filter(|validator| validator.is_wanted()).count(),
        members: group.own_members().count(),
        voting: group.own_members().filter(|member| votes(member)).count(),
        group_members: group.members.len(),
        group_voting: group.members.iter().filter(|member| votes(member)).count(),
        shared_seeds: 0,
        not_ours: group.action == ListAction::NotOurs,
        connected: group.links.is_connected(),
        stalled: unreadable || stalled.any(|list| group.includes(list)),
        pending,
        blocked,
        causes: Cause::ALL.map(Cause::as_str).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::model::options::Options;
    use crate::controller::peering::groups::form;
    use crate::controller::samples::{member, newcomer, pod, published, snapshot};
    use crate::crd::Network;

    #[test]
    fn who_has_not_joined_and_a_list_of_somebody_else_are_seen() {
        let mut never_ready = newcomer("c", "10.0.0.3");
        pod(&mut never_ready).ready = false;
        let mut other = newcomer("d", "10.0.0.4");
        other.network = Network::parse("mainnet");
        let mut suspended = newcomer("e", "10.0.0.5");
        suspended.suspended = true;
        let all = vec![
            member("a", "10.0.0.1"),
            member("b", "10.0.0.2"),
            never_ready,
            other,
            suspended,
        ];
        let mut snapshot = snapshot(all);
        let mut list = published(&[("a", "10.0.0.1"), ("b", "10.0.0.2")]);
        list.ours = false;
        snapshot.lists.insert(snapshot.validators[0].list.clone(), list);
        let groups = form(&snapshot, &Options::default());
        let metrics = of_group(&snapshot, &groups[0], &BTreeMap::new(), &BTreeMap::new());
        assert_eq!((metrics.validators, metrics.members), (4, 2));
        assert!(metrics.not_ours);
    }
}
