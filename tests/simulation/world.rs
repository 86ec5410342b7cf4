//! A small simulated cluster: StellarNodes, their StatefulSets, pods, kubelets that may read a ConfigMap late, and an
//! operator that may crash between any two writes, see an old state, or be there twice. No I/O; time is a number.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use stellar_k8s::controller::decide::{Plan, decide};
use stellar_k8s::controller::options::Options;
use stellar_k8s::controller::rollout::Step;
use stellar_k8s::controller::snapshot::{
    LastRestart, ListId, MemberRecord, Pod, PublishedList, Snapshot, Turn, TurnLease, Validator, Workload,
};
use stellar_k8s::crd::{Network, PeerGroup};
use stellar_k8s::labels;
use stellar_k8s::peers::{NodeId, PeerList, Report, View};

/// Milliseconds since the beginning.
pub(crate) type Millis = i64;

/// How long a pod takes: to end, to get an address and read its list, to be ready, to vote.
const ENDS: Millis = 300;
const RENDERS: Millis = 400;
const STARTS: Millis = 2_000;
const READY: Millis = 2_500;
const VOTES: Millis = 4_000;

pub(crate) fn time(millis: Millis) -> Timestamp {
    // An arbitrary day, so that nothing is near the epoch.
    Timestamp::from_millisecond(1_780_000_000_000 + millis).unwrap()
}

#[derive(Clone, Debug)]
pub(crate) struct SimPod {
    pub(crate) uid: u64,
    pub(crate) revision: u64,
    pub(crate) born: Millis,
    pub(crate) ip: String,
    pub(crate) port: u16,
    pub(crate) version: u32,
    pub(crate) report: Option<Report>,
    pub(crate) dying: Option<Millis>,
}

#[derive(Clone, Debug)]
pub(crate) struct SimNode {
    pub(crate) id: NodeId,
    pub(crate) uid: String,
    pub(crate) created: Millis,
    pub(crate) network: Network,
    pub(crate) port: u16,
    pub(crate) version: u32,
    pub(crate) suspended: bool,
    /// Never votes again, whatever is done to it.
    pub(crate) broken: bool,
    /// Its StatefulSet's updateStrategy is OnDelete.
    pub(crate) left_to_a_person: bool,
    /// Not ready for the moment.
    pub(crate) flapping_until: Millis,
    pub(crate) resource_version: u64,
    pub(crate) revision: u64,
    pub(crate) template: (u16, u32),
    /// The spec as the API server has it, and when it was last changed.
    stored_spec: (u16, u32, bool),
    changed: Millis,
    pub(crate) member: Option<MemberRecord>,
    pub(crate) last_restart: Option<LastRestart>,
    given_back: Option<Timestamp>,
    pub(crate) pod: Option<SimPod>,
    /// Restarts by the operator, with the time.
    pub(crate) restarts: Vec<(Millis, &'static str)>,
    /// How often the world gave it a reason to be restarted.
    pub(crate) reasons: u32,
    /// Taken down by the operator and not back yet; whether it voted then.
    pub(crate) down_by_us: Option<bool>,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) nodes: Vec<SimNode>,
    pub(crate) lists: BTreeMap<ListId, PublishedList>,
    /// What kubelets that read late still see.
    history: Vec<(Millis, ListId, PeerList)>,
    /// Every other validator is in another namespace, and the two namespaces are one group.
    pub(crate) two_namespaces: bool,
    pub(crate) lease: TurnLease,
    pub(crate) options: Options,
    /// How late kubelets read.
    pub(crate) late: Millis,
    /// Versions that never vote.
    pub(crate) bad_versions: BTreeSet<u32>,
    /// From Kubernetes 1.37 a pod that is not Ready is not replaced.
    pub(crate) keeps_unready: bool,
    serial: u64,
    reuse: Vec<String>,
    pub(crate) reuse_addresses: bool,
    pub(crate) list_writes: u32,
    pub(crate) most_down: usize,
    pub(crate) most_turns: usize,
}

/// What goes wrong with one cycle of the operator.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fault {
    /// It dies after so many writes.
    pub(crate) dies_after: Option<usize>,
    /// Every n-th write fails.
    pub(crate) fails_every: Option<usize>,
}

/// The namespaces of a group that spreads over two.
const NAMESPACES: [&str; 2] = ["stellar", "stellar-b"];

