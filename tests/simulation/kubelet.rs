//! Simulates Kubernetes: the StatefulSet controller, the kubelets, which may read a ConfigMap late, and the part of the
//! StellarNode controller that restarts no validator.

use std::collections::BTreeSet;

use stellar_k8s::peers::{PeerList, Report};

use crate::world::{Kind, Millis, SimNode, SimPod, World};

/// The times that a pod needs to end, to get an address and read its list, to become ready, and to vote.
pub(crate) const ENDS: Millis = 300;
pub(crate) const RENDERS: Millis = 400;
pub(crate) const STARTS: Millis = 2_000;
const READY: Millis = 2_500;
const VOTES: Millis = 4_000;
/// The delay before a crashed container is restarted.
const BACK_OFF: Millis = 5_000;
/// How long the deletion of a StellarNode takes.
const GOES: Millis = 1_000;

impl World {
    /// Advances everything except the operator to the current time.
    pub(crate) fn settle(&mut self) {
        let now = self.now;
        self.nodes.retain(|node| {
            let gone = node.deleting.is_some_and(|since| since + GOES <= now) && node.pod.is_none();
            !gone
        });
        for index in 0..self.nodes.len() {
            self.reconcile(index);
            self.replace(index);
            self.render(index);
        }
        self.vote();
        for index in 0..self.nodes.len() {
            let back = match self.nodes[index].down_by_us {
                Some(voted) => self.is_back(&self.nodes[index], voted),
                None => false,
            };
            if back || !self.nodes[index].is_wanted() {
                self.nodes[index].down_by_us = None;
            }
        }
        for (network, lease) in &self.leases {
            let is_down = |node: &&SimNode| node.down_by_us == Some(true) && node.network.short_hash() == *network;
            self.most_down = self.most_down.max(self.nodes.iter().filter(is_down).count());
            self.most_slots = self.most_slots.max(lease.slots.len());
        }
    }

    /// The StellarNode controller, or the owner of a foreign StatefulSet.
    fn reconcile(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        let spec = (node.spec, node.suspended);
        if node.stored_spec != spec {
            (node.stored_spec, node.changed) = (spec, now);
        }
        if node.no_workload_until.is_some_and(|until| until <= now) {
            node.no_workload_until = None;
            node.resource_version += 1;
            node.revision += 1;
            (node.template, node.config) = (node.spec, node.spec.version);
        }
        if node.template != node.spec && (node.suspended || node.kind == Kind::Foreign) {
            (node.template, node.config) = (node.spec, node.spec.version);
            node.resource_version += 1;
            node.revision += 1;
        }
        if node.template == node.spec {
            node.config = node.spec.version;
        }
    }

    /// The StatefulSet controller.
    fn replace(&mut self, index: usize) {
        let now = self.now;
        let node = &self.nodes[index];
        let wanted = node.is_wanted() && node.no_workload_until.is_none();
        let outdated = node.pod.as_ref().is_some_and(|pod| pod.revision != node.revision);
        let since = outdated.then(|| node.outdated_since.unwrap_or(now));
        let seen = since.is_some_and(|since| since + self.controller_late <= now);
        let replaceable = !node.waits_for_person && (!self.keeps_unready || self.is_voting(node));
        self.nodes[index].outdated_since = since;
        if !wanted || (seen && replaceable) {
            self.kill_pod(index);
        }
        let ended = self.nodes[index]
            .pod
            .take_if(|pod| pod.dying.is_some_and(|end| end <= now));
        self.reuse.extend(ended.map(|pod| pod.ip));
        if wanted && self.nodes[index].pod.is_none() && !self.nodes[index].no_machine {
            let pod = self.new_pod(index);
            self.nodes[index].pod = Some(pod);
        }
    }

