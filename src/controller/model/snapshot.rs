//! What one cycle decides from: the validators, their StatefulSets and pods, the published lists and the slots in
//! flight.
//!
//! Plain data without a client. `observe` fills it from the reflector caches; tests fill it by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::times::{is_credible, later};
use crate::crd::{Network, PeerGroup};
use crate::labels;
use crate::peers::{NodeId, PeerList, Report, View};

/// Everything that a decision depends on, as the API server holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The present time.
    pub now: Timestamp,
    /// Every StellarNode of type Validator in the watched namespaces.
    pub validators: Vec<Validator>,
    /// StellarNodes that could not be parsed: whatever is known of them stays as it is.
    pub unreadable: BTreeSet<NodeId>,
    /// The ConfigMaps that hold lists, or whose names a validator refers to.
    pub lists: BTreeMap<ListId, PublishedList>,
    /// The PodDisruptionBudgets of ours, by the list that they are named after.
    pub budgets: BTreeMap<ListId, PublishedBudget>,
    /// The slots in flight, by the network's short hash.
    pub slots: BTreeMap<String, SlotLease>,
    /// Namespaces in which nobody is restarted.
    pub paused_namespaces: BTreeSet<String>,
}

/// Which known-peers ConfigMap: its namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ListId {
    /// Namespace of the ConfigMap.
    pub namespace: String,
    /// Name of the ConfigMap.
    pub name: String,
}

/// A StellarNode of type Validator with what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Validator {
    /// Namespace and name.
    pub id: NodeId,
    /// Its uid: a node that was deleted and created anew is another one.
    pub uid: String,
    /// When it was created.
    pub created: Timestamp,
    /// The network it takes part in.
    pub network: Network,
    /// The ConfigMap of its peer group.
    pub list: ListId,
    /// The group across namespaces that it names.
    pub peer_group: Option<PeerGroup>,
    /// The peer port that its spec asks for; its running pod may still have another.
    pub spec_port: u16,
    /// Whether it is to have no pod.
    pub suspended: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it is not to be restarted.
    pub paused: bool,
    /// The pending change that a person approved.
    pub approved: Option<String>,
    /// When somebody last changed anything of it but its status; `None` where that is not known.
    pub changed: Option<Timestamp>,
    /// Hash of the part of the spec that its pods are built from; `None` where we do not build them.
    pub spec_hash: Option<String>,
    /// A pod of another validator that still runs with the seed that this one is to have.
    pub seed_held_by: Option<String>,
    /// What its status says of its membership: serves while its StatefulSet is missing.
    pub mirror: Option<MemberRecord>,
    /// Its StatefulSet.
    pub workload: Option<Workload>,
    /// Its pod, also while it terminates.
    pub pod: Option<Pod>,
}

impl Validator {
    /// Whether a person wants it to run at all.
    pub fn is_wanted(&self) -> bool {
        !self.suspended && !self.deleting && self.workload.as_ref().is_none_or(|workload| workload.replicas > 0)
    }

    /// Whether its pod is Ready, which says that it takes part in consensus.
    pub fn is_voting(&self) -> bool {
        self.pod
            .as_ref()
            .is_some_and(|pod| !pod.deleting && pod.voting_since.is_some())
    }

    /// Whether its pod votes and may go at any moment: its StatefulSet has taken a template that the pod is not of, or
    /// its controller has not looked at its spec yet.
    pub fn is_about_to_go(&self) -> bool {
        let (Some(workload), Some(pod)) = (&self.workload, &self.pod) else {
            return false;
        };
        let pending = !workload.observed || workload.is_outdated(pod);
        self.is_wanted() && self.is_voting() && pending && !workload.waits_for_person
    }

    /// Until when a validator that serves and does not vote is on its way; `None` if it is not.
    ///
    /// The pod tells no more than that its stellar-core serves. One that is behind its network may have to wait for the
    /// next checkpoint in a history archive, and the time for that is counted from the start of its stellar-core.
    pub fn catches_up_until(&self, now: Timestamp, catch_up: Duration) -> Option<Timestamp> {
        let pod = self.pod.as_ref().filter(|pod| pod.ready && !pod.deleting)?;
        let started = pod.started.filter(|started| is_credible(*started, now))?;
        let end = later(started, catch_up);
        (pod.voting_since.is_none() && end > now).then_some(end)
    }

