//! Named situations in which pods are lost, and the restarts that follow.

use std::time::Duration;

use stellar_k8s::controller::discovery::decide::decide;
use stellar_k8s::controller::model::conditions::ConditionType;
use stellar_k8s::controller::model::options::{Options, RestartMode};
use stellar_k8s::controller::peering::groups;
use stellar_k8s::controller::peering::links::Acquaintance;

use crate::checks::assert_converged;
use crate::world::{World, minutes, network_of, options};

#[test]
fn losing_all_six_pods_costs_at_most_three_restarts_with_slow_kubelets() {
    for late in [0, 3_000, 6_000, 30_000] {
        let mut world = network_of(6, RestartMode::Changed);
        let before = world.restarts();
        world.late = late;
        world.cut_the_power();
        world.run(Duration::from_secs(25));
        assert_eq!(
            (world.voting(), world.restarts()),
            (0, before),
            "the members are not linked yet"
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
fn a_power_cut_after_which_all_vote_causes_no_restart() {
    let mut world = network_of(6, RestartMode::Changed);
    let before = world.restarts();
    // Each pod gets the old address of another, so that every dialled address belongs to a member of the network.
    let last = world
        .nodes
        .last()
        .and_then(|node| node.pod.as_ref())
        .map(|pod| pod.ip.clone());
    (world.reuse, world.reuse_addresses) = (last.into_iter().collect(), true);
    // The pods load a list of the old addresses.
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
        "the loaded addresses do not connect them"
    );
    world.run(minutes(30));
    assert_eq!((world.voting(), world.restarts()), (6, before));
    assert_converged(&world);
}

#[test]
fn pods_returning_with_an_old_list_vote_by_their_peer_databases_without_a_restart() {
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
fn only_the_unconnected_member_restarts_and_no_voting_one() {
    let mut world = network_of(6, RestartMode::Unlinked);
    let before = world.restarts_of_each();
    // The validator reads an old list and has an empty peer database; the others know only its old address.
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
fn a_fresh_network_in_unlinked_mode_votes_after_one_restart() {
    let mut world = World::new(options(RestartMode::Unlinked));
    for index in 0..4 {
        world.join(&format!("validator-{index}"));
    }
    world.run(Duration::from_secs(25));
    assert_eq!(world.voting(), 0, "no pod found a list");
    world.run(minutes(10));
    assert_eq!((world.voting(), world.restarts()), (4, 1));
    assert_converged(&world);
}

#[test]
fn a_validator_that_waits_for_a_person_does_not_block_linking_the_others() {
    let mut world = network_of(6, RestartMode::Changed);
    let before = world.nodes[0].restarts.len();
    world.nodes[0].waits_for_person = true;
    world.cut_the_power();
    world.run(minutes(30));
    assert_converged(&world);
    assert_eq!(world.nodes[0].restarts.len(), before);
    assert_eq!(world.most_down, 1);
}

#[test]
fn losing_one_or_two_of_six_pods_causes_no_restart() {
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
fn a_crashing_container_does_not_block_linking_the_others() {
    // Runs too short to become Ready, and Ready for a moment each time.
    for runs in [300, 3_000] {
        for crashing in 0..6 {
            let mut world = network_of(6, RestartMode::Changed);
            let before = world.restarts();
            world.cut_the_power();
            world.crash(crashing, i64::MAX, runs);
            world.run(minutes(20));
            // The others are connected again. More links would restart a voting member while one is already down.
            assert_eq!(world.voting(), 5, "validator {crashing}, {runs} ms");
            assert!(world.restarts() - before <= 3, "{} restarts", world.restarts() - before);
            if runs == 300 {
                assert_eq!(
                    (world.slots(), world.most_slots),
                    (0, 1),
                    "the crashing validator holds no slot"
                );
            }
            world.nodes[crashing].crash = None;
            world.run(minutes(20));
            assert_converged(&world);
        }
    }
}

#[test]
fn a_slot_in_use_does_not_block_linking() {
    // The power cut happens before, during and after the slot.
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
fn a_slot_that_never_ends_does_not_block_linking() {
    // The holder never becomes ready, or it serves and never votes.
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
fn a_member_that_may_not_restart_reports_that_its_group_is_not_connected() {
    let mut world = network_of(6, RestartMode::Changed);
    world.options.restart = RestartMode::Never;
    let reasons = |world: &World| {
        let reports = decide(&world.snapshot(), &world.options).reports.into_values();
        let conditions = reports.flat_map(|report| report.conditions);
        let mut reasons: Vec<&str> = conditions
            .filter(|finding| finding.condition() == ConditionType::PeersReady)
            .map(|finding| finding.reason.as_str())
            .collect();
        reasons.dedup();
        reasons
    };
    assert_eq!(reasons(&world), ["Loaded"]);
    world.join("validator-6");
    world.run(minutes(12));
    assert_eq!(reasons(&world), ["Linked", "Loaded"]);
    world.cut_the_power();
    world.run(minutes(20));
    assert_eq!(reasons(&world), ["NotConnected"]);
}

#[test]
fn members_are_linked_one_by_one_even_with_two_slots() {
    for controller_late in [0, 500, 1_000, 3_000] {
        for count in 4..=6 {
            let mut world = World::new(Options {
                max_unavailable: 2,
                ..options(RestartMode::Unlinked)
            });
            world.controller_late = controller_late;
            // No pod finds a list at its start.
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
