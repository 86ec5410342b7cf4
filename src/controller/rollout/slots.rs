//! Slots: which validator may go down now. One at a time, only while the others can spare it, whatever the reason (rule
//! R3).
//!
//! Pure. The operator takes and frees a slot by writing the network's Lease. It uses a slot (a [`Step`]) only after it
//! has read the slot from that Lease.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::needs::{Need, Wait};
use super::plan::{PlannedSlots, SlotPlan, Step};
use super::progress::{
    deadline, failed_lately, is_done, is_left_to_a_person, is_triggered, now_votes, served_lately,
    serves_without_voting,
};
use super::unavailable::{members_not_voting, unavailable_others};
use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{Cause, ListId, Slot, SlotLease, Snapshot, Validator, Workload};
use crate::controller::model::times::{is_past, later};
use crate::controller::peering::groups::Group;
use crate::peers::NodeId;

/// How long the operator tries to use a slot. A write that the API server refuses for so long – a policy, a quota,
/// another program's object – needs a person. No pod is down for it, so the other validators go on.
const UNUSED_TIMEOUT: Duration = Duration::from_secs(60);

/// Plans the slots of one network.
///
/// `network` is its short hash, `groups` are all groups, and `needs` are those of all validators.
pub fn plan(
    snapshot: &Snapshot,
    options: &Options,
    network: &str,
    lease: &SlotLease,
    groups: &[Group<'_>],
    needs: &BTreeMap<NodeId, Vec<Need>>,
) -> SlotPlan {
    let mut planner = Planner {
        snapshot,
        options,
        network,
        lease,
        groups,
        needs,
        served: served_lately(&lease.served, snapshot.now),
        plan: SlotPlan::default(),
    };
    if !lease.readable {
        return planner.plan;
    }
    let mut kept: Vec<Slot> = Vec::new();
    for slot in &lease.slots {
        match planner.judge(slot, &lease.slots) {
            Some(slot) => kept.push(slot),
            None => planner.record_served(&slot.node),
        }
    }
    planner.give(&mut kept);
    let joined = joined_lists(network, groups);
    // The age of the Lease limits how long others wait for a pod that may go down. So a missing Lease is created for
    // that.
    let may_go = |validator: &Validator| validator.network.short_hash() == network && validator.is_about_to_go();
    let is_missed =
        lease.resource_version.is_none() && !planner.plan.waiting.is_empty() && snapshot.validators.iter().any(may_go);
    let age = lease.created.map(|created| later(created, options.rollout_deadline));
    age.into_iter().for_each(|end| planner.wake_at(end));
    if kept != lease.slots || joined != lease.joined || is_missed {
        planner.plan.write = Some(PlannedSlots {
            slots: kept,
            served: planner.served,
            joined,
        });
    }
    planner.plan
}

/// The lists of one network that are joined across namespaces.
fn joined_lists(network: &str, groups: &[Group<'_>]) -> BTreeSet<(ListId, ListId)> {
    let of_network = groups.iter().filter(|group| group.network.short_hash() == network);
    let pairs = of_network.flat_map(|group| group.joined.iter().map(|other| (&group.id, *other)));
    pairs
        .map(|(one, other)| (one.min(other).clone(), one.max(other).clone()))
        .collect()
}

struct Planner<'a> {
    snapshot: &'a Snapshot,
    options: &'a Options,
    network: &'a str,
    lease: &'a SlotLease,
    groups: &'a [Group<'a>],
    needs: &'a BTreeMap<NodeId, Vec<Need>>,
    /// When each namespace last got or ended a slot.
    served: BTreeMap<String, Timestamp>,
    plan: SlotPlan,
}

impl<'a> Planner<'a> {
    /// Records that a namespace had a slot now.
    fn record_served(&mut self, node: &NodeId) {
        self.served.insert(node.namespace.clone(), self.snapshot.now);
    }