    /// From when on it counts as left behind: its stellar-core has served and not voted for twice the time to the next
    /// checkpoint, which is what an archive that was added to a running network needs until its first one is there.
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

/// A validator's StatefulSet.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Name of the StatefulSet.
    pub name: String,
    /// For preconditions.
    pub resource_version: String,
    /// Whether it carries our managed-by label; without it, it is never written (rule R7).
    pub ours: bool,
    /// `spec.replicas`.
    pub replicas: i32,
    /// Whether its controller has seen its present spec, so that `update_revision` speaks of it.
    pub observed: bool,
    /// `status.updateRevision`.
    pub update_revision: Option<String>,
    /// `OnDelete` or a partition: a person lets each update through.
    pub waits_for_person: bool,
    /// Whether Kubernetes lets it become what we build: some fields of a StatefulSet never change.
    pub convertible: bool,
    /// Whether its pods report what they loaded (they have our `render-config`).
    pub reports: bool,
    /// The port at which its pods serve their history archive.
    pub history: Option<u16>,
    /// Hash of the spec that the stored template was built from.
    pub spec_hash: Option<String>,
    /// What must outlive pods and operators.
    pub member: Option<MemberRecord>,
    /// The last restart for peers.
    pub last_restart: Option<LastRestart>,
    /// The `since` of a slot that was given back unused.
    pub given_back: Option<Timestamp>,
    /// What a pod that cannot report is taken to have loaded.
    pub assumed: Option<AssumedLoad>,
}

impl Workload {
    /// Whether a pod that stays is not what this StatefulSet wants.
    pub fn is_outdated(&self, pod: &Pod) -> bool {
        let known = self.observed && self.update_revision.is_some();
        known && !pod.deleting && pod.revision != self.update_revision
    }
}

/// Annotation `stellar.org/member`: the validator has joined its group, and where it was last dialled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRecord {
    /// When it was first ready.
    pub joined: Timestamp,
    /// Its peer port.
    pub port: u16,
    /// The address at which it was last dialled.
    pub address: String,
    /// Since when.
    pub since: Timestamp,
    /// Since when it has had no running pod with an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Timestamp>,
    /// Whether it has not voted since it joined. Absent where it has, and in records of programs that did not note it:
    /// whoever may have voted once is waited for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub never_voted: bool,
}

/// Annotation `stellar.org/last-restart`: the fuse that keeps a validator from being restarted twice for the same view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRestart {
    /// The `since` of the slot that it was restarted in.
    pub at: Timestamp,
    /// The view that it was to load.
    pub view: View,
    /// The pod that was to go. Absent in records of programs that did not note it.
    #[serde(default, rename = "podUID", skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
}

/// Annotation `stellar.org/loaded-peers`: what a pod that cannot report is taken to have loaded at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssumedLoad {
    /// The pod.
    #[serde(rename = "podUID")]
    pub pod_uid: String,
    /// The view.
    pub view: View,
}

/// A validator's pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// Its uid.
    pub uid: String,
    /// For preconditions.
    pub resource_version: String,
    /// Its name.
    pub name: String,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether its phase is Running.
    pub running: bool,
    /// Its IPv4 address.
    pub ip: Option<String>,
    /// The peer port that it declares.
    pub port: Option<u16>,
    /// Its `controller-revision-hash`.
    pub revision: Option<String>,
    /// Which list it mounts, as the value of the label [`PEERS`](labels::PEERS); `None` where it does not say.
    pub list: Option<String>,
    /// When its `render-config` had read the list.
    pub rendered: Option<Timestamp>,
    /// Since when its core container runs.
    pub started: Option<Timestamp>,
    /// Whether its core container is ready: it serves the peer port.
    pub ready: bool,
    /// Since when the pod is Ready, which says that stellar-core takes part in consensus.
    pub voting_since: Option<Timestamp>,
    /// Since when the pod is not Ready; `None` where it is, or does not say.
    pub silent_since: Option<Timestamp>,
    /// For how long this program has seen it vote, by a clock that does not jump; `None` where nobody counts.
    pub voted_for: Option<Duration>,
    /// What it reports to have loaded; `None` while it does not, or cannot.
    pub report: Option<Report>,
}

