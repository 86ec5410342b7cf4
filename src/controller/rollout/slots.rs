//! Slots: who may go down now. One at a time, only while the others can spare it, whatever the reason (rule R3).
//!
//! Pure. A slot is taken and freed by writing the Lease of the network; what is done with a slot (a [`Step`]) is
//! decided only for slots that the Lease is seen to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::needs::{Need, Wait};
use super::plan::{PlannedSlots, SlotPlan, Step};
use super::progress::{
    deadline, failed_lately, is_done, is_left_to_a_person, is_triggered, now_votes, served_lately, serves_alone,
};
use super::silent::{gone_beside, silent_members};
use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{Cause, ListId, Slot, SlotLease, Snapshot, Validator, Workload};
use crate::controller::model::times::{is_past, later};
use crate::controller::peering::groups::Group;
use crate::peers::NodeId;

/// How long it is tried to use a slot. What the API server refuses for so long – a policy, a quota, somebody else's
/// object – waits for a person, and nobody is down for it: the others go on.
const UNUSED: Duration = Duration::from_secs(60);
/// Plans the slots of one network.
///
/// `network` is its short hash; `groups` are all groups, `needs` those of all validators.
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
            None => planner.serve(&slot.node),
        }
    }
    planner.give(&mut kept);
    let joined = joined_lists(network, groups);
    // From the age of the Lease follows how long others wait for a pod that may go: it is made for that, where there is
    // none.
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

/// Who may get a slot.
struct Candidate<'a> {
    validator: &'a Validator,
    group: &'a Group<'a>,
    /// Whether it gave a slot back a while ago, because its restart could not be written.
    failed_lately: bool,
}

impl<'a> Planner<'a> {
    /// Remembers that a namespace had a slot now.
    fn serve(&mut self, node: &NodeId) {
        self.served.insert(node.namespace.clone(), self.snapshot.now);
    }

    /// The slot as it goes on; `None` if it is over.
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
        // It began to vote after it got its slot: the others miss it from now on, and the slot has to say so before it
        // goes down.
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

    /// A slot in which nothing is written yet: its write, or its end where the reason or the leave for it is gone, or
    /// the write is refused again and again.
    fn judge_unused(&mut self, slot: &Slot, validator: &Validator, workload: &Workload, all: &[Slot]) -> Option<Slot> {
        let unused = is_past(slot.since, UNUSED, self.snapshot.now);
        if let Some(step) = self.trigger(slot, validator, all).filter(|_| !unused) {
            self.plan.steps.push(step);
            self.wake_at(later(slot.since, UNUSED));
        } else if workload.ours {
            self.plan.steps.push(Step::GiveBack(slot.clone()));
        } else {
            return None;
        }
        self.watch_deadline(slot);
        Some(slot.clone())
    }

    /// A slot in which the holder goes down and comes up: over when it does what it did before, anew when its spec is
    /// taken back.
    fn judge_used(&mut self, slot: &Slot, validator: &Validator, workload: &Workload) -> Option<Slot> {
        // One that was taken out of our hands is waited for by nobody; what it does then is somebody else's.
        if !workload.ours
            || is_done(slot, validator, self.snapshot.now, self.options)
            || is_left_to_a_person(slot, validator, self.snapshot.now, self.options)
            || self.waits_for_links(slot, validator)
        {
            return None;
        }
        let pod = validator.pod.as_ref();
        let voting_since = pod.and_then(|pod| pod.voting_since);
        let mut needs = self.needs.get(&validator.id).into_iter().flatten();
        let changed_again = needs.find(|need| need.cause == Cause::SpecChanged && need.wait.is_none());
        if let Some(need) = changed_again.filter(|_| voting_since.is_none()) {
            // A version that never becomes ready is taken back under the slot that it holds.
            return Some(self.renewed(slot, validator, need));
        }
        let mut needs = self.needs.get(&validator.id).into_iter().flatten();
        let lacks_links = needs.find(|need| need.cause == Cause::NotLinked && need.wait.is_none());
        if let Some(need) = lacks_links.filter(|_| serves_alone(slot, validator)) {
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

    /// Whether the holder's new pod serves and cannot vote, for its group has lost itself and others of it have to be
    /// linked first. Without its slot it is one that does not vote: for its sake, too, nobody else that votes goes
    /// down.
    fn waits_for_links(&self, slot: &Slot, validator: &Validator) -> bool {
        let group = self.groups.iter().find(|group| group.id == slot.group);
        let may_be_linked = |other: &Validator| {
            let mut needs = self.needs.get(&other.id).into_iter().flatten();
            !other.is_voting() && needs.any(|need| need.cause == Cause::NotLinked && need.wait.is_none())
        };
        let mut everybody = group
            .iter()
            .flat_map(|group| group.validators.iter().chain(&group.remote_members));
        serves_alone(slot, validator) && everybody.any(|other| other.uid != validator.uid && may_be_linked(other))
    }

    /// What to do for a slot that was taken while nothing is written yet; `None` if the reason or the leave for it is
    /// gone.
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

    /// Gives new slots, as many as there may be.
    fn give(&mut self, slots: &mut Vec<Slot>) {
        for Candidate { validator, group, .. } in self.candidates() {
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
                    self.serve(id);
                    slots.push(slot);
                }
                None => self.plan.waiting.extend(refused.map(|reason| (id.clone(), reason))),
            }
        }
    }

