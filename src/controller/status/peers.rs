//! The peer status of a validator: conditions and `status.peers`, as a pure function of the decision.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::controller::model::conditions::{
    Finding, Joined, PeerGroupJoined, PeersReady, RolloutStalled, UpdatePending, Voting,
};
use crate::controller::model::options::{Options, RestartMode};
use crate::controller::model::snapshot::{Blocked, Cause, Snapshot, Validator};
use crate::controller::peering::groups::{Group, Member};
use crate::controller::peering::lists::ListAction;
use crate::controller::rollout::needs::{Need, Wait, loaded_view};
use crate::controller::rollout::plan::SlotPlan;
use crate::controller::rollout::progress;
use crate::crd::{LostAddress, PeersStatus};
use crate::labels;
use crate::peers::{NodeId, Report};

/// The report of discovery and rollout on one validator.
#[derive(Clone, Debug, PartialEq)]
pub struct PeersReport {
    pub peers: PeersStatus,
    /// The conditions that discovery and rollout own.
    pub conditions: Vec<Finding>,
}

/// The reports of all validators of a group, those of another network included. `connected` tells whether all members
/// can reach each other.
pub fn of_group(
    snapshot: &Snapshot,
    options: &Options,
    group: &Group<'_>,
    needs: &BTreeMap<NodeId, Vec<Need>>,
    plans: &BTreeMap<String, SlotPlan>,
    connected: bool,
) -> BTreeMap<NodeId, PeersReport> {
    let linking_action = linking_action(options, group, needs, plans);
    let all = group.validators.iter().chain(&group.other_network);
    let reports = all.map(|validator| {
        // A validator of another network gets its slots in the queue of its own network.
        let network = validator.network.short_hash();
        let slot_plan = plans.get(&network);
        let lease = snapshot.slots.get(&network);
        let slot = lease.and_then(|lease| lease.slots.iter().find(|slot| slot.uid == validator.uid));
        let waiting = slot_plan.and_then(|plan| plan.waiting.get(&validator.id));
        let subject = Subject {
            group,
            links: if connected { None } else { Some(linking_action.as_str()) },
            catches_up: validator.catches_up_until(snapshot.now, options.catch_up),
            left_behind: validator
                .left_behind_from(snapshot.now, options.catch_up)
                .is_some_and(|from| from <= snapshot.now),
            validator,
            needs: needs.get(&validator.id).map_or(&[][..], |needs| &needs[..]),
            waiting: waiting.map(String::as_str),
            has_slot: slot.is_some(),
            fails: slot.is_some_and(|slot| {
                progress::failed_lately(validator, snapshot.now) && !progress::is_triggered(slot, validator)
            }),
            slots: slot_plan,
            broken_lease: lease
                .filter(|lease| !lease.readable)
                .map(|_| labels::slots_lease_name(&network)),
        };
        (validator.id.clone(), subject.report())
    });
    reports.collect()
}

/// One validator and the decisions about it.
struct Subject<'a> {
    group: &'a Group<'a>,
    /// The action that connects its group; `None` if the group is connected.
    links: Option<&'a str>,
    /// The time until which it is expected to start voting.
    catches_up: Option<Timestamp>,
    /// Whether it serves its peers, and has not voted for longer than the next checkpoint takes.
    left_behind: bool,
    validator: &'a Validator,
    needs: &'a [Need],
    waiting: Option<&'a str>,
    has_slot: bool,
    /// Whether nothing is written in its slot yet, and it returned its last slot unused.
    fails: bool,
    slots: Option<&'a SlotPlan>,
    /// The name of its network's Lease, if that cannot be parsed.
    broken_lease: Option<String>,
}