impl Pod {
    /// Whether it mounts another list than this one, so that no restart would load this one.
    pub fn mounts_another(&self, list: &ListId) -> bool {
        let value = labels::peers_value(&list.name);
        self.list.as_ref().is_some_and(|mounted| *mounted != value)
    }

    /// The address at which others can dial it now, with `fallback` for a pod that declares no peer port.
    pub fn address(&self, fallback: u16) -> Option<(String, u16)> {
        let port = self.port.unwrap_or(fallback);
        let ip = self.ip.as_ref().filter(|_| self.running && !self.deleting)?;
        Some((format!("{ip}:{port}"), port))
    }
}

/// A known-peers ConfigMap as the API server holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedList {
    /// Its uid, for the precondition of a delete.
    pub uid: String,
    /// For preconditions.
    pub resource_version: String,
    /// Whether it carries our managed-by label.
    pub ours: bool,
    /// The network recorded on its label (a short hash).
    pub network: Option<String>,
    /// Its data, byte for byte.
    pub data: BTreeMap<String, String>,
    /// Its `peers.json`, where that can be read.
    pub list: Option<PeerList>,
}

/// The Lease that holds the slots of one network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotLease {
    /// For the precondition of a write; `None` where the Lease does not exist yet.
    pub resource_version: Option<String>,
    /// Whether the Lease could be read: if not, nobody gets a slot.
    pub readable: bool,
    /// Since when it is there. Before, there may have been another, which was lost with slots in flight.
    pub created: Option<Timestamp>,
    /// The slots in flight.
    pub slots: Vec<Slot>,
    /// When each namespace last got or ended a slot: those that had none lately go first.
    pub served: BTreeMap<String, Timestamp>,
    /// The lists of different namespaces that were joined because both sides asked for it, the smaller of two first.
    ///
    /// It is kept here, in the operator's namespace, because whoever has rights in one namespace only cannot write it.
    pub joined: BTreeSet<(ListId, ListId)>,
}

/// Leave for one validator to go down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// Who holds it.
    pub node: NodeId,
    /// The holder's uid.
    pub uid: String,
    /// The holder's peer group.
    pub group: ListId,
    /// Since when.
    pub since: Timestamp,
    /// Since when its holder has had one slot after the other without an end; absent where that is `since`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Timestamp>,
    /// Why.
    pub cause: Cause,
    /// The spec hash that the holder's pod is to be built from, when the spec is a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_hash: Option<String>,
    /// The pod that is to be replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Whether the holder was voting when it got the slot, or began to before it went down: then the slot is done only
    /// when it votes again.
    pub voting: bool,
}

impl Slot {
    /// Since when its holder keeps others waiting. A spec that is changed again and again does not begin it anew.
    pub fn began(&self) -> Timestamp {
        self.began.unwrap_or(self.since)
    }
}

/// Why a validator is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// Its pod template changed.
    SpecChanged,
    /// The members of its group are others than its pod loaded.
    PeersChanged,
    /// Its group is not connected and it lacks links.
    NotLinked,
}

impl Cause {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::SpecChanged, Self::PeersChanged, Self::NotLinked];

    /// The word that status, Events and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SpecChanged => "SpecChanged",
            Self::PeersChanged => "PeersChanged",
            Self::NotLinked => "NotLinked",
        }
    }
}

/// A PodDisruptionBudget as the API server holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedBudget {
    /// For the precondition of a delete.
    pub uid: String,
    /// For the precondition of a change.
    pub resource_version: String,
    /// `spec.maxUnavailable`, where the rest of it is as we write it.
    pub max_unavailable: Option<u32>,
}
