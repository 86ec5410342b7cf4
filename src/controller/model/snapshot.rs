//! The input of one discovery cycle: validators, their StatefulSets and pods, published lists, and slots.
//!
//! Plain data without a client. `observe` fills it from the reflector caches; tests build it by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::conditions::PodBlocked;
use super::times::{is_credible, later};
use crate::crd::{Network, PeerGroup};
use crate::labels;
use crate::peers::{NodeId, PeerList, Report, View};

/// Everything that a decision depends on, as stored in the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The time at which the snapshot was taken.
    pub now: Timestamp,
    /// Every StellarNode of type Validator in the watched namespaces.
    pub validators: Vec<Validator>,
    /// StellarNodes that cannot be parsed. Decisions keep everything known about them unchanged.
    pub unreadable: BTreeSet<NodeId>,
    /// The ConfigMaps that hold a list, or whose name a validator refers to.
    pub lists: BTreeMap<ListId, PublishedList>,
    /// The PodDisruptionBudgets of this operator, by the list whose name they have.
    pub budgets: BTreeMap<ListId, PublishedBudget>,
    /// The slots, by the short hash of their network.
    pub slots: BTreeMap<String, SlotLease>,
    /// Namespaces whose restarts are paused.
    pub paused_namespaces: BTreeSet<String>,
}

/// The key of a known-peers ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ListId {
    pub namespace: String,
    pub name: String,
}

/// A StellarNode of type Validator with its StatefulSet and pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Validator {
    pub id: NodeId,
    /// Its uid: a node that was deleted and created again has another one.
    pub uid: String,
    pub created: Timestamp,
    /// The network it takes part in.
    pub network: Network,
    /// The ConfigMap with its peer list; validators of one ConfigMap form a group.
    pub list: ListId,
    /// The peer group across namespaces that its spec asks for.
    pub peer_group: Option<PeerGroup>,
    /// The peer port in its spec; the running pod may still use another.
    pub spec_port: u16,
    /// Whether it is suspended: it has no pod then.
    pub suspended: bool,
    pub deleting: bool,
    pub paused: bool,
    /// The hash of the pending change that a person approved.
    pub approved: Option<String>,
    /// When anything but its status last changed; `None` if unknown.
    pub changed: Option<Timestamp>,
    /// Hash of the spec fields that determine the pod; `None` for an invalid spec.
    pub spec_hash: Option<String>,
    /// Name of another validator's pod or StatefulSet that still has the seed of this validator's new spec.
    pub seed_held_by: Option<String>,
    /// The membership recorded in its status, the fallback while its StatefulSet is missing.
    pub mirror: Option<MemberRecord>,
    pub workload: Option<Workload>,
    /// Its pod, terminating ones included.
    pub pod: Option<Pod>,
}

impl Validator {
    /// Whether the spec asks for a running pod.
    pub fn is_wanted(&self) -> bool {
        !self.suspended && !self.deleting && self.workload.as_ref().is_none_or(|workload| workload.replicas > 0)
    }

    /// Whether its pod is Ready, which means that it takes part in consensus.
    pub fn is_voting(&self) -> bool {
        self.pod
            .as_ref()
            .is_some_and(|pod| !pod.deleting && pod.voting_since.is_some())
    }

    /// Whether its pod votes and may be replaced at any moment: its StatefulSet has a newer template than the pod, or
    /// the StatefulSet controller has not observed the newest spec yet.
    pub fn is_about_to_go(&self) -> bool {
        let (Some(workload), Some(pod)) = (&self.workload, &self.pod) else {
            return false;
        };
        let pending = !workload.observed || workload.is_outdated(pod);
        self.is_wanted() && self.is_voting() && pending && !workload.waits_for_person
    }

    /// What keeps its pod from running, or from being created; `None` while nothing is known to.
    pub fn blocked(&self) -> Option<&Blocked> {
        match &self.pod {
            Some(pod) => pod.blocked.as_ref(),
            None => {
                let workload = self.workload.as_ref().filter(|_| self.is_wanted())?;
                let (at, blocked) = workload.refused.as_ref()?;
                // An Event outlives its cause. It counts if it is newer than the pod that a member had; Events have
                // whole seconds.
                let is_new = workload.member.as_ref().is_none_or(|member| {
                    let lost = member.lost.map(Timestamp::as_second);
                    lost.is_some_and(|lost| at.as_second() >= lost)
                });
                is_new.then_some(blocked)
            }
        }
    }

