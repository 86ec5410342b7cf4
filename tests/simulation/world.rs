//! The state of the simulated cluster: StellarNodes, their StatefulSets and pods, lists and slots. There is no I/O, and
//! time is a number.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use stellar_k8s::controller::model::options::{Options, RestartMode};
use stellar_k8s::controller::model::snapshot::{
    AssumedLoad, LastRestart, ListId, MemberRecord, PublishedList, SlotLease, Snapshot,
};
use stellar_k8s::controller::rollout::plan::SlotPlan;
use stellar_k8s::crd::Network;
use stellar_k8s::labels;
use stellar_k8s::peers::{NodeId, PeerList, Report, View};

use crate::operator::Fault;

/// Milliseconds since the beginning.
pub(crate) type Millis = i64;

/// The namespaces of a group in two namespaces.
pub(crate) const NAMESPACES: [&str; 2] = ["stellar", "stellar-b"];

pub(crate) fn time(millis: Millis) -> Timestamp {
    // An arbitrary day, so that nothing is near the epoch.
    Timestamp::from_millisecond(1_780_000_000_000 + millis).unwrap()
}

pub(crate) fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// Peer port and version, from which a validator's pods are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) port: u16,
    pub(crate) version: u32,
}

impl Spec {
    pub(crate) fn hash(self) -> String {
        format!("{}-{}", self.port, self.version)
    }

    pub(crate) fn of_hash(hash: &str) -> Self {
        let (port, version) = hash.split_once('-').unwrap();
        Self {
            port: port.parse().unwrap(),
            version: version.parse().unwrap(),
        }
    }
}

/// Who built a validator's StatefulSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The operator.
    Ours,
    /// It has the operator's label, and its pods cannot report what they loaded.
    Silent,
    /// Another owner; the operator never writes it.
    Foreign,
}

/// A core container that crashes repeatedly in a pod that stays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crash {
    pub(crate) from: Millis,
    pub(crate) until: Millis,
    /// How long it runs each time.
    pub(crate) runs: Millis,
}

#[derive(Clone, Debug)]
pub(crate) struct SimPod {
    pub(crate) uid: u64,
    pub(crate) revision: u64,
    pub(crate) born: Millis,
    pub(crate) ip: String,
    pub(crate) spec: Spec,
    /// The version of the base config that it read.
    pub(crate) config: Option<u32>,
    /// The reported view.
    pub(crate) report: Option<Report>,
    /// The loaded view.
    pub(crate) loaded: Option<View>,
    /// The addresses that its stellar-core dials: those that its config and its peer database had at its start.
    pub(crate) dials: BTreeSet<String>,
    pub(crate) dying: Option<Millis>,
}

#[derive(Clone, Debug)]
pub(crate) struct SimNode {
    pub(crate) id: NodeId,
    pub(crate) uid: String,
    pub(crate) kind: Kind,
    pub(crate) created: Millis,
    pub(crate) network: Network,
    pub(crate) list: ListId,
    pub(crate) spec: Spec,
    pub(crate) suspended: bool,
    pub(crate) paused: bool,
    /// Since when it is being deleted.
    pub(crate) deleting: Option<Millis>,
    /// Whether it never votes, whatever its spec is.
    pub(crate) broken: bool,
    pub(crate) crash: Option<Crash>,
    /// Its StatefulSet's updateStrategy is OnDelete.
    pub(crate) waits_for_person: bool,
    /// A user deleted its StatefulSet, which the operator recreates at this time.
    pub(crate) no_workload_until: Option<Millis>,
    /// Until when it is not ready.
    pub(crate) flapping_until: Millis,
    /// Whether a policy refuses every change of its pod template.
    pub(crate) refused: bool,
    /// Since when its pod has an older revision.
    pub(crate) outdated_since: Option<Millis>,
    /// Whether no machine takes its next pod.
    pub(crate) no_machine: bool,
    pub(crate) resource_version: u64,
    pub(crate) revision: u64,
    pub(crate) template: Spec,
    /// The version in its base config.
    pub(crate) config: u32,
    /// The stored spec, and when it last changed.
    pub(crate) stored_spec: (Spec, bool),
    pub(crate) changed: Millis,
    pub(crate) member: Option<MemberRecord>,
    pub(crate) assumed: Option<AssumedLoad>,
    pub(crate) last_restart: Option<LastRestart>,
    pub(crate) given_back: Option<Timestamp>,
    /// Since when its status says that it joined, and the record in its status.
    pub(crate) joined: Option<Timestamp>,
    pub(crate) mirror: Option<MemberRecord>,
    pub(crate) pod: Option<SimPod>,
    /// Its peer database, on its volume: where it last met each of the others.
    pub(crate) database: BTreeMap<NodeId, String>,
    /// Since when it votes.
    pub(crate) voting_since: Option<Millis>,
    /// Whether it ever voted: then the others have it in their quorum sets.
    pub(crate) has_voted: bool,
    /// Restarts by the operator, with the time.
    pub(crate) restarts: Vec<(Millis, &'static str)>,
    /// How many reasons for a restart it has had.
    pub(crate) reasons: u32,
    /// Set while the operator has it down: whether it voted before.
    pub(crate) down_by_us: Option<bool>,
}

impl SimPod {
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.ip, self.spec.port)
    }
}

