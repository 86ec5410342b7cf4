//! Named situations of rollouts: changed specs, bad versions, and slots.

use std::time::Duration;

use stellar_k8s::controller::discovery::decide::decide;
use stellar_k8s::controller::model::options::{Options, RestartMode};
use stellar_k8s::controller::model::snapshot::Snapshot;
use stellar_k8s::crd::Network;

use crate::checks::assert_converged;
use crate::happenings::{Cast, Edit, Happening, SecondNetwork};
use crate::operator::Fault;
use crate::world::{Millis, World, minutes, network_of, options, time};

#[test]
fn a_new_version_and_a_new_member_cost_one_restart_together() {
    let mut world = network_of(4, RestartMode::Changed);
    let before = world.restarts_of_each();
    for node in &mut world.nodes {
        node.spec.version = 2;
    }
    world.join("validator-4");
    world.run(minutes(20));
    assert_converged(&world);
    let after = world.restarts_of_each();
    assert_eq!(after, [before[0] + 1, before[1] + 1, before[2] + 1, before[3] + 1, 0]);
    assert_eq!(world.most_down, 1);
    assert!(world.nodes.iter().take(4).all(|node| node.template.version == 2));
}

#[test]
fn a_member_joining_during_a_version_rollout_costs_no_extra_restart() {
    for milliseconds in (0..2_500).step_by(250) {
        let mut world = network_of(4, RestartMode::Changed);
        let before: Vec<usize> = world.nodes.iter().map(|node| node.restarts.len() + 1).collect();
        world.join("validator-4");
        world.run(Duration::from_millis(milliseconds));
        for node in &mut world.nodes[..4] {
            node.spec.version = 2;
        }
        world.run(minutes(20));
        assert_converged(&world);
        let after: Vec<usize> = world.nodes[..4].iter().map(|node| node.restarts.len()).collect();
        assert_eq!(after, before, "{milliseconds} ms after the new member");
    }
}

#[test]
fn a_member_that_is_never_ready_delays_a_new_version_only_for_the_join_wait() {
    let mut world = network_of(4, RestartMode::Changed);
    world.join("validator-4");
    world.nodes[4].flapping_until = i64::MAX;
    for node in &mut world.nodes[..4] {
        node.spec.version = 2;
    }
    world.run(minutes(9));
    assert!(world.nodes[..4].iter().all(|node| node.template.version == 1));
    world.run(minutes(16));
    assert!(world.nodes[..4].iter().all(|node| node.template.version == 2));
}

#[test]
fn a_bad_version_stops_at_the_first_validator_and_reverting_it_recovers() {
    for keeps_unready in [false, true] {
        let mut world = network_of(4, RestartMode::Changed);
        world.keeps_unready = keeps_unready;
        world.bad_versions.insert(2);
        for node in &mut world.nodes {
            node.spec.version = 2;
        }
        world.run(minutes(40));
        let changed = world.nodes.iter().filter(|node| node.template.version == 2).count();
        assert_eq!(changed, 1);
        assert_eq!(world.voting(), 3);
        for node in &mut world.nodes {
            node.spec.version = 1;
        }
        world.run(minutes(20));
        assert_eq!(world.voting(), 4);
        assert_converged(&world);
        assert_eq!(world.most_down, 1);
    }
}

#[test]
fn a_refused_template_does_not_delay_the_others() {
    let mut world = network_of(4, RestartMode::Changed);
    world.nodes[0].refused = true;
    for node in &mut world.nodes {
        node.spec.version = 2;
    }
    world.run(minutes(10));
    let versions: Vec<u32> = world.nodes.iter().map(|node| node.template.version).collect();
    assert_eq!((versions, world.voting()), (vec![1, 2, 2, 2], 4));
    assert_eq!(world.nodes[0].config, 1, "its next pod gets the config of its template");
    world.run(minutes(50));
    let plan = decide(&world.snapshot(), &world.options);
    assert!(
        plan.slots.values().all(|slots| slots.stalled.is_empty()),
        "no slot is stalled"
    );
    world.nodes[0].refused = false;
    world.run(minutes(10));
    assert_converged(&world);
    assert_eq!(world.nodes[0].template.version, 2);
    assert_eq!(world.most_down, 1);
}

