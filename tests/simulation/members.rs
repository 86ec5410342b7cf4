//! Named situations in which validators join and leave.

use stellar_k8s::controller::model::options::{Options, RestartMode};

use crate::checks::assert_converged;
use crate::world::{World, minutes, network_of, options};

#[test]
fn a_fresh_network_restarts_each_validator_once() {
    let mut world = network_of(4, RestartMode::Changed);
    assert_converged(&world);
    assert!(
        world.restarts() <= 4,
        "{:?}",
        world.nodes.iter().map(|node| &node.restarts).collect::<Vec<_>>()
    );
    let (restarts, writes) = (world.restarts(), world.list_writes);
    world.run(minutes(60));
    assert_eq!((world.restarts(), world.list_writes), (restarts, writes));
    assert_eq!(world.most_down, 1);
}

#[test]
fn a_new_member_restarts_the_others_one_by_one_and_not_itself() {
    let mut world = network_of(3, RestartMode::Changed);
    let before = world.restarts_of_each();
    world.join("validator-3");
    world.run(minutes(12));
    assert_converged(&world);
    let after = world.restarts_of_each();
    assert_eq!(after, [before[0] + 1, before[1] + 1, before[2] + 1, 0]);
    assert_eq!(world.most_down, 1);
}

#[test]
fn a_suspended_validator_leaves_and_each_other_restarts_once() {
    let mut world = network_of(4, RestartMode::Changed);
    let before = world.restarts();
    world.nodes[1].suspended = true;
    world.run(minutes(12));
    assert_converged(&world);
    assert_eq!(world.restarts(), before + 3);
}

#[test]
fn a_pod_with_a_new_address_causes_no_restart() {
    let mut world = network_of(4, RestartMode::Changed);
    let before = world.restarts();
    for index in 0..4 {
        world.kill_pod(index);
        world.run(minutes(1));
    }
    assert_converged(&world);
    assert_eq!(world.restarts(), before);
}

#[test]
fn unlinked_mode_causes_no_restart_for_a_join_or_a_suspension() {
    let mut world = network_of(6, RestartMode::Unlinked);
    let before = world.restarts();
    world.join("validator-6");
    world.run(minutes(12));
    world.nodes[2].suspended = true;
    world.run(minutes(12));
    assert_eq!(world.restarts(), before);
    assert_converged(&world);
}

#[test]
fn new_members_that_join_one_by_one_cost_one_restart_each() {
    let mut world = network_of(3, RestartMode::Changed);
    let before = world.restarts_of_each();
    world.join("validator-3");
    world.join("validator-4");
    world.nodes[4].flapping_until = world.now + 90_000;
    world.run(minutes(12));
    assert_converged(&world);
    let after = world.restarts_of_each();
    assert_eq!(after[..3], [before[0] + 1, before[1] + 1, before[2] + 1]);
}

#[test]
fn no_member_restarts_twice_for_the_same_list_while_kubelets_read_an_old_one() {
    let mut world = network_of(3, RestartMode::Changed);
    let before = world.restarts();
    world.late = 60 * 60_000;
    world.join("validator-3");
    world.run(minutes(9));
    assert!(world.restarts() - before <= 4, "{} restarts", world.restarts() - before);
}

#[test]
fn a_group_of_two_namespaces_splits_when_one_withdraws_its_request() {
    let mut world = World::new(Options {
        cross_namespace_groups: true,
        ..options(RestartMode::Changed)
    });
    world.two_namespaces = true;
    for index in 0..6 {
        world.join(&format!("validator-{index}"));
    }
    world.run(minutes(12));
    assert_converged(&world);
    assert_eq!(world.lists.len(), 2);
    for list in world.lists.values() {
        assert_eq!(list.list.as_ref().unwrap().members.len(), 6);
    }
    let before = world.restarts();
    world.two_namespaces = false;
    world.run(minutes(12));
    assert_converged(&world);
    for list in world.lists.values() {
        assert_eq!(list.list.as_ref().unwrap().members.len(), 3);
    }
    assert_eq!(world.restarts() - before, 6, "each restarted once");
    assert_eq!((world.most_down, world.most_slots), (1, 1));
}

#[test]
fn an_unscheduled_member_stays_a_member_after_its_stateful_set_was_deleted() {
    for minutes_without in [1, 20] {
        let mut world = network_of(4, RestartMode::Changed);
        let before = world.restarts();
        world.nodes[3].no_machine = true;
        world.kill_pod(3);
        world.run(minutes(minutes_without));
        let now = world.now;
        world.nodes[3].lose_workload(now);
        world.run(minutes(30));
        assert_eq!(
            (world.voting(), world.restarts()),
            (3, before),
            "{minutes_without} minutes without a machine"
        );
        world.nodes[3].no_machine = false;
        world.run(minutes(30));
        assert_eq!(world.restarts(), before, "{minutes_without} minutes without a machine");
        assert_converged(&world);
    }
}