    /// The next state of a slot; `None` if it has ended.
    fn judge(&mut self, slot: &Slot, all: &[Slot]) -> Option<Slot> {
        let validator = self
            .snapshot
            .validators
            .iter()
            .find(|validator| validator.uid == slot.uid);
        if self.snapshot.unreadable.contains(&slot.node) {
            self.watch_deadline(slot);
            return Some(slot.clone());
        }
        let validator = validator.filter(|validator| validator.is_wanted())?;
        let Some(workload) = &validator.workload else {
            self.watch_deadline(slot);
            return Some(slot.clone());
        };
        if workload.given_back == Some(slot.since) {
            return None;
        }
        let triggered = is_triggered(slot, validator);
        // The holder began to vote after it got its slot. The others depend on it from now on, so the slot must record
        // that before the pod goes down.
        if let Some(slot) = now_votes(slot, validator, triggered) {
            self.watch_deadline(&slot);
            return Some(slot);
        }
        if triggered {
            self.judge_used(slot, validator, workload)
        } else {
            self.judge_unused(slot, validator, workload, all)
        }
    }

    /// An unused slot: the next write. That is its restart; or its return, if the reason or the permission is gone, or
    /// the API server refuses the restart for too long.
    fn judge_unused(&mut self, slot: &Slot, validator: &Validator, workload: &Workload, all: &[Slot]) -> Option<Slot> {
        let unused = is_past(slot.since, UNUSED_TIMEOUT, self.snapshot.now);
        if let Some(step) = self.trigger(slot, validator, all).filter(|_| !unused) {
            self.plan.steps.push(step);
            self.wake_at(later(slot.since, UNUSED_TIMEOUT));
        } else if workload.ours {
            self.plan.steps.push(Step::GiveBack(slot.clone()));
        } else {
            return None;
        }
        self.watch_deadline(slot);
        Some(slot.clone())
    }

    /// A slot in use. It ends when the holder is back in its previous state, and restarts if its spec is reverted.
    fn judge_used(&mut self, slot: &Slot, validator: &Validator, workload: &Workload) -> Option<Slot> {
        // A StatefulSet that is no longer ours is no concern of the slot.
        if !workload.ours
            || is_done(slot, validator, self.snapshot.now, self.options)
            || is_left_to_a_person(slot, validator, self.snapshot.now, self.options)
            || self.waits_for_links(slot, validator)
        {
            return None;
        }
        let pod = validator.pod.as_ref();
        let voting_since = pod.and_then(|pod| pod.voting_since);
        let changed_again = self
            .ready_need(validator, Cause::SpecChanged)
            .filter(|_| voting_since.is_none());
        let lacks_links = self
            .ready_need(validator, Cause::NotLinked)
            .filter(|_| serves_without_voting(slot, validator));
        // A revert of a version that never becomes ready uses the same slot.
        if let Some(need) = changed_again.or(lacks_links) {
            return Some(self.renewed(slot, validator, need));
        }
        let kept = pod.filter(|pod| voting_since.is_none() && !workload.waits_for_person && workload.is_outdated(pod));
        if let Some(pod) = kept {
            self.plan.steps.push(Step::DeletePod {
                node: validator.id.clone(),
                name: pod.name.clone(),
                uid: pod.uid.clone(),
                resource_version: pod.resource_version.clone(),
            });
        }
        if let Some(since) = voting_since {
            self.wake_at(later(since, self.options.min_ready));
            let seen = pod.and_then(|pod| pod.voted_for).unwrap_or_default();
            self.wake_at(later(self.snapshot.now, self.options.min_ready.saturating_sub(seen)));
        }
        self.watch_deadline(slot);
        Some(slot.clone())
    }

