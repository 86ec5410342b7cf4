//! Named situations: pods are lost, and what of it costs a restart.

use stellar_k8s::controller::options::RestartMode;

use crate::checks::assert_converged;
use crate::world::{minutes, network_of};

#[test]
fn a_power_cut_of_six_costs_three_restarts_however_late_kubelets_read() {
    for late in [0, 3_000, 6_000, 30_000] {
        let mut world = network_of(6, RestartMode::Changed);
        let before = world.restarts();
        world.late = late;
        world.cut_the_power();
        world.run(minutes(30));
        assert!(
            world.restarts() - before <= 3,
            "read {late} ms late: {} restarts",
            world.restarts() - before
        );
        assert_converged(&world);
        assert_eq!(world.most_down, 1);
    }
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
            world.votes_when_linked = true;
            world.cut_the_power();
            world.crash(crashing, i64::MAX, runs);
            world.run(minutes(20));
            // They are one network again; more links would cost a voting one, which nobody can spare beside that.
            assert_eq!(world.voting(), 5, "validator {crashing}, {runs} ms");
            assert!(world.restarts() - before <= 3, "{} restarts", world.restarts() - before);
            if runs == 300 {
                assert_eq!((world.turns(), world.most_turns), (0, 1), "no turn is held by it");
            }
            world.nodes[crashing].crash = None;
            world.run(minutes(20));
            assert_converged(&world);
        }
    }
}