    /// The end of the time in which a validator that serves its peers is expected to start voting; `None` for all
    /// others.
    ///
    /// The pod only shows that its stellar-core serves its peers. A stellar-core that is behind its network may have to
    /// wait for the next checkpoint in a history archive. That time counts from the start of its container.
    pub fn catches_up_until(&self, now: Timestamp, catch_up: Duration) -> Option<Timestamp> {
        let pod = self.pod.as_ref().filter(|pod| pod.ready && !pod.deleting)?;
        let started = pod.started.filter(|started| is_credible(*started, now))?;
        let end = later(started, catch_up);
        (pod.voting_since.is_none() && end > now).then_some(end)
    }

    /// The time from which the validator counts as left behind: its stellar-core has served and not voted for twice
    /// `catch_up`. An archive that a running network only just got needs that long until its first checkpoint.
    pub fn left_behind_from(&self, now: Timestamp, catch_up: Duration) -> Option<Timestamp> {
        let pod = self
            .pod
            .as_ref()
            .filter(|pod| pod.ready && !pod.deleting && pod.voting_since.is_none())?;
        let started = pod.started.filter(|started| is_credible(*started, now))?;
        let silent = pod.silent_since.filter(|since| is_credible(*since, now));
        Some(later(
            started.max(silent.unwrap_or(started)),
            catch_up.saturating_mul(2),
        ))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    pub name: String,
    pub resource_version: String,
    /// Whether it carries our managed-by label. The operator never writes one without it (rule R7).
    pub ours: bool,
    pub replicas: i32,
    /// Whether the StatefulSet controller has observed the current spec, so that `update_revision` is up to date.
    pub observed: bool,
    pub update_revision: Option<String>,
    /// Whether the update strategy is `OnDelete` or has a partition: each update then needs a person.
    pub waits_for_person: bool,
    /// Whether Kubernetes accepts an update to the StatefulSet that we build: some fields are immutable.
    pub convertible: bool,
    /// Whether its pods report which peers they loaded (they have our `render-config`).
    pub reports: bool,
    /// The port on which its pods serve their history archive.
    pub history: Option<u16>,
    /// Spec hash of the stored pod template.
    pub spec_hash: Option<String>,
    /// The membership, which must outlive pods and operator restarts.
    pub member: Option<MemberRecord>,
    /// The last restart for peers.
    pub last_restart: Option<LastRestart>,
    /// The `since` of the slot that the operator last gave back unused.
    pub given_back: Option<Timestamp>,
    /// The peers that a pod without a report is assumed to have loaded.
    pub assumed: Option<AssumedLoad>,
    /// Why the API server refused its pod the last time, and when that was.
    pub refused: Option<(Timestamp, Blocked)>,
}

impl Workload {
    /// Whether the pod is not of the current template and is not terminating.
    pub fn is_outdated(&self, pod: &Pod) -> bool {
        let known = self.observed && self.update_revision.is_some();
        known && !pod.deleting && pod.revision != self.update_revision
    }
}

/// Annotation `stellar.org/member`: when the validator joined its group, and its last known address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRecord {
    /// When its pod was first ready.
    pub joined: Timestamp,
    pub port: u16,
    pub address: String,
    /// Since when it has had this address.
    pub since: Timestamp,
    /// Since when it has had no running pod with an address; `None` while it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Timestamp>,
    /// Whether it has not voted since it joined. Absent means that it has voted, or that an earlier version wrote the
    /// record: other validators wait for any member that may have voted once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub never_voted: bool,
}

/// Annotation `stellar.org/last-restart`: prevents a second restart for the same view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRestart {
    /// The `since` of the slot in which the restart happened.
    pub at: Timestamp,
    /// The view that the new pod had to load.
    pub view: View,
    /// The pod that the restart had to replace. Absent in records of earlier versions.
    #[serde(default, rename = "podUID", skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
}