    /// Whether the holder's new pod serves and cannot vote until other members of its split group are linked. The slot
    /// then ends. The holder counts as a member that does not vote, so no other voting member goes down meanwhile.
    fn waits_for_links(&self, slot: &Slot, validator: &Validator) -> bool {
        let group = self.groups.iter().find(|group| group.id == slot.group);
        let may_be_linked =
            |other: &Validator| !other.is_voting() && self.ready_need(other, Cause::NotLinked).is_some();
        let mut all = group
            .iter()
            .flat_map(|group| group.validators.iter().chain(&group.remote_members));
        serves_without_voting(slot, validator) && all.any(|other| other.uid != validator.uid && may_be_linked(other))
    }

    /// The need of a validator with this cause, if it waits for nothing.
    fn ready_need(&self, validator: &Validator, cause: Cause) -> Option<&'a Need> {
        let mut needs = self.needs.get(&validator.id)?.iter();
        needs.find(|need| need.cause == cause && need.wait.is_none())
    }

    /// The write for an unused slot; `None` if its reason or permission is gone.
    fn trigger(&self, slot: &Slot, validator: &Validator, all: &[Slot]) -> Option<Step> {
        let need = self
            .needs
            .get(&validator.id)?
            .iter()
            .find(|need| need.cause == slot.cause)?;
        let same_target = slot.cause != Cause::SpecChanged || slot.spec_hash == validator.spec_hash;
        if need.wait.is_some() || !same_target {
            return None;
        }
        let others: Vec<&Slot> = all.iter().filter(|other| other.uid != slot.uid).collect();
        if self.refuses(validator, slot.cause, &others).is_some() {
            return None;
        }
        Some(match slot.cause {
            Cause::SpecChanged => Step::ApplyTemplate(slot.clone()),
            Cause::PeersChanged | Cause::NotLinked => Step::Restart(slot.clone()),
        })
    }

    /// Gives new slots, as many as allowed.
    fn give(&mut self, slots: &mut Vec<Slot>) {
        for (validator, group) in self.candidates() {
            if slots.iter().any(|slot| slot.uid == validator.uid) {
                continue;
            }
            let id = &validator.id;
            let mut refused: Option<String> = None;
            let mut given = None;
            for need in self.needs.get(id).into_iter().flatten() {
                if let Some(wait) = &need.wait {
                    if let Wait::Until(time, _) = wait {
                        self.wake_at(*time);
                    }
                    refused.get_or_insert_with(|| wait.reason().to_owned());
                    continue;
                }
                let others: Vec<&Slot> = slots.iter().collect();
                match self.refuses(validator, need.cause, &others) {
                    None => {
                        given = Some(self.slot_for(validator, group.id.clone(), need));
                        break;
                    }
                    Some(reason) => refused = Some(reason),
                }
            }
            match given {
                Some(slot) => {
                    self.record_served(id);
                    slots.push(slot);
                }
                None => self.plan.waiting.extend(refused.map(|reason| (id.clone(), reason))),
            }
        }
    }

    /// The validators of this network, each with its group, in the order in which they may get a slot. First those
    /// without a recently returned slot, so that a restart that the API server refuses does not take every slot. Then
    /// the namespace whose last slot is the longest ago, so that no tenant takes every slot by asking again. Within it,
    /// validators that do not vote come first: they cost no quorum.
    fn candidates(&self) -> Vec<(&'a Validator, &'a Group<'a>)> {
        let mut candidates = Vec::new();
        for group in self.groups {
            let all = group.validators.iter().chain(&group.other_network).copied();
            let own = all.filter(|validator| validator.network.short_hash() == self.network);
            candidates.extend(own.map(|validator| (validator, group)));
        }
        candidates.sort_by_key(|(validator, _)| {
            let failed_lately = failed_lately(validator, self.snapshot.now);
            let served = self.served.get(&validator.id.namespace);
            (failed_lately, served, validator.is_voting(), &validator.id)
        });
        candidates
    }

    /// The reason why a validator may not go down while others hold these slots; `None` if it may.
    fn refuses(&self, validator: &Validator, cause: Cause, others: &[&Slot]) -> Option<String> {
        let limit = self.options.max_unavailable as usize;
        let is_over = |slot: &Slot| deadline(slot, self.snapshot, self.options) <= self.snapshot.now;
        let group = self.groups.iter().find(|group| group.id == validator.list);
        let is_of_group =
            |slot: &Slot| slot.group == validator.list || group.is_some_and(|group| group.includes(&slot.group));
        // Reconnecting a split group never costs a voter, and a stuck node may be waiting for it.
        let links = cause == Cause::NotLinked && !validator.is_voting();
        let stalled = others.iter().find(|slot| is_of_group(slot) && is_over(slot));
        if let Some(slot) = stalled.filter(|_| !links) {
            return Some(format!(
                "the restart of {} has not ended within its deadline",
                slot.node
            ));
        }
        let active: Vec<&Slot> = others.iter().copied().filter(|slot| !is_over(slot)).collect();
        // Restarts for linking run one after the other within a group: each pod must read the new address of the one
        // before.
        let first = match cause {
            Cause::NotLinked => active.iter().find(|slot| is_of_group(slot)),
            Cause::PeersChanged | Cause::SpecChanged => None,
        };
        if let Some(first) = first.or(active.first().filter(|_| active.len() >= limit)) {
            return Some(format!("it is the slot of {}", first.node));
        }
        if !validator.is_voting() && cause != Cause::PeersChanged {
            return None;
        }
        let Some(group) = group else {
            return Some("its group is not known".to_owned());
        };
        let unavailable = unavailable_others(self.snapshot, self.options, self.lease, validator, others);
        if let Some((node, reason)) = unavailable
            .first()
            .filter(|_| unavailable.len() + active.len() >= limit)
        {
            return Some(format!("it waits for {node}, {reason}"));
        }
        // A validator of another network is no concern of the group's members.
        if group.network != validator.network {
            return None;
        }
        let mut others = group.members.iter().map(|member| member.validator);
        let is_other = |other: &&Validator| other.uid != validator.uid;
        if !validator.is_voting() && !others.any(|other| is_other(&other) && other.is_voting()) {
            return Some("it waits until another member of its group votes".to_owned());
        }
        let not_voting = members_not_voting(self.snapshot, self.options, group, validator, &active);
        (not_voting.len() + unavailable.len() + active.len() >= limit).then(|| match not_voting.into_iter().next() {
            Some(member) => format!("it waits for {member}: the others cannot spare two"),
            None => "its group cannot spare another member".to_owned(),
        })
    }

    /// Continues the holder's slot for another need. The others still miss the holder, and the deadline stays.
    fn renewed(&mut self, slot: &Slot, validator: &Validator, need: &Need) -> Slot {
        let renewed = Slot {
            voting: slot.voting,
            began: Some(slot.began()),
            ..self.slot_for(validator, slot.group.clone(), need)
        };
        self.watch_deadline(&renewed);
        renewed
    }

    fn slot_for(&self, validator: &Validator, group: ListId, need: &Need) -> Slot {
        Slot {
            node: validator.id.clone(),
            uid: validator.uid.clone(),
            group,
            since: self.snapshot.now,
            began: None,
            cause: need.cause,
            spec_hash: validator.spec_hash.clone().filter(|_| need.cause == Cause::SpecChanged),
            pod_uid: validator.pod.as_ref().map(|pod| pod.uid.clone()),
            voting: validator.is_voting(),
        }
    }

    fn watch_deadline(&mut self, slot: &Slot) {
        let end = deadline(slot, self.snapshot, self.options);
        if end <= self.snapshot.now {
            self.plan.stalled.insert(slot.group.clone(), slot.node.clone());
        } else {
            self.wake_at(end);
        }
    }

    fn wake_at(&mut self, time: Timestamp) {
        if time > self.snapshot.now {
            self.plan.wake = Some(self.plan.wake.map_or(time, |wake| wake.min(time)));
        }
    }
}
