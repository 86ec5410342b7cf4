//! The decision of one cycle: snapshot → plan.
//!
//! Pure: no client, no clock, no memory (rule R1). It combines `peering`, `rollout` and `status::peers`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::group_metrics;
use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{AssumedLoad, ListId, MemberRecord, SlotLease, Snapshot, Validator};
use crate::controller::model::times;
use crate::controller::peering::budgets::{self, BudgetStep};
use crate::controller::peering::groups::{self, Group};
use crate::controller::peering::lists::ListAction;
use crate::controller::rollout::needs::{self, Need};
use crate::controller::rollout::plan::SlotPlan;
use crate::controller::rollout::slots;
use crate::controller::status::peers::{self, PeersReport};
use crate::crd::Network;
use crate::metrics::GroupMetrics;
use crate::peers::{NodeId, View};

/// Everything that one cycle writes, in order.
#[derive(Debug, Default)]
pub struct Plan {
    pub records: Vec<RecordWrite>,
    pub lists: Vec<ListWrite>,
    pub removals: Vec<ListRemoval>,
    pub budgets: Vec<BudgetStep>,
    /// Slots and what their holders need, by the network's short hash.
    pub slots: BTreeMap<String, SlotPlan>,
    /// The view that each validator would load after a restart.
    pub views: BTreeMap<NodeId, View>,
    pub reports: BTreeMap<NodeId, PeersReport>,
    pub group_metrics: Vec<GroupMetrics>,
    /// When something may change without an event.
    pub wake: Option<Timestamp>,
}

/// Annotations of a validator's StatefulSet to write.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordWrite {
    pub node: NodeId,
    /// Name of its StatefulSet.
    pub workload: String,
    pub resource_version: String,
    /// Its membership; `None` clears it.
    pub member: Option<MemberRecord>,
    /// What its pod is assumed to have loaded, if the pod does not report it; `None` clears it.
    pub assumed: Option<AssumedLoad>,
}

/// A ConfigMap to write.
#[derive(Clone, Debug, PartialEq)]
pub struct ListWrite {
    pub id: ListId,
    pub network: Network,
    /// Its complete data.
    pub data: BTreeMap<String, String>,
    /// Number of peers in it.
    pub peers: usize,
    /// Whether this repairs a change by another program.
    pub repair: bool,
    /// The members; each gets an Event of a repair.
    pub members: Vec<NodeId>,
}

/// A ConfigMap to remove.
#[derive(Clone, Debug, PartialEq)]
pub struct ListRemoval {
    pub id: ListId,
    /// For the precondition.
    pub uid: String,
}

/// Makes the plan for a snapshot.
pub fn decide(snapshot: &Snapshot, options: &Options) -> Plan {
    let groups = groups::form(snapshot, options);
    let mut plan = Plan::default();
    let mut needs: BTreeMap<NodeId, Vec<Need>> = BTreeMap::new();
    for group in &groups {
        needs.extend(needs::of_group(snapshot, options, group));
        plan.records.extend(records(snapshot, options, group));
        let own = group.validators.iter().map(|validator| &validator.id);
        plan.views
            .extend(own.filter_map(|id| Some((id.clone(), group.views.get(id)?.clone()))));
        if let ListAction::Write { data, repair } = &group.action {
            plan.lists.push(ListWrite {
                id: group.id.clone(),
                network: group.network.clone(),
                data: data.clone(),
                peers: group.list.addresses().len(),
                repair: *repair,
                members: group.own_members().map(|member| member.validator.id.clone()).collect(),
            });
        }
    }
    let abandoned = groups::abandoned(snapshot).into_iter();
    plan.removals = abandoned
        .map(|(id, list)| ListRemoval {
            id: id.clone(),
            uid: list.uid.clone(),
        })
        .collect();
    plan.budgets = budgets::plan(snapshot, options, &groups);
    let unseen = SlotLease {
        resource_version: None,
        readable: true,
        ..SlotLease::default()
    };
    for network in groups::networks(snapshot, &groups) {
        let lease = snapshot.slots.get(&network).unwrap_or(&unseen);
        let slots = slots::plan(snapshot, options, &network, lease, &groups, &needs);
        plan.slots.insert(network, slots);
    }
    for group in &groups {
        let metrics = group_metrics::of_group(snapshot, group, &needs, &plan.slots);
        plan.reports.extend(peers::of_group(
            snapshot,
            options,
            group,
            &needs,
            &plan.slots,
            metrics.connected,
        ));
        plan.group_metrics.push(metrics);
    }
    plan.wake = wake(snapshot, options, &groups, &plan);
    plan
}