/// Annotation `stellar.org/loaded-peers`: the view that a pod without a report is assumed to have loaded at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssumedLoad {
    #[serde(rename = "podUID")]
    pub pod_uid: String,
    pub view: View,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    pub uid: String,
    pub resource_version: String,
    pub name: String,
    pub deleting: bool,
    /// Whether its phase is Running.
    pub running: bool,
    pub ip: Option<String>,
    /// The peer port that the pod declares.
    pub port: Option<u16>,
    /// The label `controller-revision-hash`.
    pub revision: Option<String>,
    /// The list that it mounts, as the value of the label [`PEERS`](labels::PEERS); `None` without that label.
    pub list: Option<String>,
    /// When its `render-config` finished reading the list.
    pub rendered: Option<Timestamp>,
    /// Start time of its core container.
    pub started: Option<Timestamp>,
    /// Whether its core container is ready, which means that it serves the peer port.
    pub ready: bool,
    /// Since when the pod is Ready, which means that stellar-core takes part in consensus.
    pub voting_since: Option<Timestamp>,
    /// Since when the pod is not Ready; `None` where it is Ready or has no such condition.
    pub silent_since: Option<Timestamp>,
    /// How long this process has seen it vote, by a monotonic clock; `None` without such a measurement.
    pub voted_for: Option<Duration>,
    /// The peers that it reports to have loaded; `None` without a report.
    pub report: Option<Report>,
    /// What keeps it from running; `None` while nothing is known to.
    pub blocked: Option<Blocked>,
}

/// What keeps a pod from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    pub reason: PodBlocked,
    /// The container, and the words of the scheduler or the kubelet.
    pub message: String,
    /// Whether it usually passes within seconds, as while a new volume is made.
    pub passes: bool,
}

impl Pod {
    /// Whether the pod mounts another list than `list`: a restart would not load `list`.
    pub fn mounts_another(&self, list: &ListId) -> bool {
        let value = labels::peers_value(&list.name);
        self.list.as_ref().is_some_and(|mounted| *mounted != value)
    }

    /// The current peer address; `fallback` is the port of a pod that declares none.
    pub fn address(&self, fallback: u16) -> Option<(String, u16)> {
        let port = self.port.unwrap_or(fallback);
        let ip = self.ip.as_ref().filter(|_| self.running && !self.deleting)?;
        Some((format!("{ip}:{port}"), port))
    }
}

/// A known-peers ConfigMap, as stored in the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedList {
    /// Uid for the precondition of a delete.
    pub uid: String,
    pub resource_version: String,
    /// Whether it carries our managed-by label.
    pub ours: bool,
    /// The short hash of the network, from its label.
    pub network: Option<String>,
    pub data: BTreeMap<String, String>,
    /// Its parsed `peers.json`; `None` if it cannot be parsed.
    pub list: Option<PeerList>,
}

/// The Lease that stores the slots of one network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotLease {
    /// Version for the precondition of a write; `None` while the Lease does not exist.
    pub resource_version: Option<String>,
    /// Whether the Lease could be parsed. Otherwise no validator gets a slot.
    pub readable: bool,
    /// When the Lease was created. An earlier one may have been deleted with slots in use.
    pub created: Option<Timestamp>,
    pub slots: Vec<Slot>,
    /// When each namespace last got or ended a slot. Namespaces without a recent one go first.
    pub served: BTreeMap<String, Timestamp>,
    /// The pairs of lists in different namespaces that were joined at the request of both, each pair sorted.
    ///
    /// The operator keeps it in its own namespace, where users with rights in one other namespace cannot write it.
    pub joined: BTreeSet<(ListId, ListId)>,
}

/// Permission for one validator to go down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    pub node: NodeId,
    pub uid: String,
    pub group: ListId,
    /// When the slot was given.
    pub since: Timestamp,
    /// Start of the holder's first slot, where several followed each other without a pause; absent where that is
    /// `since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    pub cause: Cause,
    /// The spec hash that the new pod must have, if the slot is for a changed spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_hash: Option<String>,
    /// Uid of the pod that the slot replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Whether the holder voted when it got the slot, or began to vote before it went down. The slot then ends only
    /// when it votes again.
    pub voting: bool,
}

impl Slot {
    /// Since when the holder has blocked the others. A spec that changes again and again does not reset it.
    pub fn began(&self) -> Timestamp {
        self.began.unwrap_or(self.since)
    }
}

/// Why a validator is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// Its pod template changed.
    SpecChanged,
    /// Its pod loaded an older member list of its group.
    PeersChanged,
    /// Its group is not connected, and it lacks links.
    NotLinked,
}

impl Cause {
    pub const ALL: [Self; 3] = [Self::SpecChanged, Self::PeersChanged, Self::NotLinked];

    /// The name in status, Events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SpecChanged => "SpecChanged",
            Self::PeersChanged => "PeersChanged",
            Self::NotLinked => "NotLinked",
        }
    }
}

/// A PodDisruptionBudget, as stored in the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedBudget {
    /// Uid for the precondition of a delete.
    pub uid: String,
    /// Version for the precondition of an update.
    pub resource_version: String,
    /// `spec.maxUnavailable`; `None` if any other field differs from what we write.
    pub max_unavailable: Option<u32>,
}
