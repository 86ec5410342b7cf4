//! What a validator is told about its peers: conditions and `status.peers`, as a pure function of the decision.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::groups::{Group, ListAction, Member};
use super::needs::{Need, Wait, loaded_view};
use super::rollout::{TurnPlan, is_voting};
use super::snapshot::{Cause, Snapshot, Validator};
use crate::crd::{LostAddress, PeersStatus};
use crate::labels;
use crate::peers::{NodeId, Report};

/// What discovery and rollout say of one validator.
#[derive(Clone, Debug, PartialEq)]
pub struct PeersReport {
    /// `status.peers`.
    pub peers: PeersStatus,
    /// The conditions that discovery and rollout own.
    pub conditions: Vec<Finding>,
}

/// A condition without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub r#type: &'static str,
    /// Whether it holds.
    pub status: bool,
    /// One word that says why.
    pub reason: &'static str,
    /// One sentence that says why.
    pub message: String,
}

impl Finding {
    /// A condition of that type.
    pub fn new(r#type: &'static str, status: bool, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            r#type,
            status,
            reason,
            message: message.into(),
        }
    }
}

/// The reports of all validators of a group, strangers included.
pub fn of_group(
    snapshot: &Snapshot,
    group: &Group<'_>,
    needs: &BTreeMap<NodeId, Vec<Need>>,
    turns: &BTreeMap<String, TurnPlan>,
) -> BTreeMap<NodeId, PeersReport> {
    let network = group.network.short_hash();
    let turn_plan = turns.get(&network);
    let holder = |validator: &Validator| {
        snapshot
            .turns
            .get(&network)
            .is_some_and(|lease| lease.turns.iter().any(|turn| turn.uid == validator.uid))
    };
    let mut reports: BTreeMap<NodeId, PeersReport> = group
        .validators
        .iter()
        .map(|validator| {
            let needs = needs.get(&validator.id).map_or(&[][..], |needs| &needs[..]);
            let waiting = turn_plan
                .and_then(|plan| plan.waiting.get(&validator.id))
                .map(String::as_str);
            let subject = Subject {
                group,
                validator,
                needs,
                waiting,
                has_turn: holder(validator),
                turns: turn_plan,
            };
            (validator.id.clone(), subject.report())
        })
        .collect();
    for stranger in &group.strangers {
        let message = format!(
            "ConfigMap {} serves {}, and this validator is on {}: give it another validatorConfig.knownPeersRef.name",
            group.id.name,
            group.network.display_name(),
            stranger.network.display_name(),
        );
        let conditions = vec![Finding::new("PeersReady", false, "NetworkConflict", message)];
        reports.insert(
            stranger.id.clone(),
            PeersReport {
                peers: PeersStatus::default(),
                conditions,
            },
        );
    }
    reports
}

/// One validator with what was decided of it.
struct Subject<'a> {
    group: &'a Group<'a>,
    validator: &'a Validator,
    needs: &'a [Need],
    waiting: Option<&'a str>,
    has_turn: bool,
    turns: Option<&'a TurnPlan>,
}