fn records(snapshot: &Snapshot, options: &Options, group: &Group<'_>) -> Vec<RecordWrite> {
    let everybody = group.validators.iter().chain(&group.other_network).copied();
    everybody
        .filter_map(|validator| record(snapshot, options, group, validator))
        .collect()
}

fn record(snapshot: &Snapshot, options: &Options, group: &Group<'_>, validator: &Validator) -> Option<RecordWrite> {
    let workload = validator.workload.as_ref().filter(|workload| workload.ours)?;
    let member = groups::membership(validator, snapshot.now, options);
    let assumed = if workload.reports {
        None
    } else {
        assume(snapshot, options, group, validator)
    };
    let changed = member != workload.member || assumed != workload.assumed;
    changed.then(|| RecordWrite {
        node: validator.id.clone(),
        workload: workload.name.clone(),
        resource_version: workload.resource_version.clone(),
        member,
        assumed,
    })
}

/// What a pod without a report has loaded: the present view, if the pod started after the last change of the list or
/// after a restart for that view; else nothing. The answer stays for the life of the pod.
fn assume(snapshot: &Snapshot, options: &Options, group: &Group<'_>, validator: &Validator) -> Option<AssumedLoad> {
    let workload = validator.workload.as_ref()?;
    let Some((pod, started)) = validator.pod.as_ref().and_then(|pod| Some((pod, pod.started?))) else {
        return workload.assumed.clone();
    };
    if workload
        .assumed
        .as_ref()
        .is_some_and(|assumed| assumed.pod_uid == pod.uid)
    {
        return workload.assumed.clone();
    }
    let view = group.views.get(&validator.id)?;
    let published = snapshot
        .lists
        .get(&group.id)
        .and_then(|published| published.list.as_ref());
    let after_change = published.is_some_and(|list| {
        times::is_past(list.version, options.propagation, started) && list.view_of(&validator.id) == *view
    });
    let restarted_for_it = workload
        .last_restart
        .as_ref()
        .is_some_and(|last| last.view == *view && last.at <= started);
    let view = if after_change || restarted_for_it {
        view.clone()
    } else {
        View::empty()
    };
    Some(AssumedLoad {
        pod_uid: pod.uid.clone(),
        view,
    })
}

fn wake(snapshot: &Snapshot, options: &Options, groups: &[Group<'_>], plan: &Plan) -> Option<Timestamp> {
    let grace_ends = groups
        .iter()
        .flat_map(|group| &group.members)
        .filter(|member| member.address.is_some())
        .filter_map(|member| Some(times::later(member.record.lost?, options.grace)));
    let slots = plan.slots.values().filter_map(|slots| slots.wake);
    let members = groups.iter().flat_map(|group| &group.members);
    let votes_at_last = members.filter_map(|member| member.awaited_until(options.join_wait));
    let catch_up = snapshot.validators.iter();
    let caught_up = catch_up.flat_map(|validator| {
        let end = validator.catches_up_until(snapshot.now, options.catch_up);
        let behind = validator.left_behind_from(snapshot.now, options.catch_up);
        end.into_iter().chain(behind)
    });
    let all = grace_ends.chain(slots).chain(votes_at_last).chain(caught_up);
    all.filter(|time| *time > snapshot.now).min()
}
