//! Simulates the operator: it decides on its snapshot and writes, and may fail or die between any two writes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use stellar_k8s::controller::discovery::decide::{Plan, decide};
use stellar_k8s::controller::model::conditions::ConditionType;
use stellar_k8s::controller::model::snapshot::{LastRestart, ListId, PublishedList, Slot, SlotLease, Snapshot};
use stellar_k8s::controller::observe::convert::mirrored;
use stellar_k8s::controller::rollout::plan::{PlannedSlots, Step};
use stellar_k8s::crd::Network;
use stellar_k8s::labels;
use stellar_k8s::peers::{NodeId, PeerList, View};

use crate::checks::assert_that_the_others_vote;
use crate::world::{Kind, SimNode, Spec, World, time};

/// The fault of one cycle of the operator.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fault {
    /// It dies after this many writes.
    pub(crate) dies_after: Option<usize>,
    /// Every n-th write fails.
    pub(crate) fails_every: Option<usize>,
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

impl World {
    /// Runs one cycle of an operator that sees `snapshot`.
    pub(crate) fn operate(&mut self, snapshot: &Snapshot, fault: Fault) -> Plan {
        let plan = decide(snapshot, &self.options);
        self.carry_out(snapshot, &plan, fault);
        plan
    }

    /// Executes the writes of a plan.
    pub(crate) fn carry_out(&mut self, snapshot: &Snapshot, plan: &Plan, fault: Fault) {
        let mut writes = Writes { fault, done: 0 };
        self.write(snapshot, plan, &mut writes);
    }

    /// Executes the writes in order; returns `None` if the operator dies.
    fn write(&mut self, snapshot: &Snapshot, plan: &Plan, writes: &mut Writes) -> Option<()> {
        for record in &plan.records {
            if writes.next()?
                && let Some(node) = self.at_version(&record.node, &record.resource_version)
            {
                node.member.clone_from(&record.member);
                node.assumed.clone_from(&record.assumed);
            }
        }
        for write in &plan.lists {
            if writes.next()? {
                let seen = snapshot.lists.get(&write.id).map(|list| &list.resource_version);
                self.write_list(&write.id, seen, &write.data, &write.network);
            }
        }
        for removal in &plan.removals {
            if writes.next()? && snapshot.lists.get(&removal.id) == self.lists.get(&removal.id) {
                self.lists.remove(&removal.id);
            }
        }
        for (network, slots) in &plan.slots {
            for step in &slots.steps {
                self.step(snapshot, plan, step, writes)?;
            }
            if let Some(write) = &slots.write
                && writes.next()?
            {
                self.write_lease(snapshot, network, write);
            }
        }
        // The operator writes the status in a separate task.
        if writes.next()? {
            self.write_status(plan, snapshot.now);
        }
        Some(())
    }