    /// The validators of this network in the order in which they are considered. Those that do not vote come first,
    /// they cost nobody; those whose restart could not be written a while ago come last, or one that cannot be would
    /// take every slot. Of several namespaces the one comes first that had no slot for the longest time: nobody takes
    /// every slot by asking again.
    fn candidates(&self) -> Vec<Candidate<'a>> {
        let mut candidates = Vec::new();
        for group in self.groups {
            let everybody = group.validators.iter().chain(&group.other_network).copied();
            for validator in everybody.filter(|validator| validator.network.short_hash() == self.network) {
                candidates.push(Candidate {
                    validator,
                    group,
                    failed_lately: failed_lately(validator, self.snapshot.now),
                });
            }
        }
        candidates.sort_by_key(|one| {
            let served = self.served.get(&one.validator.id.namespace);
            (one.failed_lately, served, one.validator.is_voting(), &one.validator.id)
        });
        candidates
    }

    /// Why a validator may not go down now, beside the slots that others hold; `None` if it may.
    fn refuses(&self, validator: &Validator, cause: Cause, others: &[&Slot]) -> Option<String> {
        let limit = self.options.max_unavailable as usize;
        let is_over = |slot: &Slot| deadline(slot, self.snapshot, self.options) <= self.snapshot.now;
        let group = self.groups.iter().find(|group| group.id == validator.list);
        let is_of_group =
            |slot: &Slot| slot.group == validator.list || group.is_some_and(|group| group.includes(&slot.group));
        // What links a group that lost itself costs nobody, and whoever does not come up may need just that.
        let links = cause == Cause::NotLinked && !validator.is_voting();
        let stalled = others.iter().find(|slot| is_of_group(slot) && is_over(slot));
        if let Some(slot) = stalled.filter(|_| !links) {
            return Some(format!(
                "the restart of {} has not ended within its deadline",
                slot.node
            ));
        }
        let active: Vec<&Slot> = others.iter().copied().filter(|slot| !is_over(slot)).collect();
        // Whoever restarts to be linked has to read the new address of whoever restarts before it.
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
        let gone = gone_beside(self.snapshot, self.options, self.lease, validator, others);
        if let Some((who, why)) = gone.first().filter(|_| gone.len() + active.len() >= limit) {
            return Some(format!("it waits for {who}, {why}"));
        }
        // A validator that was left out of the group is no concern of its members.
        if group.network != validator.network {
            return None;
        }
        let mut others = group.members.iter().map(|member| member.validator);
        let is_other = |other: &&Validator| other.uid != validator.uid;
        if !validator.is_voting() && !others.any(|other| is_other(&other) && other.is_voting()) {
            return Some("it waits until another member of its group votes".to_owned());
        }
        let silent = silent_members(self.snapshot, self.options, group, validator, &active);
        (silent.len() + gone.len() + active.len() >= limit).then(|| match silent.into_iter().next() {
            Some(silent) => format!("it waits for {silent}: the others cannot spare two"),
            None => "its group can spare nobody beside those that holds the slot".to_owned(),
        })
    }

    /// The slot that its holder has goes on, for another need: the others go on missing it, and its deadline is the
    /// same.
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
