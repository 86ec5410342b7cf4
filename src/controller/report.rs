//! What a validator is told about its peers: conditions and `status.peers`, as a pure function of the decision.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::{Finding, Joined, PeerGroupJoined, PeersReady, RolloutStalled, UpdatePending, Voting};
use super::groups::{Group, Member};
use super::lists::ListAction;
use super::needs::{Need, Wait, loaded_view};
use super::rollout::{self, TurnPlan};
use super::snapshot::{Cause, Snapshot, Validator};
use super::turns;
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

/// The reports of all validators of a group, strangers included; `connected` tells whether its members can all reach each other.
pub fn of_group(
    snapshot: &Snapshot,
    group: &Group<'_>,
    needs: &BTreeMap<NodeId, Vec<Need>>,
    plans: &BTreeMap<String, TurnPlan>,
    connected: bool,
) -> BTreeMap<NodeId, PeersReport> {
    let everybody = group.validators.iter().chain(&group.strangers);
    let reports = everybody.map(|validator| {
        // A stranger takes its turns in the queue of its own network.
        let network = validator.network.short_hash();
        let turn_plan = plans.get(&network);
        let lease = snapshot.turns.get(&network);
        let turn = lease.and_then(|lease| lease.turns.iter().find(|turn| turn.uid == validator.uid));
        let waiting = turn_plan.and_then(|plan| plan.waiting.get(&validator.id));
        let subject = Subject {
            group,
            connected,
            validator,
            needs: needs.get(&validator.id).map_or(&[][..], |needs| &needs[..]),
            waiting: waiting.map(String::as_str),
            has_turn: turn.is_some(),
            fails: turn.is_some_and(|turn| {
                rollout::failed_lately(validator, snapshot.now) && !turns::is_triggered(turn, validator)
            }),
            turns: turn_plan,
            broken_lease: lease
                .filter(|lease| !lease.readable)
                .map(|_| labels::turns_lease_name(&network)),
        };
        (validator.id.clone(), subject.report())
    });
    reports.collect()
}

/// One validator with what was decided of it.
struct Subject<'a> {
    group: &'a Group<'a>,
    connected: bool,
    validator: &'a Validator,
    needs: &'a [Need],
    waiting: Option<&'a str>,
    has_turn: bool,
    /// Whether it has a turn in which nothing is written, as in one before.
    fails: bool,
    turns: Option<&'a TurnPlan>,
    /// The Lease of its network's turns, where that cannot be read.
    broken_lease: Option<String>,
}

impl Subject<'_> {
    fn report(&self) -> PeersReport {
        let member = self.group.member(self.validator);
        let mut conditions = vec![self.voting(), self.peers_ready(member), self.update_pending()];
        // A validator of another network than the list has no membership to report.
        if !self.is_stranger() {
            conditions.push(self.joined(member));
            conditions.extend(self.joined_with());
        }
        conditions.extend(self.stalled());
        PeersReport {
            peers: self.peers(member),
            conditions,
        }
    }

    fn is_stranger(&self) -> bool {
        self.validator.network != self.group.network
    }

    fn stalled(&self) -> Option<Finding> {
        if let Some(lease) = &self.broken_lease {
            let message =
                format!("the Lease {lease} cannot be read: nobody on this network restarts until it is deleted");
            return Some(Finding::new(RolloutStalled::TurnsUnreadable, true, message).warning());
        }
        let mut stalled = self.turns?.stalled.iter();
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
        match self.validator.is_voting() {
            true => Finding::new(Voting::PodReady, true, "its pod is Ready"),
            false => Finding::new(Voting::PodNotReady, false, "its pod is not Ready"),
        }
    }

    fn peers_ready(&self, member: Option<&Member<'_>>) -> Finding {
        if self.is_stranger() {
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
                Cause::NotLinked => "its group is not connected and it is to load the list again",
                Cause::PeersChanged | Cause::SpecChanged => "the members of its group changed since it started",
            };
            let message = match wait {
                Some(wait) if !self.has_turn => format!("{what}; {wait}"),
                _ => format!("{what}; it is being restarted"),
            };
            return Finding::new(PeersReady::RestartPending, false, message);
        }
        let loaded = loaded_view(self.validator);
        if loaded.is_some() && !self.connected {
            let message = "not all members of its group can reach each other by the addresses that they loaded";
            return Finding::new(PeersReady::NotConnected, false, message.to_owned());
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
                "its pod has not told yet what it loaded".to_owned(),
            ),
        }
    }

    fn update_pending(&self) -> Finding {
        match self.needs.iter().find(|need| need.cause == Cause::SpecChanged) {
            None => Finding::new(UpdatePending::UpToDate, false, "its pod template is that of its spec"),
            Some(_) if self.fails => Finding::new(
                UpdatePending::NotWritten,
                true,
                "its last turn ended with nothing written, and it is tried again; what the API server refused is in its Events",
            ),
            Some(_) if self.has_turn => {
                Finding::new(UpdatePending::Rolling, true, "its new pod template is being rolled out")
            }
            Some(need) => {
                let wait = need
                    .wait
                    .as_ref()
                    .map(Wait::reason)
                    .or(self.waiting)
                    .unwrap_or("it waits for its turn");
                let reason = match need.wait {
                    Some(Wait::ForPerson(_)) => UpdatePending::WaitsForPerson,
                    _ => UpdatePending::WaitsForTurn,
                };
                Finding::new(reason, true, format!("its spec changed; {wait}"))
            }
        }
    }
}

