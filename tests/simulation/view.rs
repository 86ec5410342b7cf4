//! Snapshots of the simulated API server as an operator sees it: each kind has its own watch, which may be late.

use std::collections::BTreeMap;

use jiff::Timestamp;
use stellar_k8s::controller::model::snapshot::{Pod, Snapshot, Validator, Workload};
use stellar_k8s::crd::PeerGroup;

use crate::kubelet::{RENDERS, STARTS};
use crate::world::{Kind, Millis, NAMESPACES, SimNode, SimPod, World, time};

impl World {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let readable = self.nodes.iter().filter(|node| !self.unreadable.contains(&node.id));
        Snapshot {
            now: time(self.now),
            validators: readable.map(|node| self.validator(node)).collect(),
            unreadable: self.unreadable.clone(),
            lists: self.lists.clone(),
            budgets: BTreeMap::new(),
            slots: self.leases.clone(),
            paused_namespaces: self.paused_namespaces.clone(),
        }
    }

    fn validator(&self, node: &SimNode) -> Validator {
        let has_workload = node.no_workload_until.is_none();
        Validator {
            id: node.id.clone(),
            uid: node.uid.clone(),
            created: time(node.created),
            network: node.network.clone(),
            list: node.list.clone(),
            peer_group: self.two_namespaces.then(|| PeerGroup {
                name: "both".to_owned(),
                namespaces: NAMESPACES.map(str::to_owned).to_vec(),
            }),
            spec_port: node.spec.port,
            suspended: node.suspended,
            deleting: node.deleting.is_some(),
            paused: node.paused,
            approved: None,
            changed: Some(whole_second(node.changed)),
            spec_hash: Some(node.spec.hash()),
            seed_held_by: None,
            mirror: node.mirror.clone(),
            workload: has_workload.then(|| workload(node)),
            pod: node.pod.as_ref().map(|pod| self.pod(node, pod)),
        }
    }

    fn pod(&self, node: &SimNode, pod: &SimPod) -> Pod {
        let started = self.started(node);
        let reports = node.kind == Kind::Ours;
        let rendered = pod.born + RENDERS;
        let voting_since = node.voting_since.filter(|_| self.is_voting(node));
        Pod {
            resource_version: self.pod_version(node).unwrap_or_default(),
            uid: pod.uid.to_string(),
            name: format!("{}-0", node.id.name),
            deleting: pod.dying.is_some(),
            running: self.now >= pod.born + STARTS,
            ip: (self.now >= rendered).then(|| pod.ip.clone()),
            port: Some(pod.spec.port),
            revision: Some(pod.revision.to_string()),
            list: None,
            rendered: (reports && self.now >= rendered).then(|| whole_second(rendered)),
            started: started.map(whole_second),
            ready: match node.kind {
                Kind::Ours => self.is_ready(node),
                // The operator did not build this pod: its Ready condition means both.
                Kind::Silent | Kind::Foreign => voting_since.is_some(),
            },
            voting_since: voting_since.map(whole_second),
            silent_since: None,
            voted_for: None,
            report: pod.report.clone(),
            blocked: None,
        }
    }

    /// The resource version of a pod, which changes with its status.
    pub(crate) fn pod_version(&self, node: &SimNode) -> Option<String> {
        let pod = node.pod.as_ref()?;
        let reported = pod.report.is_some();
        let state = (pod.uid, pod.dying, reported, self.is_ready(node), self.is_voting(node));
        Some(format!("{state:?} {:?}", self.started(node)))
    }
}

fn workload(node: &SimNode) -> Workload {
    let ours = node.kind != Kind::Foreign;
    Workload {
        name: node.id.name.clone(),
        resource_version: node.resource_version.to_string(),
        ours,
        replicas: i32::from(!node.suspended),
        observed: true,
        update_revision: Some(node.revision.to_string()),
        waits_for_person: node.waits_for_person,
        convertible: true,
        reports: node.kind == Kind::Ours,
        history: None,
        spec_hash: ours.then(|| node.template.hash()),
        member: node.member.clone(),
        last_restart: node.last_restart.clone(),
        given_back: node.given_back,
        assumed: node.assumed.clone(),
        refused: None,
    }
}

/// Kubernetes stores times in whole seconds.
fn whole_second(millis: Millis) -> Timestamp {
    Timestamp::from_second(time(millis).as_second()).unwrap()
}

/// The delay of an operator's watches in cycles, for each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ages {
    pub(crate) nodes: usize,
    pub(crate) workloads: usize,
    pub(crate) pods: usize,
    pub(crate) lists: usize,
    pub(crate) slots: usize,
}

/// The snapshots of the last cycles, the newest last.
#[derive(Debug)]
pub(crate) struct Seen(Vec<Snapshot>);

impl Seen {
    pub(crate) fn since(world: &World) -> Self {
        Self(vec![world.snapshot()])
    }

    pub(crate) fn look(&mut self, world: &World) {
        self.0.push(world.snapshot());
        self.0.drain(..self.0.len().saturating_sub(8));
    }

    fn ago(&self, cycles: usize) -> &Snapshot {
        &self.0[self.0.len().saturating_sub(1 + cycles)]
    }

    /// The snapshot of watches with these delays.
    pub(crate) fn with(&self, ages: Ages, world: &World) -> Snapshot {
        let mut seen = self.ago(ages.nodes).clone();
        seen.now = time(world.now);
        let of = |cycles: usize, validator: &Validator| {
            // Objects of a StellarNode are found by name.
            let others = &self.ago(cycles).validators;
            others.iter().find(|other| other.id == validator.id).cloned()
        };
        for validator in &mut seen.validators {
            validator.workload = of(ages.workloads, validator).and_then(|other| other.workload);
            validator.pod = of(ages.pods, validator).and_then(|other| other.pod);
        }
        seen.lists.clone_from(&self.ago(ages.lists).lists);
        seen.slots.clone_from(&self.ago(ages.slots).slots);
        seen
    }
}
