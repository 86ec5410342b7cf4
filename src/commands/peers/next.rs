//! Prints a plan: the operator's next writes, and the reasons for waiting restarts. Pure.

use std::collections::BTreeSet;

use crate::controller::discovery::decide::{ListWrite, Plan};
use crate::controller::model::snapshot::{Slot, Snapshot};
use crate::controller::peering::budgets::BudgetStep;
use crate::controller::rollout::plan::{SlotPlan, Step};
use crate::labels;
use crate::util::text::plain;

/// One line per write, and one per validator that waits for a restart.
pub(crate) fn text(snapshot: &Snapshot, plan: &Plan) -> String {
    let mut lines = Vec::new();
    for record in &plan.records {
        let what = match &record.member {
            Some(member) => format!("{} is a member at {}", record.node, member.address),
            None => format!("{} is no longer a member", record.node),
        };
        lines.push(format!("record on StatefulSet {}: {what}", record.workload));
    }
    lines.extend(plan.lists.iter().map(|write| list(snapshot, write)));
    for removal in &plan.removals {
        let id = &removal.id;
        lines.push(format!(
            "remove ConfigMap {}/{}: no validator refers to it",
            id.namespace, id.name
        ));
    }
    lines.extend(plan.budgets.iter().map(budget));
    for (network, slots) in &plan.slots {
        lines.extend(of_slots(snapshot, network, slots));
    }
    if lines.is_empty() {
        lines.push("nothing to write, and no restart waits".to_owned());
    }
    let lines: Vec<String> = lines.iter().map(|line| plain(line)).collect();
    lines.join("\n") + "\n"
}

fn list(snapshot: &Snapshot, write: &ListWrite) -> String {
    let peers = |data: Option<&String>| -> BTreeSet<String> {
        let lines = data.map(String::as_str).unwrap_or_default().lines();
        lines.map(str::to_owned).collect()
    };
    let seen = snapshot.lists.get(&write.id);
    let before = peers(seen.and_then(|list| list.data.get(labels::KNOWN_PEERS)));
    let after = peers(write.data.get(labels::KNOWN_PEERS));
    let mut text = format!(
        "write ConfigMap {}/{}: {} peers",
        write.id.namespace, write.id.name, write.peers
    );
    for (sign, more, less) in [('+', &after, &before), ('-', &before, &after)] {
        for peer in more.difference(less) {
            text.push_str(&format!(" {sign}{peer}"));
        }
    }
    text
}

fn budget(step: &BudgetStep) -> String {
    match step {
        BudgetStep::Write {
            id, max_unavailable, ..
        } => format!(
            "write PodDisruptionBudget {}/{}: maxUnavailable {max_unavailable}",
            id.namespace, id.name
        ),
        BudgetStep::Remove { id, .. } => format!("remove PodDisruptionBudget {}/{}", id.namespace, id.name),
    }
}

fn of_slots(snapshot: &Snapshot, network: &str, slots: &SlotPlan) -> Vec<String> {
    let held: &[Slot] = snapshot.slots.get(network).map_or(&[], |lease| &lease.slots);
    let mut lines = Vec::new();
    if let Some(next) = slots.write.as_ref().map(|write| &write.slots) {
        let is_in = |slot: &Slot, all: &[Slot]| all.iter().any(|other| other.uid == slot.uid);
        let given = next.iter().filter(|slot| !is_in(slot, held));
        lines.extend(given.map(|slot| format!("give {} its slot: {}", slot.node, slot.cause.as_str())));
        let ended = held.iter().filter(|slot| !is_in(slot, next));
        lines.extend(ended.map(|slot| format!("end the slot of {}", slot.node)));
    }
    lines.extend(slots.steps.iter().map(|step| match step {
        Step::ApplyTemplate(slot) => format!("restart {}: its spec changed", slot.node),
        Step::Restart(slot) => format!("restart {}: {}", slot.node, slot.cause.as_str()),
        Step::GiveBack(slot) => format!(
            "{} gives its slot back: the reason or the permission for it is gone",
            slot.node
        ),
        Step::DeletePod { node, name, .. } => format!("delete pod {name} of {node}, which is not Ready"),
    }));
    let stalled = slots.stalled.iter();
    lines.extend(stalled.map(|(group, holder)| {
        let (namespace, name) = (&group.namespace, &group.name);
        format!("stalled: the restart of {holder} is not complete, and no other validator of {namespace}/{name} restarts before")
    }));
    let waiting = slots.waiting.iter();
    lines.extend(waiting.map(|(node, why)| format!("{node} waits for its restart: {why}")));
    lines
}