impl Subject<'_> {
    fn report(&self) -> PeersReport {
        let member = self.group.member(self.validator);
        let mut conditions = vec![self.voting(), self.peers_ready(member), self.update_pending()];
        // A validator of another network than its list has no membership to report.
        if !self.is_of_another_network() {
            conditions.push(self.joined(member));
            conditions.extend(self.joined_with());
        }
        conditions.extend(self.blocked());
        conditions.extend(self.stalled());
        PeersReport {
            peers: self.peers(member),
            conditions,
        }
    }

    fn is_of_another_network(&self) -> bool {
        self.validator.network != self.group.network
    }

    fn blocked(&self) -> Option<Finding> {
        let Blocked {
            reason,
            message,
            passes,
        } = self.validator.blocked()?;
        let finding = Finding::new(*reason, true, message.clone());
        Some(if *passes { finding } else { finding.warning() })
    }

    fn stalled(&self) -> Option<Finding> {
        if let Some(lease) = &self.broken_lease {
            let message =
                format!("the Lease {lease} cannot be read: no validator on this network restarts until it is deleted");
            return Some(Finding::new(RolloutStalled::TurnsUnreadable, true, message).warning());
        }
        let mut stalled = self.slots?.stalled.iter();
        let (_, holder) = stalled.find(|(list, _)| self.group.includes(list))?;
        let message = format!(
            "the restart of {holder} has not ended within its deadline: no other restarts in its group until it does"
        );
        Some(Finding::new(RolloutStalled::DeadlineExceeded, true, message).warning())
    }

    fn peers(&self, member: Option<&Member<'_>>) -> PeersStatus {
        let pod = self.validator.pod.as_ref();
        let loaded = match pod.and_then(|pod| pod.report.as_ref()) {
            Some(Report::Loaded { peers: Some(peers), .. }) => i32::try_from(peers.len()).ok(),
            _ => None,
        };
        let known = self.group.list.count_others(&self.validator.id);
        let need = self.needs.first();
        PeersStatus {
            address: member.and_then(|member| member.address.clone()),
            lost: member.and_then(lost),
            known: if member.is_some() {
                i32::try_from(known).unwrap_or(i32::MAX)
            } else {
                0
            },
            loaded,
            pending_restart: need.map(|need| need.cause.as_str().to_owned()),
            pending_hash: need.map(|need| need.hash.clone()),
        }
    }

    fn joined(&self, member: Option<&Member<'_>>) -> Finding {
        match member {
            Some(member) => Finding::new(Joined::Ready, true, format!("joined at {}", member.record.joined)),
            None if self.validator.suspended => Finding::new(Joined::Suspended, false, "it is suspended"),
            None => Finding::new(Joined::NeverReady, false, "its pod has not been ready yet"),
        }
    }

    /// Whether its group is joined with the namespaces that it names; `None` if it names none.
    fn joined_with(&self) -> Option<Finding> {
        let wanted = self.validator.peer_group.as_ref()?;
        let own = &self.validator.id.namespace;
        let is_joined = |namespace: &&String| self.group.joined.iter().any(|list| list.namespace == **namespace);
        let missing: Vec<&str> = wanted
            .namespaces
            .iter()
            .filter(|namespace| *namespace != own && !is_joined(namespace))
            .map(String::as_str)
            .collect();
        Some(if missing.is_empty() {
            let message = format!("group {} reaches over all namespaces that it names", wanted.name);
            Finding::new(PeerGroupJoined::Joined, true, message)
        } else {
            let message = format!(
                "not joined with {}: a validator on this network there has to list {own} under the name {}, the operator to \
                 watch it and to run with --cross-namespace-groups",
                missing.join(", "),
                wanted.name
            );
            Finding::new(PeerGroupJoined::NoConsent, false, message)
        })
    }

    fn voting(&self) -> Finding {
        if self.validator.is_voting() {
            return Finding::new(Voting::PodReady, true, "its pod is Ready");
        }
        if let Some(end) = self.catches_up {
            let message = format!(
                "its stellar-core serves its peers and does not vote yet: it waits for a quorum of them, or for the next checkpoint \
                 in a history archive; from {end} on it counts as one that does not vote"
            );
            return Finding::new(Voting::CatchingUp, false, message);
        }
        if self.left_behind && self.others_vote() {
            let message = "its stellar-core serves its peers and has not voted for longer than the next checkpoint takes, while others \
                           of its network do. Either no archive that it reads answers or has the ledgers after its own last one, or \
                           its quorum set is not met; its log says which. Where that ledger lies before the first checkpoint of every \
                           archive, wipe its volume: docs/archives.md, \"One that stays behind\"";
            return Finding::new(Voting::LeftBehind, false, message).warning();
        }
        let message = match self.validator.pod.as_ref().filter(|pod| pod.ready && !pod.deleting) {
            Some(_) => "its stellar-core serves its peers and does not vote: its log says what it waits for",
            None => "its pod is not Ready",
        };
        Finding::new(Voting::PodNotReady, false, message)
    }

    /// Whether other validators of its group and network vote: the network then has ledgers that it lacks.
    fn others_vote(&self) -> bool {
        let Group {
            validators,
            remote_members,
            other_network,
            ..
        } = self.group;
        let mut all = validators.iter().chain(remote_members).chain(other_network);
        all.any(|other| other.id != self.validator.id && other.network == self.validator.network && other.is_voting())
    }

    fn peers_ready(&self, member: Option<&Member<'_>>) -> Finding {
        if self.is_of_another_network() {
            let message = format!(
                "ConfigMap {} serves {}, and this validator is on {}: give it another validatorConfig.knownPeersRef.name",
                self.group.id.name,
                self.group.network.display_name(),
                self.validator.network.display_name(),
            );
            return Finding::new(PeersReady::NetworkConflict, false, message).warning();
        }
        if self.group.action == ListAction::NotOurs {
            let message = format!(
                "ConfigMap {} is not managed by {}: rename it, or give another validatorConfig.knownPeersRef.name",
                self.group.id.name,
                labels::OPERATOR
            );
            return Finding::new(PeersReady::NotOurs, false, message).warning();
        }
        if member.is_none() {
            return Finding::new(
                PeersReady::NotJoined,
                false,
                "it is not a member of its group".to_owned(),
            );
        }
        let pending = self.needs.iter().find(|need| need.cause != Cause::SpecChanged);
        if let Some(need) = pending {
            let wait = need.wait.as_ref().map(Wait::reason).or(self.waiting);
            let what = match need.cause {
                Cause::NotLinked => "its group is not connected, and it has to load the list again",
                Cause::PeersChanged | Cause::SpecChanged => "the members of its group changed since it started",
            };
            let message = match wait {
                Some(wait) if !self.has_slot => format!("{what}; {wait}"),
                _ => format!("{what}; it is being restarted"),
            };
            return Finding::new(PeersReady::RestartPending, false, message);
        }
        let loaded = loaded_view(self.validator);
        if let Some(linking_action) = self.links.filter(|_| loaded.is_some()) {
            let message = format!(
                "not all members of its group vote or can reach each other by the addresses that they loaded; {linking_action}"
            );
            return Finding::new(PeersReady::NotConnected, false, message);
        }
        match loaded {
            Some(view) if Some(view) == self.group.views.get(&self.validator.id) => Finding::new(
                PeersReady::Loaded,
                true,
                "its pod loaded all members of its group".to_owned(),
            ),
            Some(_) => Finding::new(
                PeersReady::Linked,
                true,
                "its pod loaded an older list, and its group is connected".to_owned(),
            ),
            None if self
                .validator
                .pod
                .as_ref()
                .is_some_and(|pod| pod.report == Some(Report::Unreadable)) =>
            {
                let message = "its pod could not read the list of peers and runs with its own knownPeers: delete the pod to try again";
                Finding::new(PeersReady::ListUnreadable, false, message.to_owned()).warning()
            }
            None => Finding::new(
                PeersReady::NotReported,
                false,
                "its pod has not reported yet what it loaded".to_owned(),
            ),
        }
    }

    fn update_pending(&self) -> Finding {
        match self.needs.iter().find(|need| need.cause == Cause::SpecChanged) {
            None => Finding::new(UpdatePending::UpToDate, false, "its pod template is that of its spec"),
            Some(_) if self.fails => Finding::new(
                UpdatePending::NotWritten,
                true,
                "its last slot ended with nothing written, and it is tried again; what the API server refused is in its Events",
            ),
            Some(_) if self.has_slot => {
                Finding::new(UpdatePending::Rolling, true, "its new pod template is being rolled out")
            }
            Some(need) => {
                let wait = need
                    .wait
                    .as_ref()
                    .map(Wait::reason)
                    .or(self.waiting)
                    .unwrap_or("it waits for its slot");
                let reason = match need.wait {
                    Some(Wait::ForPerson(_)) => UpdatePending::WaitsForPerson,
                    _ => UpdatePending::WaitsForTurn,
                };
                Finding::new(reason, true, format!("its spec changed; {wait}"))
            }
        }
    }
}