fn list_of(id: &NodeId) -> ListId {
    ListId {
        namespace: id.namespace.clone(),
        name: labels::DEFAULT_PEERS_CONFIG_MAP.to_owned(),
    }
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            now: 0,
            nodes: Vec::new(),
            lists: BTreeMap::new(),
            history: Vec::new(),
            two_namespaces: false,
            lease: TurnLease {
                resource_version: None,
                readable: true,
                turns: Vec::new(),
            },
            options,
            late: 0,
            bad_versions: BTreeSet::new(),
            keeps_unready: false,
            serial: 0,
            reuse: Vec::new(),
            reuse_addresses: false,
            list_writes: 0,
            most_down: 0,
            most_turns: 0,
        }
    }

    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(crate) fn join(&mut self, name: &str) {
        let uid = format!("node-{}", self.next());
        let namespace = NAMESPACES[if self.two_namespaces { self.nodes.len() % 2 } else { 0 }];
        self.nodes.push(SimNode {
            id: NodeId::new(namespace, name),
            uid,
            created: self.now,
            network: Network::parse("Simulated Network ; 2026"),
            port: 11625,
            version: 1,
            suspended: false,
            broken: false,
            left_to_a_person: false,
            flapping_until: 0,
            resource_version: 1,
            revision: 1,
            template: (11625, 1),
            stored_spec: (11625, 1, false),
            changed: self.now,
            member: None,
            last_restart: None,
            given_back: None,
            pod: None,
            restarts: Vec::new(),
            reasons: 0,
            down_by_us: None,
        });
        self.everybody_has_a_reason();
    }

    /// The set of members or their ports changed, or addresses were lost: one restart more for everybody is just.
    pub(crate) fn everybody_has_a_reason(&mut self) {
        for node in &mut self.nodes {
            node.reasons += 1;
        }
    }

    pub(crate) fn kill_pod(&mut self, index: usize) {
        let now = self.now;
        if let Some(pod) = self.nodes.get_mut(index).and_then(|node| node.pod.as_mut()) {
            pod.dying.get_or_insert(now + ENDS);
        }
    }

    /// StatefulSet controller and kubelets, up to the present time.
    pub(crate) fn settle(&mut self) {
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            let spec = (node.port, node.version, node.suspended);
            if node.stored_spec != spec {
                (node.stored_spec, node.changed) = (spec, self.now);
            }
            let node = &self.nodes[index];
            let wanted = !node.suspended;
            let outdated = node.pod.as_ref().is_some_and(|pod| pod.revision != node.revision);
            let replaceable = !node.left_to_a_person && (!self.keeps_unready || self.is_voting(node));
            if !wanted || (outdated && replaceable) {
                self.kill_pod(index);
            }
            let now = self.now;
            if let Some(pod) = self.nodes[index]
                .pod
                .take_if(|pod| pod.dying.is_some_and(|end| end <= now))
            {
                self.reuse.push(pod.ip);
            }
            if wanted && self.nodes[index].pod.is_none() {
                let pod = self.new_pod(index);
                self.nodes[index].pod = Some(pod);
            }
            self.render(index);
            let back = match self.nodes[index].down_by_us {
                Some(voted) => self.is_back(&self.nodes[index], voted),
                None => false,
            };
            if back || !wanted {
                self.nodes[index].down_by_us = None;
            }
        }
        let down = self.nodes.iter().filter(|node| node.down_by_us == Some(true)).count();
        self.most_down = self.most_down.max(down);
        self.most_turns = self.most_turns.max(self.lease.turns.len());
    }

    /// Whether a validator that we took down is back: its new pod does what the old one did.
    fn is_back(&self, node: &SimNode, voted: bool) -> bool {
        let fresh = node
            .pod
            .as_ref()
            .is_some_and(|pod| pod.revision == node.revision && pod.dying.is_none());
        fresh
            && if voted {
                self.is_voting(node)
            } else {
                self.is_ready(node)
            }
    }

    fn new_pod(&mut self, index: usize) -> SimPod {
        let uid = self.next();
        let ip = match self.reuse.pop().filter(|_| self.reuse_addresses) {
            Some(ip) => ip,
            None => format!("10.{}.{}.{}", uid / 65_536, uid / 256 % 256, uid % 256),
        };
        let node = &self.nodes[index];
        SimPod {
            uid,
            revision: node.revision,
            born: self.now,
            ip,
            port: node.template.0,
            version: node.template.1,
            report: None,
            dying: None,
        }
    }

    fn render(&mut self, index: usize) {
        let (now, late) = (self.now, self.late);
        let id = self.nodes[index].id.clone();
        let seen_at = |read: Millis| {
            self.history
                .iter()
                .rev()
                .find(|(written, of, _)| *written <= read - late && *of == list_of(&id))
                .map(|(_, _, list)| list.clone())
        };
        let Some(pod) = self.nodes[index].pod.as_ref() else {
            return;
        };
        if pod.report.is_some() || now < pod.born + RENDERS {
            return;
        }
        let report = seen_at(pod.born + RENDERS).map_or_else(Report::of_nothing, |list| Report::of_list(&list, &id));
        // On its way through the API the report is text.
        let report = Report::parse(&report.to_message("G"));
        if let Some(pod) = self.nodes[index].pod.as_mut() {
            pod.report = report;
        }
    }

    pub(crate) fn is_ready(&self, node: &SimNode) -> bool {
        let flapping = self.now < node.flapping_until;
        node.pod
            .as_ref()
            .is_some_and(|pod| pod.dying.is_none() && self.now >= pod.born + READY)
            && !flapping
    }

    pub(crate) fn is_voting(&self, node: &SimNode) -> bool {
        let votes = node
            .pod
            .as_ref()
            .is_some_and(|pod| self.now >= pod.born + VOTES && !self.bad_versions.contains(&pod.version));
        self.is_ready(node) && votes && !node.broken
    }

    /// Of a pod: another one with every change of its status.
    fn pod_version(&self, node: &SimNode) -> Option<String> {
        let pod = node.pod.as_ref()?;
        let reported = pod.report.is_some();
        let state = (pod.uid, pod.dying, reported, self.is_ready(node), self.is_voting(node));
        Some(format!("{state:?}"))
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let validators = self.nodes.iter().map(|node| self.validator(node)).collect();
        let network = Network::parse("Simulated Network ; 2026").short_hash();
        let turns = match self.lease.resource_version {
            None => BTreeMap::new(),
            Some(_) => BTreeMap::from([(network, self.lease.clone())]),
        };
        Snapshot {
            now: time(self.now),
            validators,
            unreadable: BTreeSet::new(),
            lists: self.lists.clone(),
            budgets: BTreeMap::new(),
            turns,
            paused_namespaces: BTreeSet::new(),
        }
    }

    fn validator(&self, node: &SimNode) -> Validator {
        let after =
            |millis| move |pod: &SimPod| (self.now >= pod.born + millis).then(|| whole_second(pod.born + millis));
        let workload = Workload {
            name: node.id.name.clone(),
            resource_version: node.resource_version.to_string(),
            ours: true,
            replicas: i32::from(!node.suspended),
            observed: true,
            update_revision: Some(node.revision.to_string()),
            waits_for_person: node.left_to_a_person,
            convertible: true,
            reports: true,
            spec_hash: Some(format!("{}-{}", node.template.0, node.template.1)),
            member: node.member.clone(),
            last_restart: node.last_restart.clone(),
            given_back: node.given_back,
            assumed: None,
        };
        let pod = node.pod.as_ref().map(|pod| Pod {
            resource_version: self.pod_version(node).unwrap_or_default(),
            uid: pod.uid.to_string(),
            name: format!("{}-0", node.id.name),
            deleting: pod.dying.is_some(),
            running: self.now >= pod.born + STARTS,
            ip: (self.now >= pod.born + RENDERS).then(|| pod.ip.clone()),
            port: Some(pod.port),
            revision: Some(pod.revision.to_string()),
            rendered: after(RENDERS)(pod),
            started: after(STARTS)(pod),
            ready: self.is_ready(node),
            voting_since: self
                .is_voting(node)
                .then(|| whole_second((pod.born + VOTES).max(node.flapping_until))),
            report: pod.report.clone(),
        });
        Validator {
            id: node.id.clone(),
            uid: node.uid.clone(),
            created: time(node.created),
            network: node.network.clone(),
            list: list_of(&node.id),
            peer_group: self.two_namespaces.then(|| PeerGroup {
                name: "both".to_owned(),
                namespaces: NAMESPACES.map(str::to_owned).to_vec(),
            }),
            spec_port: node.port,
            suspended: node.suspended,
            deleting: false,
            paused: false,
            approved: None,
            changed: Some(whole_second(node.changed)),
            spec_hash: Some(format!("{}-{}", node.port, node.version)),
            mirror: None,
            workload: Some(workload),
            pod,
        }
    }

    /// One cycle of an operator that sees `snapshot`.
    pub(crate) fn operate(&mut self, snapshot: &Snapshot, fault: Fault) -> Plan {
        let plan = decide(snapshot, &self.options);
        let mut writes = Writes { fault, done: 0 };
        self.write(snapshot, &plan, &mut writes);
        plan
    }

    /// The writes of a plan in their order; ends early where the operator dies.
    fn write(&mut self, snapshot: &Snapshot, plan: &Plan, writes: &mut Writes) -> Option<()> {
        for record in &plan.records {
            if writes.next()?
                && let Some(node) = self.at_version(&record.node, &record.resource_version)
            {
                node.member.clone_from(&record.member);
            }
        }
        for write in &plan.lists {
            if writes.next()? {
                let seen = snapshot.lists.get(&write.id).map(|list| &list.resource_version);
                self.write_list(&write.id, seen, &write.data, &write.network);
            }
        }
        for turns in plan.turns.values() {
            for step in &turns.steps {
                if writes.next()? {
                    self.step(snapshot, plan, step);
                }
            }
            if let Some(write) = &turns.write
                && writes.next()?
            {
                self.write_lease(snapshot, write);
            }
        }
        Some(())
    }

    fn at_version(&mut self, id: &NodeId, version: &str) -> Option<&mut SimNode> {
        let node = self.nodes.iter_mut().find(|node| node.id == *id)?;
        if node.resource_version.to_string() != version {
            return None;
        }
        node.resource_version += 1;
        Some(node)
    }

    fn write_list(&mut self, id: &ListId, seen: Option<&String>, data: &BTreeMap<String, String>, network: &Network) {
        if seen != self.lists.get(id).map(|list| &list.resource_version) {
            return;
        }
        let list = PeerList::parse(&data[labels::PEERS_JSON]).unwrap();
        self.history.push((self.now, id.clone(), list.clone()));
        self.list_writes += 1;
        let version = self.next();
        let published = PublishedList {
            uid: "list".to_owned(),
            resource_version: version.to_string(),
            ours: true,
            network: Some(network.short_hash()),
            data: data.clone(),
            list: Some(list),
        };
        self.lists.insert(id.clone(), published);
    }

    fn write_lease(&mut self, snapshot: &Snapshot, turns: &[Turn]) {
        let seen = snapshot
            .turns
            .values()
            .next()
            .and_then(|lease| lease.resource_version.clone());
        if seen == self.lease.resource_version {
            let version = self.next();
            self.lease = TurnLease {
                resource_version: Some(version.to_string()),
                readable: true,
                turns: turns.to_vec(),
            };
        }
    }

    fn step(&mut self, snapshot: &Snapshot, plan: &Plan, step: &Step) {
        let now = self.now;
        let (turn, kind) = match step {
            Step::Restart(turn) => (turn, turn.cause.as_str()),
            Step::ApplyTemplate(turn) => (turn, "SpecChanged"),
            Step::GiveBack(turn) => (turn, "given back"),
            Step::DeletePod {
                node, resource_version, ..
            } => {
                let index = self.nodes.iter().position(|other| other.id == *node).unwrap();
                if self.pod_version(&self.nodes[index]).as_ref() == Some(resource_version) {
                    self.kill_pod(index);
                }
                return;
            }
        };
        let view: View = plan.views.get(&turn.node).cloned().unwrap_or_else(View::empty);
        let version = snapshot
            .validators
            .iter()
            .find(|validator| validator.id == turn.node)
            .and_then(|validator| Some(validator.workload.as_ref()?.resource_version.clone()))
            .unwrap();
        let voted = self
            .nodes
            .iter()
            .find(|node| node.id == turn.node)
            .is_some_and(|node| self.is_voting(node));
        let Some(node) = self.at_version(&turn.node, &version) else {
            return;
        };
        if matches!(step, Step::GiveBack(_)) {
            node.given_back = Some(turn.since);
            return;
        }
        node.revision += 1;
        match step {
            Step::ApplyTemplate(_) => node.template = (node.port, node.version),
            _ => node.last_restart = Some(LastRestart { at: turn.since, view }),
        }
        node.restarts.push((now, kind));
        node.down_by_us = Some(node.down_by_us.unwrap_or(voted));
    }

    /// Lets time pass, in steps, with a faultless operator.
    pub(crate) fn run(&mut self, span: Duration) {
        let start = self.now;
        let end = start + i64::try_from(span.as_millis()).unwrap();
        while self.now < end {
            // Closely at first; later only waits and fuses end.
            self.now += if self.now - start < 240_000 { 500 } else { 3_000 };
            self.settle();
            let snapshot = self.snapshot();
            self.operate(&snapshot, Fault::default());
            self.settle();
        }
    }

    pub(crate) fn restarts(&self) -> usize {
        self.nodes.iter().map(|node| node.restarts.len()).sum()
    }
}

/// Kubernetes gives times in whole seconds.
fn whole_second(millis: Millis) -> Timestamp {
    time(millis)
        .round(
            jiff::TimestampRound::new()
                .smallest(jiff::Unit::Second)
                .mode(jiff::RoundMode::Trunc),
        )
        .unwrap()
}

struct Writes {
    fault: Fault,
    done: usize,
}

impl Writes {
    /// Whether the next write succeeds; `None` if the operator dies before it.
    fn next(&mut self) -> Option<bool> {
        if self.fault.dies_after == Some(self.done) {
            return None;
        }
        self.done += 1;
        Some(
            self.fault
                .fails_every
                .is_none_or(|every| !self.done.is_multiple_of(every)),
        )
    }
}

pub(crate) fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}