    /// The StatefulSet with this name, if it still has this version.
    fn at_version(&mut self, id: &NodeId, version: &str) -> Option<&mut SimNode> {
        let node = self.nodes.iter_mut().find(|node| node.id == *id)?;
        if node.no_workload_until.is_some() || node.resource_version.to_string() != version {
            return None;
        }
        // R7: the operator writes no foreign StatefulSet.
        assert_ne!(node.kind, Kind::Foreign, "{id} is foreign and is written");
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
            uid: format!("list-{version}"),
            resource_version: version.to_string(),
            ours: true,
            network: Some(network.short_hash()),
            data: data.clone(),
            list: Some(list),
        };
        self.lists.insert(id.clone(), published);
    }

    fn write_lease(&mut self, snapshot: &Snapshot, network: &str, planned: &PlannedSlots) {
        let version = |lease: Option<&SlotLease>| lease.and_then(|lease| lease.resource_version.clone());
        if version(snapshot.slots.get(network)) == version(self.leases.get(network)) {
            let version = self.next();
            let before = self.leases.get(network).and_then(|lease| lease.created);
            let lease = SlotLease {
                created: before.or(Some(time(self.now))),
                resource_version: Some(version.to_string()),
                readable: true,
                slots: planned.slots.clone(),
                served: planned.served.clone(),
                joined: planned.joined.clone(),
            };
            self.leases.insert(network.to_owned(), lease);
        }
    }

    fn write_status(&mut self, plan: &Plan, now: Timestamp) {
        for node in &mut self.nodes {
            let Some(report) = plan.reports.get(&node.id) else {
                continue;
            };
            let joined = report
                .conditions
                .iter()
                .any(|finding| finding.condition() == ConditionType::Joined && finding.status);
            node.joined = joined.then(|| node.joined.unwrap_or(now));
            node.mirror = node.joined.and_then(|joined| mirrored(&node.id, &report.peers, joined));
        }
    }

    fn step(&mut self, snapshot: &Snapshot, plan: &Plan, step: &Step, writes: &mut Writes) -> Option<()> {
        if let Step::Restart(slot) | Step::ApplyTemplate(slot) = step {
            if !self.still_follows(snapshot, step) {
                return Some(());
            }
            if self.nodes.iter().any(|node| node.id == slot.node && node.refused) {
                // A dry run shows the refusal before anything is written.
                writes.next()?;
                return Some(());
            }
        }
        if let Step::ApplyTemplate(slot) = step {
            // The base config is written first and without a precondition.
            if !writes.next()? {
                return Some(());
            }
            self.write_base_config(snapshot, slot);
        }
        if !writes.next()? {
            return Some(());
        }
        match step {
            Step::DeletePod {
                node, resource_version, ..
            } => self.delete_pod(node, resource_version),
            Step::GiveBack(slot) => {
                if let Some(node) = self.holder(snapshot, slot) {
                    node.given_back = Some(slot.since);
                }
            }
            Step::Restart(slot) => {
                let view: View = plan.views.get(&slot.node).cloned().unwrap_or_else(View::empty);
                let at = slot.since;
                self.take_down(snapshot, slot, slot.cause.as_str(), |node| {
                    let pod_uid = slot.pod_uid.clone();
                    node.last_restart = Some(LastRestart { at, view, pod_uid });
                });
            }
            Step::ApplyTemplate(slot) if is_of_its_spec(snapshot, slot) => {
                self.take_down(snapshot, slot, "SpecChanged", |node| node.template = spec_of(slot));
            }
            Step::ApplyTemplate(_) => {}
        }
        Some(())
    }

    /// Whether the operator would still decide this restart with the current pods.
    fn still_follows(&self, snapshot: &Snapshot, step: &Step) -> bool {
        let mut now = snapshot.clone();
        let present = self.snapshot().validators;
        for validator in &mut now.validators {
            let same = present.iter().find(|other| other.uid == validator.uid);
            validator.pod = same.and_then(|other| other.pod.clone());
        }
        let plan = decide(&now, &self.options);
        plan.slots.values().any(|slots| slots.steps.contains(step))
    }

    fn write_base_config(&mut self, snapshot: &Snapshot, slot: &Slot) {
        let node = self.nodes.iter_mut().find(|node| node.id == slot.node);
        if let Some(node) = node.filter(|_| is_of_its_spec(snapshot, slot)) {
            node.config = spec_of(slot).version;
        }
    }

    fn delete_pod(&mut self, id: &NodeId, version: &str) {
        if let Some(index) = self.nodes.iter().position(|node| node.id == *id)
            && self.pod_version(&self.nodes[index]).as_deref() == Some(version)
        {
            self.kill_pod(index);
        }
    }

    /// The StatefulSet of a slot's holder, if it still has the version of the snapshot.
    fn holder(&mut self, snapshot: &Snapshot, slot: &Slot) -> Option<&mut SimNode> {
        let seen = snapshot.validators.iter().find(|seen| seen.uid == slot.uid)?;
        self.at_version(&slot.node, &seen.workload.as_ref()?.resource_version)
    }

    fn take_down(&mut self, snapshot: &Snapshot, slot: &Slot, why: &'static str, change: impl FnOnce(&mut SimNode)) {
        let now = self.now;
        let before = self.nodes.iter().find(|node| node.id == slot.node);
        let voted = before.is_some_and(|node| self.is_voting(node));
        if voted {
            assert_that_the_others_vote(self, slot);
        }
        if let Some(node) = self.holder(snapshot, slot) {
            node.revision += 1;
            change(node);
            node.restarts.push((now, why));
            node.down_by_us = Some(node.down_by_us.unwrap_or(voted));
        }
    }
}

/// The spec of a slot.
fn spec_of(slot: &Slot) -> Spec {
    Spec::of_hash(slot.spec_hash.as_ref().unwrap())
}

/// Whether the holder still has the spec of its slot.
fn is_of_its_spec(snapshot: &Snapshot, slot: &Slot) -> bool {
    let seen = snapshot.validators.iter().find(|seen| seen.uid == slot.uid);
    seen.is_some_and(|seen| seen.spec_hash == slot.spec_hash)
}