/// The action that connects a group that is not connected: the next validator to restart, and the reason why it waits.
fn linking_action(
    options: &Options,
    group: &Group<'_>,
    needs: &BTreeMap<NodeId, Vec<Need>>,
    plans: &BTreeMap<String, SlotPlan>,
) -> String {
    if options.restart == RestartMode::Never {
        return "no validator is restarted for it, because of --restart never".to_owned();
    }
    let all = group.validators.iter().chain(&group.remote_members);
    let mut needs: Vec<(&NodeId, &Need)> = all
        .filter_map(|validator| {
            let mut needs = needs.get(&validator.id)?.iter();
            Some((&validator.id, needs.find(|need| need.cause == Cause::NotLinked)?))
        })
        .collect();
    // First the needs that wait for nothing, then those that wait for a time.
    needs.sort_by_key(|(_, need)| match &need.wait {
        None => (0, Timestamp::MIN),
        Some(Wait::Until(time, _)) => (1, *time),
        Some(Wait::For(_) | Wait::ForPerson(_)) => (2, Timestamp::MAX),
    });
    let Some((node, need)) = needs.first() else {
        return "no member that lacks links may be restarted for it".to_owned();
    };
    let network = group.network.short_hash();
    let no_slot = || plans.get(&network)?.waiting.get(*node).map(String::as_str);
    match need.wait.as_ref().map(Wait::reason).or_else(no_slot) {
        Some(wait) => format!("{node} is to be restarted for it; {wait}"),
        None => format!("{node} is being restarted for it"),
    }
}

/// A member's last address, and since when it has no pod there, in whole seconds. The StatefulSet remembers both, but
/// may be deleted; after the grace period the list no longer has the address either.
fn lost(member: &Member<'_>) -> Option<LostAddress> {
    let workload = member.validator.workload.as_ref();
    if member.address.is_some() && workload.is_some_and(|workload| workload.ours) {
        return None;
    }
    let since = Timestamp::from_second(member.record.lost?.as_second()).ok()?;
    Some(LostAddress {
        address: member.record.address.clone(),
        since: Time(since),
    })
}