#[test]
fn a_refused_template_takes_no_slot_from_voting_members() {
    let mut world = network_of(4, RestartMode::Changed);
    // A validator that was never ready costs no vote, so its change comes first.
    world.join("a-newcomer");
    world.nodes[4].flapping_until = i64::MAX;
    world.nodes[4].refused = true;
    world.run(minutes(11));
    for node in &mut world.nodes {
        node.spec.version = 2;
    }
    world.run(minutes(10));
    let versions: Vec<u32> = world.nodes.iter().map(|node| node.template.version).collect();
    assert_eq!((versions, world.voting()), (vec![2, 2, 2, 2, 1], 4));
    assert_eq!(world.most_down, 1);
}

#[test]
fn no_restart_for_peers_while_a_member_is_permanently_down() {
    let mut world = network_of(4, RestartMode::Changed);
    world.nodes[0].broken = true;
    let before = world.restarts_of_each();
    world.join("validator-4");
    world.run(minutes(20));
    // The broken validator may restart; a voting one may not while the broken one is down.
    let after = world.restarts_of_each();
    assert_eq!(
        after[1..4],
        before[1..4],
        "a voting validator restarted while another did not vote"
    );
    let list = world.lists.values().next().unwrap();
    assert!(list.data["KNOWN_PEERS"].lines().count() == 5);
}

/// As seen on real nodes: the fifth validator does not vote because no quorum set has it, and only a change of the
/// others' specs would add it.
#[test]
fn a_member_that_never_votes_delays_the_others_only_for_the_join_wait_and_is_named() {
    let mut world = network_of(4, RestartMode::Changed);
    let before = world.restarts_of_each();
    world.join("validator-4");
    world.nodes[4].broken = true;
    world.run(minutes(2));
    for node in &mut world.nodes[..4] {
        node.spec.version = 2;
    }
    let versions = |world: &World| -> Vec<u32> { world.nodes[..4].iter().map(|node| node.template.version).collect() };
    world.run(minutes(7));
    assert_eq!(versions(&world), [1; 4]);
    let plan = decide(&world.snapshot(), &world.options);
    let waiting = plan.slots.values().flat_map(|slots| slots.waiting.values());
    let waiting: Vec<&String> = waiting.collect();
    assert_eq!(waiting.len(), 4, "{waiting:?}");
    let names_it =
        |wait: &&String| wait.starts_with("it waits for stellar/validator-4, which joined and has not voted yet");
    assert!(waiting.iter().all(names_it), "{waiting:?}");

    world.run(minutes(10));
    assert_eq!((versions(&world), world.voting()), (vec![2; 4], 4));
    let after = world.restarts_of_each();
    let once: Vec<usize> = before.iter().map(|count| count + 1).collect();
    assert_eq!(after[..4], once, "one restart each, for the new member and the version");
    assert_eq!(world.most_down, 1);
    // After its first vote, the others wait for it whenever it is down.
    world.nodes[4].broken = false;
    world.run(minutes(5));
    assert_eq!(world.voting(), 5);
    assert_converged(&world);
    world.nodes[4].broken = true;
    for node in &mut world.nodes[..4] {
        node.spec.version = 3;
    }
    world.run(minutes(60));
    assert_eq!(versions(&world), [2; 4]);
}

#[test]
fn members_that_are_not_voting_also_restart_one_at_a_time() {
    let mut world = network_of(4, RestartMode::Changed);
    for node in &mut world.nodes {
        node.broken = true;
        node.spec.version = 2;
    }
    world.run(minutes(20));
    assert!(
        world.nodes.iter().all(|node| node.template.version == 2),
        "each got its slot although no member votes"
    );
    assert_eq!(world.most_slots, 1);
}

