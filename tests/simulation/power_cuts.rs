//! Named situations: pods are lost, and what of it costs a restart.

use std::time::Duration;

use stellar_k8s::controller::discovery::decide::decide;
use stellar_k8s::controller::model::conditions::ConditionType;
use stellar_k8s::controller::model::options::{Options, RestartMode};
use stellar_k8s::controller::peering::groups;
use stellar_k8s::controller::peering::links::Acquaintance;

use crate::checks::assert_converged;
use crate::world::{World, minutes, network_of, options};

#[test]
fn a_power_cut_of_six_costs_three_restarts_however_late_kubelets_read() {
    for late in [0, 3_000, 6_000, 30_000] {
        let mut world = network_of(6, RestartMode::Changed);
        let before = world.restarts();
        world.late = late;
        world.cut_the_power();
        world.run(Duration::from_secs(25));
        assert_eq!(
            (world.voting(), world.restarts()),
            (0, before),
            "they are not linked yet"
        );
        world.run(minutes(30));
        let cost = world.restarts() - before;
        assert!((1..=3).contains(&cost), "read {late} ms late: {cost} restarts");
        assert_eq!(world.voting(), 6, "read {late} ms late");
        assert_converged(&world);
        assert_eq!(world.most_down, 1);
    }
}

#[test]
fn a_power_cut_after_which_all_vote_costs_nothing_whatever_they_loaded() {
    let mut world = network_of(6, RestartMode::Changed);
    let before = world.restarts();
    // Each gets the address that another had: who dials it meets somebody else of its network there.
    let last = world
        .nodes
        .last()
        .and_then(|node| node.pod.as_ref())
        .map(|pod| pod.ip.clone());
    (world.reuse, world.reuse_addresses) = (last.into_iter().collect(), true);
    // What they load is a list of addresses of before.
    world.late = 30_000;
    world.cut_the_power();
    world.run(Duration::from_secs(10));
    assert_eq!(world.voting(), 6);
    let snapshot = world.snapshot();
    let groups = groups::form(&snapshot, &world.options);
    let acquaintance = Acquaintance::of(&groups[0]);
    assert_eq!(
        acquaintance.knows(0, 1),
        Some(false),
        "by what they loaded they cannot meet"
    );
    world.run(minutes(30));
    assert_eq!((world.voting(), world.restarts()), (6, before));
    assert_converged(&world);
}

#[test]
fn pods_that_come_back_one_by_one_with_an_old_list_vote_by_their_peer_databases_and_cost_nothing() {
    let mut world = network_of(4, RestartMode::Unlinked);
    let before = world.restarts();
    world.late = 60 * 60_000;
    for index in 0..4 {
        world.kill_pod(index);
        world.run(minutes(2));
        assert_eq!(world.voting(), 4);
    }
    world.run(minutes(30));
    assert_eq!((world.voting(), world.restarts()), (4, before));
    assert_converged(&world);
}

#[test]
fn one_that_the_others_do_not_meet_is_restarted_itself_and_no_voting_one() {
    let mut world = network_of(6, RestartMode::Unlinked);
    let before = world.restarts_of_each();
    // It reads a list of long ago and knows nobody from before; the others know it at its old address.
    let last = world.nodes.last_mut().unwrap();
    last.database.clear();
    world.late = 60 * 60_000;
    world.kill_pod(5);
    world.run(Duration::from_secs(20));
    assert_eq!(world.voting(), 5);
    world.late = 0;
    world.run(minutes(20));
    let mut expected = before;
    expected[5] += 1;
    assert_eq!((world.voting(), world.restarts_of_each()), (6, expected));
    assert_converged(&world);
}

#[test]
fn a_fresh_network_votes_after_one_restart_where_joins_cost_none() {
    let mut world = World::new(options(RestartMode::Unlinked));
    for index in 0..4 {
        world.join(&format!("validator-{index}"));
    }
    world.run(Duration::from_secs(25));
    assert_eq!(world.voting(), 0, "none of them found a list");
    world.run(minutes(10));
    assert_eq!((world.voting(), world.restarts()), (4, 1));
    assert_converged(&world);
}

#[test]
fn a_validator_left_to_a_person_keeps_nobody_else_from_being_linked() {
    let mut world = network_of(6, RestartMode::Changed);
    let before = world.nodes[0].restarts.len();
    world.nodes[0].left_to_a_person = true;
    world.cut_the_power();
    world.run(minutes(30));
    assert_converged(&world);
    assert_eq!(world.nodes[0].restarts.len(), before);
    assert_eq!(world.most_down, 1);
}

