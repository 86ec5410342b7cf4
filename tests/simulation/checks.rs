//! Checks of every decision and of the end of every history.

use stellar_k8s::controller::discovery::decide::{Plan, decide};
use stellar_k8s::controller::model::options::{Options, RestartMode};
use stellar_k8s::controller::model::snapshot::{Cause, Slot, Snapshot, Validator};
use stellar_k8s::controller::model::times;
use stellar_k8s::controller::peering::groups::{self, Group, Member};
use stellar_k8s::controller::rollout::needs::loaded_view;
use stellar_k8s::controller::rollout::plan::Step;
use stellar_k8s::labels;
use stellar_k8s::peers::{NodeId, PeerList, View};

use crate::world::{Kind, World, is_idle};

/// The keys of a list's ConfigMap.
const LIST_KEYS: [&str; 4] = [
    labels::KNOWN_PEERS,
    labels::KNOWN_PEERS_CFG,
    labels::PEERS_JSON,
    labels::DISCOVERY_METADATA,
];

/// Checks a decision against the snapshot that it was made from.
pub(crate) fn check(snapshot: &Snapshot, plan: &Plan, options: &Options) {
    let groups = groups::form(snapshot, options);
    no_member_is_dropped(snapshot, plan, &groups);
    restarts_stay_within_max_unavailable(snapshot, plan, &groups, options);
    only_own_objects_are_written(snapshot, plan);
    lists_have_no_quorum_set(plan);
}

/// R1, R6: the same state gives the same plan.
pub(crate) fn check_determinism(snapshot: &Snapshot, plan: &Plan, options: &Options) {
    assert_eq!(format!("{plan:?}"), format!("{:?}", decide(snapshot, options)));
}

/// R5: a running pod with an IP keeps its place however long it is not ready, and no list loses its last address.
fn no_member_is_dropped(snapshot: &Snapshot, plan: &Plan, groups: &[Group<'_>]) {
    for write in &plan.lists {
        let list = PeerList::parse(&write.data[labels::PEERS_JSON]).unwrap();
        let group = groups.iter().find(|group| group.id == write.id).unwrap();
        for validator in group.validators.iter().chain(&group.remote_members) {
            let running = validator.pod.as_ref().and_then(|pod| pod.address(validator.spec_port));
            let workload = validator.workload.as_ref();
            let joined = workload.is_some_and(|workload| workload.member.is_some()) || validator.mirror.is_some();
            if let Some((address, _)) = running.filter(|_| joined && validator.is_wanted()) {
                assert!(list.addresses().contains(&address), "{} is missing", validator.id);
            }
        }
        let is_dialled = group.members.iter().any(|member| member.address.is_some());
        assert!(!is_dialled || !list.addresses().is_empty());
    }
    for removal in &plan.removals {
        let referred = snapshot.validators.iter().any(|validator| validator.list == removal.id);
        assert!(!referred, "the plan removes a list that a validator names");
    }
}

/// The slots that take a validator down, with their holders.
fn taken_down<'a>(snapshot: &'a Snapshot, plan: &'a Plan) -> Vec<(&'a Slot, &'a Validator)> {
    let steps = plan.slots.values().flat_map(|slots| &slots.steps);
    let slots = steps.filter_map(|step| match step {
        Step::Restart(slot) | Step::ApplyTemplate(slot) => Some(slot),
        Step::GiveBack(_) | Step::DeletePod { .. } => None,
    });
    slots
        .map(|slot| {
            let holder = snapshot.validators.iter().find(|holder| holder.uid == slot.uid);
            (slot, holder.unwrap())
        })
        .collect()
}