#[test]
fn a_validator_left_out_of_a_group_still_gets_its_new_version() {
    let mut world = network_of(3, RestartMode::Changed);
    world.join("stranger");
    world.nodes[3].network = Network::parse("Another Network ; 2026");
    world.run(minutes(1));
    world.nodes[3].spec.version = 2;
    let snapshot = world.snapshot();
    let plan = decide(&snapshot, &world.options);
    let slots = plan
        .slots
        .get(&world.nodes[3].network.short_hash())
        .and_then(|slots| slots.write.clone());
    assert_eq!(
        slots.map(|write| write.slots[0].node.clone()),
        Some(world.nodes[3].id.clone())
    );
}

#[test]
fn a_slot_whose_cause_disappears_and_returns_is_not_used_together_with_the_next() {
    let mut quiet = two_namespaces();
    quiet.join("validator-0");
    quiet.join("validator-1");
    quiet.run(minutes(12));
    quiet.join("validator-2");
    for edited in 0..30 {
        // The operator sees everything half a second late.
        let mut world = quiet.clone();
        let mut seen = world.snapshot();
        for cycle in 0..80 {
            if cycle == edited {
                world.happen(&Happening::EditList(Edit::Broken), alike());
            }
            live_late(&mut world, &mut seen, 500);
            assert!(
                world.most_down <= 1,
                "the operator had {} down at once",
                world.most_down
            );
        }
        world.run(minutes(4));
        assert_converged(&world);
    }
}

#[test]
fn a_holder_that_starts_voting_before_its_restart_is_waited_for() {
    // Two groups of one network do not know each other's members: only the slot shows that one of the other is down.
    let mut quiet = two_namespaces();
    for index in 0..4 {
        quiet.join(&format!("validator-{index}"));
    }
    quiet.two_namespaces = false;
    quiet.run(minutes(12));
    assert_converged(&quiet);
    assert_eq!(quiet.lists.len(), 2);
    for healed in 1..12 {
        let mut world = quiet.clone();
        world.nodes[0].broken = true;
        world.most_down = 0;
        for node in &mut world.nodes {
            node.spec.version = 2;
        }
        // The operator sees everything a tenth of a second late.
        let mut seen = world.snapshot();
        for cycle in 0..200 {
            world.nodes[0].broken = cycle < healed;
            live_late(&mut world, &mut seen, 100);
            let most = world.most_down;
            assert!(
                most <= 1,
                "the operator had {most} down at once; the first votes after {healed}"
            );
        }
        world.run(minutes(10));
        assert_converged(&world);
    }
}

#[test]
fn a_pod_that_died_while_the_pod_watch_was_silent_does_not_count_as_voting() {
    let mut world = network_of(4, RestartMode::Changed);
    let pods: Vec<_> = world.snapshot().validators.into_iter().map(|seen| seen.pod).collect();
    world.nodes[3].broken = true;
    for node in &mut world.nodes {
        node.spec.version = 2;
    }
    for _ in 0..1_200 {
        world.now += 500;
        world.settle();
        let mut seen = world.snapshot();
        for (validator, pod) in seen.validators.iter_mut().zip(&pods) {
            validator.pod.clone_from(pod);
        }
        world.operate(&seen, Fault::default());
        world.settle();
    }
    assert_eq!(world.voting(), 3);
    let versions: Vec<u32> = world.nodes[..3].iter().map(|node| node.template.version).collect();
    assert_eq!(versions, [1; 3]);
    // The watch works again.
    world.nodes[3].broken = false;
    world.run(minutes(20));
    assert_converged(&world);
}

/// A network with every second validator in another namespace.
fn two_namespaces() -> World {
    let mut world = World::new(Options {
        cross_namespace_groups: true,
        ..options(RestartMode::Changed)
    });
    world.two_namespaces = true;
    world
}

/// Runs one cycle of an operator that sees the state of the previous cycle, this many milliseconds ago.
fn live_late(world: &mut World, seen: &mut Snapshot, milliseconds: Millis) {
    world.now += milliseconds;
    world.settle();
    let present = world.snapshot();
    let mut late = std::mem::replace(seen, present);
    late.now = time(world.now);
    world.operate(&late, Fault::default());
    world.settle();
}

/// A cast of equal validators.
fn alike() -> Cast {
    Cast {
        silent: false,
        foreign: false,
        second_network: SecondNetwork::No,
    }
}
