//! Named situations: specs change, versions are bad, and slots are taken and given back.

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
fn a_new_version_and_a_newcomer_cost_one_restart_for_both() {
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
fn a_newcomer_that_is_there_while_the_version_is_still_being_changed_costs_no_restart_of_its_own() {
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
        assert_eq!(after, before, "{milliseconds} ms after the newcomer");
    }
}

#[test]
fn a_newcomer_that_never_comes_up_holds_a_new_version_back_for_a_while_only() {
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
fn a_bad_version_stops_at_the_first_and_taking_it_back_heals_it() {
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
fn a_template_that_is_refused_holds_up_nobody_else() {
    let mut world = network_of(4, RestartMode::Changed);
    world.nodes[0].refused = true;
    for node in &mut world.nodes {
        node.spec.version = 2;
    }
    world.run(minutes(10));
    let versions: Vec<u32> = world.nodes.iter().map(|node| node.template.version).collect();
    assert_eq!((versions, world.voting()), (vec![1, 2, 2, 2], 4));
    assert_eq!(
        world.nodes[0].config, 1,
        "its next pod starts with the config of its template"
    );
    world.run(minutes(50));
    let plan = decide(&world.snapshot(), &world.options);
    assert!(
        plan.slots.values().all(|slots| slots.stalled.is_empty()),
        "nobody is down"
    );
    world.nodes[0].refused = false;
    world.run(minutes(10));
    assert_converged(&world);
    assert_eq!(world.nodes[0].template.version, 2);
    assert_eq!(world.most_down, 1);
}

#[test]
fn a_template_that_is_refused_takes_no_slot_from_those_that_vote() {
    let mut world = network_of(4, RestartMode::Changed);
    // It comes first of all, since it votes for nobody: it never came up.
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
fn nobody_is_restarted_for_peers_while_another_is_down_for_good() {
    let mut world = network_of(4, RestartMode::Changed);
    world.nodes[0].broken = true;
    let before = world.restarts_of_each();
    world.join("validator-4");
    world.run(minutes(20));
    // The broken one costs nobody; a voting one is not taken down beside it.
    let after = world.restarts_of_each();
    assert_eq!(
        after[1..4],
        before[1..4],
        "a voting validator was taken down while another did not vote"
    );
    let list = world.lists.values().next().unwrap();
    assert!(list.data["KNOWN_PEERS"].lines().count() == 5);
}

/// As seen on real nodes: the fifth is in nobody's quorum set and does not vote, and the change that would put it there
/// is the others'.
#[test]
fn a_newcomer_that_never_votes_holds_the_others_up_for_a_while_only_and_is_named() {
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
    assert_eq!(after[..4], once, "one restart each, for the newcomer and the version");
    assert_eq!(world.most_down, 1);
    // It votes once, and from then on it is one that the others miss.
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
fn validators_that_vote_for_nobody_go_one_at_a_time_too() {
    let mut world = network_of(4, RestartMode::Changed);
    for node in &mut world.nodes {
        node.broken = true;
        node.spec.version = 2;
    }
    world.run(minutes(20));
    assert!(
        world.nodes.iter().all(|node| node.template.version == 2),
        "each got its slot, though nobody votes"
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
fn a_slot_whose_reason_goes_and_comes_back_is_not_used_beside_the_next() {
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
            assert!(world.most_down <= 1, "{} down by us at once", world.most_down);
        }
        world.run(minutes(4));
        assert_converged(&world);
    }
}

#[test]
fn a_holder_that_begins_to_vote_before_it_goes_down_is_awaited_like_any_other_that_voted() {
    // Two groups of one network: neither knows the other's members, and only the slot tells one that the other is down.
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
                "{most} down by us at once, where the first votes after {healed}"
            );
        }
        world.run(minutes(10));
        assert_converged(&world);
    }
}

#[test]
fn whoever_died_while_the_watch_of_pods_was_silent_is_not_taken_for_one_that_votes() {
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
    // It looks again.
    world.nodes[3].broken = false;
    world.run(minutes(20));
    assert_converged(&world);
}

/// Validators of one network, every second one in another namespace.
fn two_namespaces() -> World {
    let mut world = World::new(Options {
        cross_namespace_groups: true,
        ..options(RestartMode::Changed)
    });
    world.two_namespaces = true;
    world
}

/// One cycle of an operator that sees what was there a cycle of so many milliseconds before.
fn live_late(world: &mut World, seen: &mut Snapshot, milliseconds: Millis) {
    world.now += milliseconds;
    world.settle();
    let present = world.snapshot();
    let mut late = std::mem::replace(seen, present);
    late.now = time(world.now);
    world.operate(&late, Fault::default());
    world.settle();
}

/// Nobody differs from the others.
fn alike() -> Cast {
    Cast {
        silent: false,
        foreign: false,
        second_network: SecondNetwork::No,
    }
}