impl SimNode {
    pub(crate) fn is_wanted(&self) -> bool {
        !self.suspended && self.deleting.is_none()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) nodes: Vec<SimNode>,
    pub(crate) lists: BTreeMap<ListId, PublishedList>,
    /// The old lists that late kubelets still read.
    pub(crate) history: Vec<(Millis, ListId, PeerList)>,
    /// Whether every second validator is in another namespace and both namespaces form one group.
    pub(crate) two_namespaces: bool,
    /// The slots, by the network's short hash.
    pub(crate) leases: BTreeMap<String, SlotLease>,
    pub(crate) paused_namespaces: BTreeSet<String>,
    /// StellarNodes that cannot be parsed.
    pub(crate) unreadable: BTreeSet<NodeId>,
    pub(crate) options: Options,
    /// The delay of the kubelets' reads.
    pub(crate) late: Millis,
    /// Versions that never vote.
    pub(crate) bad_versions: BTreeSet<u32>,
    /// The delay until the StatefulSet controller sees a new template.
    pub(crate) controller_late: Millis,
    /// Whether Kubernetes keeps a pod that is not Ready, as from 1.37 on.
    pub(crate) keeps_unready: bool,
    serial: u64,
    pub(crate) reuse: Vec<String>,
    pub(crate) reuse_addresses: bool,
    pub(crate) list_writes: u32,
    /// The most validators of one network that the operator had down at once.
    pub(crate) most_down: usize,
    pub(crate) most_slots: usize,
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            now: 0,
            nodes: Vec::new(),
            lists: BTreeMap::new(),
            history: Vec::new(),
            two_namespaces: false,
            leases: BTreeMap::new(),
            paused_namespaces: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            options,
            late: 0,
            bad_versions: BTreeSet::new(),
            controller_late: 0,
            keeps_unready: false,
            serial: 0,
            reuse: Vec::new(),
            reuse_addresses: false,
            list_writes: 0,
            most_down: 0,
            most_slots: 0,
        }
    }

    /// A new number.
    pub(crate) fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(crate) fn join(&mut self, name: &str) -> &mut SimNode {
        let uid = format!("node-{}", self.next());
        let namespace = NAMESPACES[if self.two_namespaces { self.nodes.len() % 2 } else { 0 }];
        self.all_have_a_reason();
        let spec = Spec {
            port: 11625,
            version: 1,
        };
        self.nodes.push(SimNode {
            id: NodeId::new(namespace, name),
            uid,
            kind: Kind::Ours,
            created: self.now,
            network: Network::parse("Simulated Network ; 2026"),
            list: ListId {
                namespace: namespace.to_owned(),
                name: labels::DEFAULT_PEERS_CONFIG_MAP.to_owned(),
            },
            spec,
            suspended: false,
            paused: false,
            deleting: None,
            broken: false,
            crash: None,
            waits_for_person: false,
            no_workload_until: None,
            flapping_until: 0,
            refused: false,
            outdated_since: None,
            no_machine: false,
            resource_version: 1,
            revision: 1,
            template: spec,
            config: spec.version,
            stored_spec: (spec, false),
            changed: self.now,
            member: None,
            assumed: None,
            last_restart: None,
            given_back: None,
            joined: None,
            mirror: None,
            pod: None,
            database: BTreeMap::new(),
            voting_since: None,
            has_voted: false,
            restarts: Vec::new(),
            reasons: 1,
            down_by_us: None,
        });
        self.nodes.last_mut().unwrap()
    }

    /// The members, their ports or their addresses changed, so each validator may restart once more.
    pub(crate) fn all_have_a_reason(&mut self) {
        for node in &mut self.nodes {
            node.reasons += 1;
        }
    }

    pub(crate) fn kill_pod(&mut self, index: usize) {
        let now = self.now;
        if let Some(pod) = self.nodes.get_mut(index).and_then(|node| node.pod.as_mut()) {
            pod.dying.get_or_insert(now + crate::kubelet::ENDS);
        }
    }

    /// Every validator loses its pod at once.
    pub(crate) fn cut_the_power(&mut self) {
        (0..self.nodes.len()).for_each(|index| self.kill_pod(index));
    }

    /// The core container of a validator crashes for `span` and runs for `runs` each time.
    pub(crate) fn crash(&mut self, index: usize, span: Millis, runs: Millis) {
        let from = self.now;
        let until = from.saturating_add(span);
        self.nodes[index].crash = Some(Crash { from, until, runs });
    }

    /// Changes a list by hand.
    pub(crate) fn edit_list(&mut self, edit: impl FnOnce(&mut PublishedList)) {
        let Some((id, list)) = self.lists.iter_mut().next() else {
            return;
        };
        edit(list);
        list.resource_version.push('x');
        let json = list.data.get(labels::PEERS_JSON);
        list.list = json.and_then(|json| PeerList::parse(json).ok());
        // Pods that start now load it.
        let read = list.list.clone().map(|list| (self.now, id.clone(), list));
        self.history.extend(read);
    }

    /// Lets time pass with an operator without faults, which decides on each change, at the times that it asked for,
    /// and periodically.
    pub(crate) fn run(&mut self, span: Duration) {
        let start = self.now;
        let end = start + i64::try_from(span.as_millis()).unwrap();
        let mut seen: Option<Snapshot> = None;
        let interval = SignedDuration::from_secs(i64::try_from(self.options.discovery_interval_secs).unwrap());
        let mut wake = time(self.now);
        while self.now < end {
            // Use short steps at first; later only waits and fuses end.
            self.now += if self.now - start < 240_000 { 500 } else { 3_000 };
            self.settle();
            let snapshot = self.snapshot();
            let is_due = wake <= snapshot.now;
            let is_new = seen.take().is_none_or(|mut before| {
                before.now = snapshot.now;
                before != snapshot
            });
            if is_due || is_new {
                let plan = self.operate(&snapshot, Fault::default());
                let latest = snapshot.now + interval;
                wake = plan.wake.map_or(latest, |wake| wake.min(latest));
                self.settle();
            }
            seen = Some(snapshot);
        }
    }

    /// Lets time pass in steps of half a second with an operator whose clock is ahead.
    pub(crate) fn run_with_clock(&mut self, cycles: i64, ahead: impl Fn(i64) -> Millis) {
        for cycle in 0..cycles {
            self.now += 500;
            self.settle();
            let mut snapshot = self.snapshot();
            snapshot.now = time(self.now + ahead(cycle));
            self.operate(&snapshot, Fault::default());
            self.settle();
        }
    }

    pub(crate) fn restarts(&self) -> usize {
        self.nodes.iter().map(|node| node.restarts.len()).sum()
    }

    pub(crate) fn restarts_of_each(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.restarts.len()).collect()
    }

    pub(crate) fn voting(&self) -> usize {
        self.nodes.iter().filter(|node| self.is_voting(node)).count()
    }

    /// The number of held slots in all networks.
    pub(crate) fn slots(&self) -> usize {
        self.leases.values().map(|lease| lease.slots.len()).sum()
    }
}

pub(crate) fn options(restart: RestartMode) -> Options {
    Options {
        restart,
        ..Options::default()
    }
}

/// A network of this many validators at rest.
pub(crate) fn network_of(count: usize, restart: RestartMode) -> World {
    let mut world = World::new(options(restart));
    for index in 0..count {
        world.join(&format!("validator-{index}"));
    }
    world.run(minutes(12));
    world
}

/// Whether a slot plan has nothing to do.
pub(crate) fn is_idle(slots: &SlotPlan) -> bool {
    slots.write.is_none() && slots.steps.is_empty()
}