/// R3: the operator restarts a voting validator, or one whose peers changed, only while the other members of its group
/// vote. It restarts no paused validator.
fn restarts_stay_within_max_unavailable(snapshot: &Snapshot, plan: &Plan, groups: &[Group<'_>], options: &Options) {
    for (slot, holder) in taken_down(snapshot, plan) {
        let paused = holder.paused || snapshot.paused_namespaces.contains(&holder.id.namespace);
        assert!(!paused, "{} is paused and restarts", holder.id);
        let group = groups.iter().find(|group| group.id == holder.list).unwrap();
        let is_free = !holder.is_voting() && slot.cause != Cause::PeersChanged;
        if is_free || group.network != holder.network {
            continue;
        }
        let lease = &snapshot.slots[&holder.network.short_hash()];
        let others = lease.slots.iter().filter(|other| {
            let overdue = times::is_past(other.since, options.rollout_deadline, snapshot.now);
            other.uid != holder.uid && !overdue
        });
        let others: Vec<&str> = others.map(|other| other.uid.as_str()).collect();
        // A member that has not voted since it joined is waited for only for the join wait.
        let is_awaited = |member: &&Member<'_>| !member.is_given_up(options.join_wait, snapshot.now);
        let silent = group.members.iter().filter(is_awaited).map(|member| member.validator);
        let silent: Vec<&NodeId> = silent
            .filter(|other| other.uid != holder.uid && !other.is_voting() && !others.contains(&other.uid.as_str()))
            .map(|other| &other.id)
            .collect();
        let gone = silent.len() + others.len();
        let limit = options.max_unavailable as usize;
        assert!(
            gone < limit,
            "{} restarts while {silent:?} do not vote and {others:?} hold slots",
            holder.id
        );
    }
}

/// R3, checked against the true state instead of the operator's snapshot: when a voting validator restarts, the settled
/// members vote, except as many as may be down.
pub(crate) fn assert_that_the_others_vote(world: &World, slot: &Slot) {
    let truth = world.snapshot();
    let groups = groups::form(&truth, &world.options);
    let holder = truth.validators.iter().find(|holder| holder.uid == slot.uid);
    let is_its = |group: &&Group<'_>| group.id == slot.group && holder.is_some_and(|one| one.network == group.network);
    // A validator that is not in the group does not affect its members.
    let Some(group) = groups.iter().find(is_its) else {
        return;
    };
    let is_settled = |validator: &Validator| {
        let member = validator
            .workload
            .as_ref()
            .and_then(|workload| workload.member.as_ref());
        // A member that never voted costs no vote. How long the others wait for it depends on the operator's clock.
        validator.is_wanted() && member.is_some_and(|member| member.joined < slot.since && !member.never_voted)
    };
    let settled = group.members.iter().map(|member| member.validator);
    let silent: Vec<&NodeId> = settled
        .filter(|other| other.uid != slot.uid && is_settled(other) && !other.is_voting())
        .map(|other| &other.id)
        .collect();
    let limit = world.options.max_unavailable as usize;
    assert!(
        silent.len() < limit,
        "{} restarts while {silent:?} do not vote",
        slot.node
    );
}

/// R7: the operator leaves StatefulSets and ConfigMaps of others alone.
fn only_own_objects_are_written(snapshot: &Snapshot, plan: &Plan) {
    let is_ours = |id: &NodeId| {
        let validator = snapshot.validators.iter().find(|validator| validator.id == *id);
        let workload = validator.and_then(|validator| validator.workload.as_ref());
        workload.is_some_and(|workload| workload.ours)
    };
    assert!(plan.records.iter().all(|record| is_ours(&record.node)));
    for step in plan.slots.values().flat_map(|slots| &slots.steps) {
        let (Step::ApplyTemplate(Slot { node, .. })
        | Step::Restart(Slot { node, .. })
        | Step::GiveBack(Slot { node, .. })
        | Step::DeletePod { node, .. }) = step;
        assert!(is_ours(node), "{step:?}");
    }
    let writes = plan.lists.iter().map(|write| &write.id);
    let removals = plan.removals.iter().map(|removal| &removal.id);
    for id in writes.chain(removals) {
        assert!(snapshot.lists.get(id).is_none_or(|list| list.ours), "{id:?}");
    }
}

/// R8: a list holds peers and no quorum set.
fn lists_have_no_quorum_set(plan: &Plan) {
    for write in &plan.lists {
        for (key, content) in &write.data {
            assert!(LIST_KEYS.contains(&key.as_str()), "{key}");
            assert!(!content.contains("QUORUM"), "{content}");
        }
    }
}

/// Asserts the end of a history: the list is correct, all members have loaded it where the mode demands it, and nothing
/// is left to do.
pub(crate) fn assert_converged(world: &World) {
    let snapshot = world.snapshot();
    let plan = decide(&snapshot, &world.options);
    assert!(
        plan.lists.is_empty() && plan.records.is_empty() && plan.removals.is_empty(),
        "something is left to write: {plan:?}"
    );
    for slots in plan.slots.values() {
        assert!(is_idle(slots), "slots are left: {slots:?}");
    }
    assert_eq!(world.slots(), 0, "a slot never ends: {:?}", world.leases);
    for group in groups::form(&snapshot, &world.options) {
        assert_group_converged(world, &group);
    }
    for node in world.nodes.iter().filter(|node| node.is_wanted()) {
        let pod = node.pod.as_ref().unwrap();
        let left = node.waits_for_person;
        assert!(left || pod.spec == node.spec, "{} has an old template", node.id);
        let read = (node.config, pod.config);
        assert!(
            left || read == (node.spec.version, Some(node.spec.version)),
            "{} {read:?}",
            node.id
        );
    }
}

fn assert_group_converged(world: &World, group: &Group<'_>) {
    let restart = world.options.restart;
    if restart != RestartMode::Never {
        let links = &group.links;
        assert!(links.is_connected(), "not connected: {links:?}");
    }
    let running: Vec<_> = group.members.iter().map(|member| &member.validator.id).collect();
    let all = group.validators.iter().chain(&group.remote_members);
    let wanted = all.filter(|validator| validator.is_wanted());
    let mut wanted: Vec<_> = wanted.map(|one| &one.id).collect();
    wanted.sort();
    assert_eq!(running, wanted);
    let listed: Vec<_> = group.list.members.iter().map(|record| &record.node).collect();
    assert_eq!(listed, wanted);
    for member in &group.members {
        let validator = member.validator;
        let pod = validator.pod.as_ref().unwrap();
        let address = format!("{}:{}", pod.ip.as_deref().unwrap(), pod.port.unwrap());
        assert_eq!(member.address, Some(address));
        let view = group.views.get(&validator.id);
        let node = world.nodes.iter().find(|node| node.id == validator.id).unwrap();
        if node.kind == Kind::Foreign {
            continue;
        }
        if restart == RestartMode::Changed {
            assert_eq!(loaded_view(validator), view, "{}", validator.id);
        }
        // For a pod that cannot report, the assumed view is correct if kubelets read at once. An empty view means that
        // nothing is known.
        let noted = loaded_view(validator).filter(|noted| node.kind == Kind::Silent && **noted != View::empty());
        let noted = noted.filter(|_| world.late == 0);
        let loaded = node.pod.as_ref().and_then(|pod| pod.loaded.as_ref());
        assert!(
            noted.is_none_or(|noted| Some(noted) != view || loaded == view),
            "{}",
            validator.id
        );
    }
}