/// Where a member was last dialled, and since when it has no pod there, in whole seconds, as Kubernetes gives times. Our
/// StatefulSet remembers this too, and may be deleted: once its address is published no more, nothing else would be left.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use kube::core::DeserializeGuard;
    use serde_json::json;
    use stellar_strkey::ed25519::PublicKey;

    use super::super::decide::decide;
    use super::super::objects::Objects;
    use super::super::options::Options;
    use super::super::snapshot::TurnLease;
    use super::*;
    use crate::clock;
    use crate::crd::{Network, StellarNode};

    /// Of one list: `a` on testnet, `b`, which is younger, on mainnet; the templates of both are those of an older spec.
    fn two_networks() -> Snapshot {
        let keys = [1, 2, 3, 4].map(|number| PublicKey([number; 32]).to_string().as_str().to_owned());
        let quorum_set = format!("[QUORUM_SET]\nTHRESHOLD_PERCENT=67\nVALIDATORS={keys:?}\n");
        let node = |name: &str, network: &str, created: &str| -> StellarNode {
            serde_json::from_value(json!({
                "apiVersion": labels::API_VERSION,
                "kind": labels::KIND,
                "metadata": { "name": name, "namespace": "n", "uid": name, "creationTimestamp": created },
                "spec": {
                    "nodeType": "Validator", "network": network, "version": "1",
                    "validatorConfig": { "seedSecretRef": name, "quorumSet": quorum_set },
                },
            }))
            .unwrap()
        };
        let nodes = [
            node("a", "testnet", "2026-01-01T00:00:00Z"),
            node("b", "mainnet", "2026-01-02T00:00:00Z"),
        ];
        let workload = |name: &str| {
            serde_json::from_value(json!({
                "metadata": {
                    "name": name, "namespace": "n", "uid": format!("set-{name}"), "resourceVersion": "1",
                    "labels": { labels::INSTANCE: name, labels::MANAGED_BY: labels::OPERATOR },
                },
                "spec": {
                    "serviceName": "", "selector": { "matchLabels": { labels::INSTANCE: name } },
                    "template": { "metadata": { "annotations": { labels::SPEC_HASH: "older" } } },
                    "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": {} }],
                },
            }))
            .unwrap()
        };
        let objects = Objects {
            nodes: nodes
                .into_iter()
                .map(|node| Arc::new(DeserializeGuard(Ok(node))))
                .collect(),
            stateful_sets: ["a", "b"].map(workload).map(Arc::new).into(),
            ..Objects::default()
        };
        objects.snapshot(clock::now())
    }

    fn reasons(snapshot: &Snapshot, name: &str) -> BTreeMap<&'static str, (bool, &'static str)> {
        let plan = decide(snapshot, &Options::default());
        let report = &plan.reports[&NodeId::new("n", name)];
        let conditions = report.conditions.iter();
        conditions
            .map(|found| (found.condition().as_str(), (found.status, found.reason.as_str())))
            .collect()
    }

    #[test]
    fn whoever_is_left_out_is_told_of_its_own_turns_too() {
        let mut snapshot = two_networks();
        let told = reasons(&snapshot, "b");
        assert_eq!(told["PeersReady"], (false, "NetworkConflict"));
        assert_eq!(told["UpdatePending"], (true, "WaitsForTurn"));
        assert_eq!(told["Voting"], (false, "PodNotReady"));
        assert!(
            !told.contains_key("Joined") && !told.contains_key("RolloutStalled"),
            "{told:?}"
        );

        // It got its turn, and its rollout does not end.
        let plan = decide(&snapshot, &Options::default());
        let network = Network::parse("mainnet").short_hash();
        let mut turns = plan.turns[&network].write.clone().unwrap();
        turns[0].since = Timestamp::UNIX_EPOCH;
        let lease = TurnLease {
            resource_version: Some("1".to_owned()),
            readable: true,
            turns,
        };
        snapshot.turns.insert(network, lease);
        let told = reasons(&snapshot, "b");
        assert_eq!(told["UpdatePending"], (true, "Rolling"));
        assert_eq!(told["RolloutStalled"], (true, "DeadlineExceeded"));
    }

    #[test]
    fn turns_that_cannot_be_read_are_a_condition_of_their_network_and_a_figure() {
        let mut snapshot = two_networks();
        let lease = TurnLease {
            resource_version: Some("1".to_owned()),
            readable: false,
            turns: Vec::new(),
        };
        snapshot.turns.insert(Network::parse("testnet").short_hash(), lease);
        assert_eq!(reasons(&snapshot, "a")["RolloutStalled"], (true, "TurnsUnreadable"));
        assert!(
            !reasons(&snapshot, "b").contains_key("RolloutStalled"),
            "its network has a Lease of its own"
        );
        let figures = decide(&snapshot, &Options::default()).figures;
        assert!(figures.iter().all(|group| group.stalled), "{figures:?}");
    }
}