#[test]
fn one_or_two_pods_lost_among_six_restart_nobody() {
    for lost in [1, 2] {
        let mut world = network_of(6, RestartMode::Changed);
        let before = world.restarts();
        for index in 0..lost {
            world.kill_pod(index);
        }
        world.run(minutes(30));
        assert_eq!(world.restarts(), before, "{lost} lost");
        assert_converged(&world);
    }
}

#[test]
fn a_container_that_crashes_keeps_nobody_else_from_being_linked() {
    // Ready for a moment each time, and never.
    for runs in [300, 3_000] {
        for crashing in 0..6 {
            let mut world = network_of(6, RestartMode::Changed);
            let before = world.restarts();
            world.cut_the_power();
            world.crash(crashing, i64::MAX, runs);
            world.run(minutes(20));
            // They are one network again; more links would cost a voting one, which nobody can spare beside that.
            assert_eq!(world.voting(), 5, "validator {crashing}, {runs} ms");
            assert!(world.restarts() - before <= 3, "{} restarts", world.restarts() - before);
            if runs == 300 {
                assert_eq!((world.slots(), world.most_slots), (0, 1), "no slot is held by it");
            }
            world.nodes[crashing].crash = None;
            world.run(minutes(20));
            assert_converged(&world);
        }
    }
}

#[test]
fn a_slot_that_is_out_keeps_nobody_from_being_linked() {
    // From before the slot to after it.
    for seconds in [0, 1, 2, 3, 4, 6, 10, 20, 40] {
        for late in [0, 6_000] {
            let mut world = network_of(6, RestartMode::Changed);
            world.late = late;
            for node in &mut world.nodes {
                node.spec.version = 2;
            }
            world.run(Duration::from_secs(seconds));
            world.cut_the_power();
            world.run(minutes(40));
            assert_eq!(world.voting(), 6, "cut after {seconds} s, lists read {late} ms late");
            assert_converged(&world);
            assert_eq!(world.most_slots, 1);
        }
    }
}

#[test]
fn a_slot_that_never_ended_keeps_nobody_from_being_linked() {
    // Its holder never comes up, or serves and never votes.
    for comes_up in [false, true] {
        let mut world = network_of(6, RestartMode::Changed);
        world.bad_versions.insert(2);
        world.nodes[0].spec.version = 2;
        if !comes_up {
            world.nodes[0].flapping_until = i64::MAX;
        }
        world.run(minutes(60));
        assert_eq!((world.voting(), world.slots()), (5, 1));
        world.cut_the_power();
        world.run(minutes(40));
        assert_eq!(world.voting(), 5, "comes up: {comes_up}");
        world.nodes[0].flapping_until = 0;
        world.nodes[0].spec.version = 1;
        world.run(minutes(40));
        assert_eq!(world.voting(), 6, "comes up: {comes_up}");
        assert_converged(&world);
    }
}

#[test]
fn who_may_not_be_restarted_is_told_that_its_group_is_not_connected() {
    let mut world = network_of(6, RestartMode::Changed);
    world.options.restart = RestartMode::Never;
    let told = |world: &World| {
        let reports = decide(&world.snapshot(), &world.options).reports.into_values();
        let conditions = reports.flat_map(|report| report.conditions);
        let mut reasons: Vec<&str> = conditions
            .filter(|finding| finding.condition() == ConditionType::PeersReady)
            .map(|finding| finding.reason.as_str())
            .collect();
        reasons.dedup();
        reasons
    };
    assert_eq!(told(&world), ["Loaded"]);
    world.join("validator-6");
    world.run(minutes(12));
    assert_eq!(told(&world), ["Linked", "Loaded"]);
    world.cut_the_power();
    world.run(minutes(20));
    assert_eq!(told(&world), ["NotConnected"]);
}

#[test]
fn where_two_may_be_down_they_are_linked_one_after_the_other_all_the_same() {
    for controller_late in [0, 500, 1_000, 3_000] {
        for count in 4..=6 {
            let mut world = World::new(Options {
                max_unavailable: 2,
                ..options(RestartMode::Unlinked)
            });
            world.controller_late = controller_late;
            // None of them finds a list when it starts.
            for index in 0..count {
                world.join(&format!("validator-{index}"));
            }
            world.run(minutes(30));
            assert_converged(&world);
            let most = world.restarts_of_each().into_iter().max();
            assert_eq!(most, Some(1), "{count}, seen {controller_late} ms late");
        }
    }
}