    /// Whether a validator that the operator took down is back: its new pod votes or is ready as the old one was.
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
        let freed = (self.reuse_addresses && !self.reuse.is_empty()).then(|| self.reuse.remove(0));
        let ip = match freed {
            Some(ip) => ip,
            None => format!("10.{}.{}.{}", uid / 65_536, uid / 256 % 256, uid % 256),
        };
        let node = &self.nodes[index];
        SimPod {
            uid,
            revision: node.revision,
            born: self.now,
            ip,
            spec: node.template,
            config: None,
            report: None,
            loaded: None,
            dials: BTreeSet::new(),
            dying: None,
        }
    }

    /// The init container reads the list and the base config once in the life of a pod.
    fn render(&mut self, index: usize) {
        let (now, late) = (self.now, self.late);
        let node = &self.nodes[index];
        let Some(pod) = node.pod.as_ref() else {
            return;
        };
        if pod.loaded.is_some() || now < pod.born + RENDERS {
            return;
        }
        let read = pod.born + RENDERS - late;
        let list = self
            .history
            .iter()
            .rev()
            .find(|(written, of, _)| *written <= read && *of == node.list);
        let report = list.map_or_else(Report::of_nothing, |(_, _, list)| Report::of_list(list, &node.id));
        let of_its_network = |list: &&PeerList| list.other_network(node.network.passphrase()).is_none();
        let listed = list.map(|(_, _, list)| list).filter(of_its_network);
        let mut dials: BTreeSet<String> = listed.into_iter().flat_map(PeerList::addresses).collect();
        dials.extend(node.database.values().cloned());
        // The API transports the report as text.
        let report = Report::parse(&report.to_message("G")).unwrap();
        let Report::Loaded { view, .. } = report.clone() else {
            return;
        };
        let node = &mut self.nodes[index];
        let config = node.config;
        if let Some(pod) = node.pod.as_mut() {
            pod.config = Some(config);
            pod.loaded = Some(view);
            pod.dials = dials;
            pod.report = (node.kind == Kind::Ours).then_some(report);
        }
    }

    /// The start of the core container; `None` while it does not run.
    pub(crate) fn started(&self, node: &SimNode) -> Option<Millis> {
        let first = node.pod.as_ref()?.born + STARTS;
        if self.now < first {
            return None;
        }
        let Some(crash) = node.crash.filter(|crash| crash.until > first && crash.from <= self.now) else {
            return Some(first);
        };
        let begin = crash.from.max(first);
        // After the crashes end, the container is started once more.
        let in_crash = self.now.min(crash.until - 1) - begin;
        let rounds = in_crash / (BACK_OFF + crash.runs);
        let start = begin + rounds * (BACK_OFF + crash.runs) + BACK_OFF;
        (start <= self.now).then_some(start)
    }

    /// Whether the core container has run for this time.
    fn has_run(&self, node: &SimNode, until: Millis) -> bool {
        let started = self.started(node);
        started.is_some_and(|started| self.now >= started + until - STARTS)
    }

    pub(crate) fn is_ready(&self, node: &SimNode) -> bool {
        let flapping = self.now < node.flapping_until;
        let dying = node.pod.as_ref().is_some_and(|pod| pod.dying.is_some());
        self.has_run(node, READY) && !dying && !flapping
    }

    pub(crate) fn is_voting(&self, node: &SimNode) -> bool {
        node.voting_since.is_some() && self.can_vote(node)
    }

    /// Whether a validator votes if it is connected to a quorum.
    fn can_vote(&self, node: &SimNode) -> bool {
        let bad = |pod: &SimPod| self.bad_versions.contains(&pod.spec.version);
        let bad = node.broken || node.pod.as_ref().is_some_and(bad);
        self.is_ready(node) && self.has_run(node, VOTES) && !bad
    }

    /// Connects validators that dial each other, and computes which ones vote: those that reach most of their quorum
    /// set. A quorum set has the group's validators that voted before, or all that serve if none voted yet.
    pub(crate) fn vote(&mut self) {
        let parts = self.connect();
        let together = |one: &SimNode, other: &SimNode| {
            let same_list = one.list == other.list || (self.two_namespaces && one.list.name == other.list.name);
            one.network == other.network && same_list
        };
        let votes: Vec<bool> = (0..self.nodes.len())
            .map(|index| {
                let node = &self.nodes[index];
                // The operator did not build this pod: its Ready condition only says that it serves.
                if node.kind != Kind::Ours {
                    return self.can_vote(node);
                }
                let of_group = |other: &&usize| self.nodes[**other].is_wanted() && together(node, &self.nodes[**other]);
                let all: Vec<usize> = (0..self.nodes.len()).collect();
                let mut quorum_set: Vec<&usize> = all.iter().filter(of_group).collect();
                if quorum_set.iter().any(|other| self.nodes[**other].has_voted) {
                    quorum_set.retain(|other| self.nodes[**other].has_voted);
                } else {
                    quorum_set.retain(|other| self.is_ready(&self.nodes[**other]));
                }
                let reached = quorum_set
                    .iter()
                    .filter(|other| parts[***other] == parts[index])
                    .count();
                self.can_vote(node) && 2 * reached > quorum_set.len()
            })
            .collect();
        let now = self.now;
        for (node, votes) in self.nodes.iter_mut().zip(votes) {
            node.voting_since = votes.then(|| node.voting_since.unwrap_or(now));
            node.has_voted |= votes;
        }
    }

    /// The connected part of the network of each validator. A serving node is connected to each node that it dials or
    /// that dials it, as long as both pods live. Both store the address in their peer databases.
    fn connect(&mut self) -> Vec<usize> {
        let mut parts: Vec<usize> = (0..self.nodes.len()).collect();
        let mut met = Vec::new();
        for one in 0..self.nodes.len() {
            for other in one + 1..self.nodes.len() {
                let (a, b) = (&self.nodes[one], &self.nodes[other]);
                let (Some(from), Some(to)) = (&a.pod, &b.pod) else {
                    continue;
                };
                let dials = from.dials.contains(&to.address()) || to.dials.contains(&from.address());
                if dials && a.network == b.network && self.is_ready(a) && self.is_ready(b) {
                    met.push((one, b.id.clone(), to.address()));
                    met.push((other, a.id.clone(), from.address()));
                    let (was, is) = (parts[other], parts[one]);
                    parts
                        .iter_mut()
                        .filter(|part| **part == was)
                        .for_each(|part| *part = is);
                }
            }
        }
        for (index, id, address) in met {
            self.nodes[index].database.insert(id, address);
        }
        parts
    }
}