impl Subject<'_> {
    fn report(&self) -> PeersReport {
        let member = self.group.member(self.validator);
        let mut conditions = vec![
            self.joined(member),
            self.voting(),
            self.peers_ready(member),
            self.update_pending(),
        ];
        conditions.extend(self.joined_with());
        let stalled = self.turns.iter().flat_map(|turns| &turns.stalled);
        if let Some((_, holder)) = stalled.into_iter().find(|(list, _)| self.group.includes(list)) {
            let message = format!(
                "the restart of {holder} has not ended within its deadline: no other restarts in its group until it does"
            );
            conditions.push(Finding::new("RolloutStalled", true, "DeadlineExceeded", message));
        }
        PeersReport {
            peers: self.peers(member),
            conditions,
        }
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
            Some(member) => Finding::new("Joined", true, "Ready", format!("joined at {}", member.record.joined)),
            None if self.validator.suspended => Finding::new("Joined", false, "Suspended", "it is suspended"),
            None => Finding::new("Joined", false, "NeverReady", "its pod has not been ready yet"),
        }
    }

    /// Whether its group reaches over the namespaces that it names; `None` where it names none.
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
            Finding::new("PeerGroupJoined", true, "Joined", message)
        } else {
            let message = format!(
                "not joined with {}: a validator on this network there has to list {own} under the name {}, the operator to \
                 watch it and to run with --cross-namespace-groups",
                missing.join(", "),
                wanted.name
            );
            Finding::new("PeerGroupJoined", false, "NoConsent", message)
        })
    }

    fn voting(&self) -> Finding {
        match is_voting(self.validator) {
            true => Finding::new("Voting", true, "PodReady", "its pod is Ready"),
            false => Finding::new("Voting", false, "PodNotReady", "its pod is not Ready"),
        }
    }

    fn peers_ready(&self, member: Option<&Member<'_>>) -> Finding {
        let finding = |status, reason, message: String| Finding::new("PeersReady", status, reason, message);
        if self.group.action == ListAction::NotOurs {
            let message = format!(
                "ConfigMap {} is not managed by {}: rename it, or give another validatorConfig.knownPeersRef.name",
                self.group.id.name,
                labels::OPERATOR
            );
            return finding(false, "NotOurs", message);
        }
        if member.is_none() {
            return finding(false, "NotJoined", "it is not a member of its group".to_owned());
        }
        let pending = self.needs.iter().find(|need| need.cause != Cause::SpecChanged);
        if let Some(need) = pending {
            let wait = need.wait.as_ref().map(Wait::reason).or(self.waiting);
            let what = match need.cause {
                Cause::NotLinked => "its group is not connected and it is to load the list again",
                Cause::PeersChanged | Cause::SpecChanged => "the members of its group changed since it started",
            };
            let message = match wait {
                Some(wait) if !self.has_turn => format!("{what}; {wait}"),
                _ => format!("{what}; it is being restarted"),
            };
            return finding(false, "RestartPending", message);
        }
        match loaded_view(self.validator) {
            Some(view) if Some(view) == self.group.views.get(&self.validator.id) => {
                finding(true, "Loaded", "its pod loaded all members of its group".to_owned())
            }
            Some(_) => finding(
                true,
                "Linked",
                "its pod loaded an older list, and its group is connected".to_owned(),
            ),
            None if self
                .validator
                .pod
                .as_ref()
                .is_some_and(|pod| pod.report == Some(Report::Unreadable)) =>
            {
                let message = "its pod could not read the list of peers and runs with its own knownPeers: delete the pod to try again";
                finding(false, "ListUnreadable", message.to_owned())
            }
            None => finding(
                false,
                "NotReported",
                "its pod has not told yet what it loaded".to_owned(),
            ),
        }
    }

    fn update_pending(&self) -> Finding {
        match self.needs.iter().find(|need| need.cause == Cause::SpecChanged) {
            None => Finding::new(
                "UpdatePending",
                false,
                "UpToDate",
                "its pod template is that of its spec",
            ),
            Some(_) if self.has_turn => Finding::new(
                "UpdatePending",
                true,
                "Rolling",
                "its new pod template is being rolled out",
            ),
            Some(need) => {
                let wait = need
                    .wait
                    .as_ref()
                    .map(Wait::reason)
                    .or(self.waiting)
                    .unwrap_or("it waits for its turn");
                let reason = match need.wait {
                    Some(Wait::ForPerson(_)) => "WaitsForPerson",
                    _ => "WaitsForTurn",
                };
                Finding::new("UpdatePending", true, reason, format!("its spec changed; {wait}"))
            }
        }
    }
}

/// Where a member was last dialled, and since when it has no pod there, where only its status can remember this; in whole
/// seconds, as Kubernetes gives times.
fn lost(member: &Member<'_>) -> Option<LostAddress> {
    let workload = member.validator.workload.as_ref();
    if workload.is_some_and(|workload| workload.ours) {
        return None;
    }
    let since = Timestamp::from_second(member.record.lost?.as_second()).ok()?;
    Some(LostAddress {
        address: member.record.address.clone(),
        since: Time(since),
    })
}
