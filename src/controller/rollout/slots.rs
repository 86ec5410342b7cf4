//! Turns: who may go down now. One at a time, only while the others can spare it, whatever the reason (rule R3).
//!
//! Pure. A turn is taken and freed by writing the Lease of the network; what is done with a turn (a [`Step`]) is
//! decided only for turns that the Lease is seen to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::needs::{Need, Wait};
use super::plan::{PlannedTurns, Step, TurnPlan};
use super::silent::{gone_beside, silent_members};
use super::turns::{
    deadline, failed_lately, is_done, is_left_to_a_person, is_triggered, now_votes, served_lately, serves_alone,
};
use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{Cause, ListId, Snapshot, Turn, TurnLease, Validator, Workload};
use crate::controller::model::times::{is_past, later};
use crate::controller::peering::groups::Group;
use crate::peers::NodeId;

/// How long it is tried to use a turn. What the API server refuses for so long – a policy, a quota, somebody else's
/// object – waits for a person, and nobody is down for it: the others go on.
const UNUSED: Duration = Duration::from_secs(60);
/// Plans the turns of one network.
///
/// `network` is its short hash; `groups` are all groups, `needs` those of all validators.
pub fn plan(
    snapshot: &Snapshot,
    options: &Options,
    network: &str,
    lease: &TurnLease,
    groups: &[Group<'_>],
    needs: &BTreeMap<NodeId, Vec<Need>>,
) -> TurnPlan {
    let mut planner = Planner {
        snapshot,
        options,
        network,
        lease,
        groups,
        needs,
        served: served_lately(&lease.served, snapshot.now),
        plan: TurnPlan::default(),
    };
    if !lease.readable {
        return planner.plan;
    }
    let mut kept: Vec<Turn> = Vec::new();
    for turn in &lease.turns {
        match planner.judge(turn, &lease.turns) {
            Some(turn) => kept.push(turn),
            None => planner.serve(&turn.node),
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
    if kept != lease.turns || joined != lease.joined || is_missed {
        planner.plan.write = Some(PlannedTurns {
            turns: kept,
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
    lease: &'a TurnLease,
    groups: &'a [Group<'a>],
    needs: &'a BTreeMap<NodeId, Vec<Need>>,
    /// When each namespace last got or ended a turn.
    served: BTreeMap<String, Timestamp>,
    plan: TurnPlan,
}

/// Who may get a turn.
struct Candidate<'a> {
    validator: &'a Validator,
    group: &'a Group<'a>,
    /// Whether it gave a turn back a while ago, because its restart could not be written.
    failed_lately: bool,
}

impl<'a> Planner<'a> {
    /// Remembers that a namespace had a turn now.
    fn serve(&mut self, node: &NodeId) {
        self.served.insert(node.namespace.clone(), self.snapshot.now);
    }

    /// The turn as it goes on; `None` if it is over.
    fn judge(&mut self, turn: &Turn, all: &[Turn]) -> Option<Turn> {
        let validator = self
            .snapshot
            .validators
            .iter()
            .find(|validator| validator.uid == turn.uid);
        if self.snapshot.unreadable.contains(&turn.node) {
            self.watch_deadline(turn);
            return Some(turn.clone());
        }
        let validator = validator.filter(|validator| validator.is_wanted())?;
        let Some(workload) = &validator.workload else {
            self.watch_deadline(turn);
            return Some(turn.clone());
        };
        if workload.given_back == Some(turn.since) {
            return None;
        }
        let triggered = is_triggered(turn, validator);
        // It began to vote after it got its turn: the others miss it from now on, and the turn has to say so before it
        // goes down.
        if let Some(turn) = now_votes(turn, validator, triggered) {
            self.watch_deadline(&turn);
            return Some(turn);
        }
        if triggered {
            self.judge_used(turn, validator, workload)
        } else {
            self.judge_unused(turn, validator, workload, all)
        }
    }

    /// A turn in which nothing is written yet: its write, or its end where the reason or the leave for it is gone, or
    /// the write is refused again and again.
    fn judge_unused(&mut self, turn: &Turn, validator: &Validator, workload: &Workload, all: &[Turn]) -> Option<Turn> {
        let unused = is_past(turn.since, UNUSED, self.snapshot.now);
        if let Some(step) = self.trigger(turn, validator, all).filter(|_| !unused) {
            self.plan.steps.push(step);
            self.wake_at(later(turn.since, UNUSED));
        } else if workload.ours {
            self.plan.steps.push(Step::GiveBack(turn.clone()));
        } else {
            return None;
        }
        self.watch_deadline(turn);
        Some(turn.clone())
    }

    /// A turn in which the holder goes down and comes up: over when it does what it did before, anew when its spec is
    /// taken back.
    fn judge_used(&mut self, turn: &Turn, validator: &Validator, workload: &Workload) -> Option<Turn> {
        // One that was taken out of our hands is waited for by nobody; what it does then is somebody else's.
        if !workload.ours
            || is_done(turn, validator, self.snapshot.now, self.options)
            || is_left_to_a_person(turn, validator, self.snapshot.now, self.options)
            || self.waits_for_links(turn, validator)
        {
            return None;
        }
        let pod = validator.pod.as_ref();
        let voting_since = pod.and_then(|pod| pod.voting_since);
        let mut needs = self.needs.get(&validator.id).into_iter().flatten();
        let changed_again = needs.find(|need| need.cause == Cause::SpecChanged && need.wait.is_none());
        if let Some(need) = changed_again.filter(|_| voting_since.is_none()) {
            // A version that never becomes ready is taken back under the turn that it holds.
            return Some(self.renewed(turn, validator, need));
        }
        let mut needs = self.needs.get(&validator.id).into_iter().flatten();
        let lacks_links = needs.find(|need| need.cause == Cause::NotLinked && need.wait.is_none());
        if let Some(need) = lacks_links.filter(|_| serves_alone(turn, validator)) {
            return Some(self.renewed(turn, validator, need));
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
        self.watch_deadline(turn);
        Some(turn.clone())
    }

    /// Whether the holder's new pod serves and cannot vote, for its group has lost itself and others of it have to be
    /// linked first. Without its turn it is one that does not vote: for its sake, too, nobody else that votes goes
    /// down.
    fn waits_for_links(&self, turn: &Turn, validator: &Validator) -> bool {
        let group = self.groups.iter().find(|group| group.id == turn.group);
        let may_be_linked = |other: &Validator| {
            let mut needs = self.needs.get(&other.id).into_iter().flatten();
            !other.is_voting() && needs.any(|need| need.cause == Cause::NotLinked && need.wait.is_none())
        };
        let mut everybody = group
            .iter()
            .flat_map(|group| group.validators.iter().chain(&group.guests));
        serves_alone(turn, validator) && everybody.any(|other| other.uid != validator.uid && may_be_linked(other))
    }

    /// What to do for a turn that was taken while nothing is written yet; `None` if the reason or the leave for it is
    /// gone.
    fn trigger(&self, turn: &Turn, validator: &Validator, all: &[Turn]) -> Option<Step> {
        let need = self
            .needs
            .get(&validator.id)?
            .iter()
            .find(|need| need.cause == turn.cause)?;
        let same_target = turn.cause != Cause::SpecChanged || turn.spec_hash == validator.spec_hash;
        if need.wait.is_some() || !same_target {
            return None;
        }
        let others: Vec<&Turn> = all.iter().filter(|other| other.uid != turn.uid).collect();
        if self.refuses(validator, turn.cause, &others).is_some() {
            return None;
        }
        Some(match turn.cause {
            Cause::SpecChanged => Step::ApplyTemplate(turn.clone()),
            Cause::PeersChanged | Cause::NotLinked => Step::Restart(turn.clone()),
        })
    }

    /// Gives new turns, as many as there may be.
    fn give(&mut self, turns: &mut Vec<Turn>) {
        for Candidate { validator, group, .. } in self.candidates() {
            if turns.iter().any(|turn| turn.uid == validator.uid) {
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
                let others: Vec<&Turn> = turns.iter().collect();
                match self.refuses(validator, need.cause, &others) {
                    None => {
                        given = Some(self.turn_for(validator, group.id.clone(), need));
                        break;
                    }
                    Some(reason) => refused = Some(reason),
                }
            }
            match given {
                Some(turn) => {
                    self.serve(id);
                    turns.push(turn);
                }
                None => self.plan.waiting.extend(refused.map(|reason| (id.clone(), reason))),
            }
        }
    }

    /// The validators of this network in the order in which they are considered. Those that do not vote come first,
    /// they cost nobody; those whose restart could not be written a while ago come last, or one that cannot be would
    /// take every turn. Of several namespaces the one comes first that had no turn for the longest time: nobody takes
    /// every turn by asking again.
    fn candidates(&self) -> Vec<Candidate<'a>> {
        let mut candidates = Vec::new();
        for group in self.groups {
            let everybody = group.validators.iter().chain(&group.strangers).copied();
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

    /// Why a validator may not go down now, beside the turns that others hold; `None` if it may.
    fn refuses(&self, validator: &Validator, cause: Cause, others: &[&Turn]) -> Option<String> {
        let limit = self.options.max_unavailable as usize;
        let is_over = |turn: &Turn| deadline(turn, self.snapshot, self.options) <= self.snapshot.now;
        let group = self.groups.iter().find(|group| group.id == validator.list);
        let is_of_group =
            |turn: &Turn| turn.group == validator.list || group.is_some_and(|group| group.includes(&turn.group));
        // What links a group that lost itself costs nobody, and whoever does not come up may need just that.
        let links = cause == Cause::NotLinked && !validator.is_voting();
        let stalled = others.iter().find(|turn| is_of_group(turn) && is_over(turn));
        if let Some(turn) = stalled.filter(|_| !links) {
            return Some(format!(
                "the restart of {} has not ended within its deadline",
                turn.node
            ));
        }
        let active: Vec<&Turn> = others.iter().copied().filter(|turn| !is_over(turn)).collect();
        // Whoever restarts to be linked has to read the new address of whoever restarts before it.
        let first = match cause {
            Cause::NotLinked => active.iter().find(|turn| is_of_group(turn)),
            Cause::PeersChanged | Cause::SpecChanged => None,
        };
        if let Some(first) = first.or(active.first().filter(|_| active.len() >= limit)) {
            return Some(format!("it is the turn of {}", first.node));
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
            None => "its group can spare nobody beside those whose turn it is".to_owned(),
        })
    }

    /// The turn that its holder has goes on, for another need: the others go on missing it, and its deadline is the
    /// same.
    fn renewed(&mut self, turn: &Turn, validator: &Validator, need: &Need) -> Turn {
        let renewed = Turn {
            voting: turn.voting,
            began: Some(turn.began()),
            ..self.turn_for(validator, turn.group.clone(), need)
        };
        self.watch_deadline(&renewed);
        renewed
    }

    fn turn_for(&self, validator: &Validator, group: ListId, need: &Need) -> Turn {
        Turn {
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

    fn watch_deadline(&mut self, turn: &Turn) {
        let end = deadline(turn, self.snapshot, self.options);
        if end <= self.snapshot.now {
            self.plan.stalled.insert(turn.group.clone(), turn.node.clone());
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
