//! Rules R1–R6 in a simulated cluster: named situations, and arbitrary histories.

#![allow(clippy::unwrap_used)]

#[path = "simulation/world.rs"]
mod world;

use std::time::Duration;

use proptest::prelude::*;
use stellar_k8s::controller::decide::decide;
use stellar_k8s::controller::groups;
use stellar_k8s::controller::links;
use stellar_k8s::controller::needs::loaded_view;
use stellar_k8s::controller::options::{Options, RestartMode};
use stellar_k8s::crd::Network;
use world::{Fault, World, minutes};

fn options(restart: RestartMode) -> Options {
    Options {
        restart,
        ..Options::default()
    }
}

fn network_of(count: usize, restart: RestartMode) -> World {
    let mut world = World::new(options(restart));
    for index in 0..count {
        world.join(&format!("validator-{index}"));
    }
    world.run(minutes(12));
    world
}

/// The end of every history: the list is right, everybody loaded it, and nothing is left to do.
fn assert_converged(world: &World, everybody_loaded: bool) {
    let snapshot = world.snapshot();
    let plan = decide(&snapshot, &world.options);
    assert!(
        plan.lists.is_empty() && plan.records.is_empty(),
        "something is left to write: {plan:?}"
    );
    for turns in plan.turns.values() {
        assert!(
            turns.write.is_none() && turns.steps.is_empty(),
            "turns are left: {turns:?}"
        );
    }
    assert!(
        world.lease.turns.is_empty(),
        "a turn is held for ever: {:?}",
        world.lease.turns
    );
    for group in groups::form(&snapshot, &world.options) {
        assert!(
            links::assess(&group).is_connected(),
            "not connected: {:?}",
            links::assess(&group)
        );
        let running: Vec<_> = group.members.iter().map(|member| member.validator.id.clone()).collect();
        let everybody = group.validators.iter().chain(&group.guests);
        let mut wanted: Vec<_> = everybody
            .filter(|validator| groups::is_wanted(validator))
            .map(|one| one.id.clone())
            .collect();
        wanted.sort();
        assert_eq!(running, wanted);
        for member in &group.members {
            let pod = member.validator.pod.as_ref().unwrap();
            assert_eq!(
                member.address.as_deref(),
                Some(format!("{}:{}", pod.ip.as_deref().unwrap(), pod.port.unwrap()).as_str())
            );
            if everybody_loaded {
                assert_eq!(
                    loaded_view(member.validator),
                    group.views.get(&member.validator.id),
                    "{}",
                    member.validator.id
                );
            }
        }
    }
}

#[test]
fn a_fresh_network_restarts_each_validator_once_and_then_rests() {
    let mut world = network_of(4, RestartMode::Changed);
    assert_converged(&world, true);
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
fn a_newcomer_restarts_the_others_one_after_the_other_and_not_itself() {
    let mut world = network_of(3, RestartMode::Changed);
    let before: Vec<usize> = world.nodes.iter().map(|node| node.restarts.len()).collect();
    world.join("validator-3");
    world.run(minutes(12));
    assert_converged(&world, true);
    let after: Vec<usize> = world.nodes.iter().map(|node| node.restarts.len()).collect();
    assert_eq!(after, [before[0] + 1, before[1] + 1, before[2] + 1, 0]);
    assert_eq!(world.most_down, 1);
}

#[test]
fn a_suspended_validator_leaves_and_the_others_restart_once() {
    let mut world = network_of(4, RestartMode::Changed);
    let before = world.restarts();
    world.nodes[1].suspended = true;
    world.run(minutes(12));
    assert_converged(&world, true);
    assert_eq!(world.restarts(), before + 3);
}

#[test]
fn a_pod_that_comes_back_elsewhere_restarts_nobody() {
    let mut world = network_of(4, RestartMode::Changed);
    let before = world.restarts();
    for index in 0..4 {
        world.kill_pod(index);
        world.run(minutes(1));
    }
    assert_converged(&world, true);
    assert_eq!(world.restarts(), before);
}

#[test]
fn a_power_cut_of_six_costs_three_restarts_however_late_kubelets_read() {
    for late in [0, 3_000, 6_000, 30_000] {
        let mut world = network_of(6, RestartMode::Changed);
        let before = world.restarts();
        world.late = late;
        for index in 0..6 {
            world.kill_pod(index);
        }
        world.run(minutes(30));
        assert!(
            world.restarts() - before <= 3,
            "read {late} ms late: {} restarts",
            world.restarts() - before
        );
        assert_converged(&world, true);
        assert_eq!(world.most_down, 1);
    }
}

#[test]
fn a_validator_left_to_a_person_keeps_nobody_else_from_being_linked() {
    let mut world = network_of(6, RestartMode::Changed);
    let before = world.nodes[0].restarts.len();
    world.nodes[0].left_to_a_person = true;
    for index in 0..6 {
        world.kill_pod(index);
    }
    world.run(minutes(30));
    assert_converged(&world, true);
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
        assert_converged(&world, true);
    }
}

#[test]
fn unlinked_mode_restarts_nobody_for_a_join_or_a_suspension() {
    let mut world = network_of(6, RestartMode::Unlinked);
    let before = world.restarts();
    world.join("validator-6");
    world.run(minutes(12));
    world.nodes[2].suspended = true;
    world.run(minutes(12));
    assert_eq!(world.restarts(), before);
    assert_converged(&world, false);
}

#[test]
fn a_new_version_and_a_newcomer_cost_one_restart_for_both() {
    let mut world = network_of(4, RestartMode::Changed);
    let before: Vec<usize> = world.nodes.iter().map(|node| node.restarts.len()).collect();
    for node in &mut world.nodes {
        node.version = 2;
    }
    world.join("validator-4");
    world.run(minutes(20));
    assert_converged(&world, true);
    let after: Vec<usize> = world.nodes.iter().map(|node| node.restarts.len()).collect();
    assert_eq!(after, [before[0] + 1, before[1] + 1, before[2] + 1, before[3] + 1, 0]);
    assert_eq!(world.most_down, 1);
    assert!(world.nodes.iter().take(4).all(|node| node.template.1 == 2));
}

#[test]
fn a_newcomer_that_is_there_while_the_version_is_still_being_changed_costs_no_restart_of_its_own() {
    for milliseconds in (0..2_500).step_by(250) {
        let mut world = network_of(4, RestartMode::Changed);
        let before: Vec<usize> = world.nodes.iter().map(|node| node.restarts.len() + 1).collect();
        world.join("validator-4");
        world.run(Duration::from_millis(milliseconds));
        for node in &mut world.nodes[..4] {
            node.version = 2;
        }
        world.run(minutes(20));
        assert_converged(&world, true);
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
        node.version = 2;
    }
    world.run(minutes(4));
    assert!(world.nodes[..4].iter().all(|node| node.template.1 == 1));
    world.run(minutes(16));
    assert!(world.nodes[..4].iter().all(|node| node.template.1 == 2));
}

#[test]
fn a_group_of_two_namespaces_is_one_group_and_falls_apart_when_one_takes_its_consent_back() {
    let mut world = World::new(Options {
        cross_namespace_groups: true,
        ..options(RestartMode::Changed)
    });
    world.two_namespaces = true;
    for index in 0..6 {
        world.join(&format!("validator-{index}"));
    }
    world.run(minutes(12));
    assert_converged(&world, true);
    assert_eq!(world.lists.len(), 2);
    for list in world.lists.values() {
        assert_eq!(list.list.as_ref().unwrap().members.len(), 6);
    }
    let before = world.restarts();
    world.two_namespaces = false;
    world.run(minutes(12));
    assert_converged(&world, true);
    for list in world.lists.values() {
        assert_eq!(list.list.as_ref().unwrap().members.len(), 3);
    }
    assert_eq!(world.restarts() - before, 6, "once each");
    assert_eq!((world.most_down, world.most_turns), (1, 1));
}

#[test]
fn a_bad_version_stops_at_the_first_and_taking_it_back_heals_it() {
    for keeps_unready in [false, true] {
        let mut world = network_of(4, RestartMode::Changed);
        world.keeps_unready = keeps_unready;
        world.bad_versions.insert(2);
        for node in &mut world.nodes {
            node.version = 2;
        }
        world.run(minutes(40));
        let changed = world.nodes.iter().filter(|node| node.template.1 == 2).count();
        assert_eq!(changed, 1);
        assert_eq!(world.nodes.iter().filter(|node| world.is_voting(node)).count(), 3);
        for node in &mut world.nodes {
            node.version = 1;
        }
        world.run(minutes(20));
        assert_eq!(world.nodes.iter().filter(|node| world.is_voting(node)).count(), 4);
        assert_converged(&world, true);
        assert_eq!(world.most_down, 1);
    }
}

#[test]
fn nobody_is_restarted_for_peers_while_another_is_down_for_good() {
    let mut world = network_of(4, RestartMode::Changed);
    world.nodes[0].broken = true;
    let before: Vec<usize> = world.nodes.iter().map(|node| node.restarts.len()).collect();
    world.join("validator-4");
    world.run(minutes(20));
    // The broken one costs nobody; a voting one is not taken down beside it.
    let after: Vec<usize> = world.nodes.iter().map(|node| node.restarts.len()).collect();
    assert_eq!(
        after[1..4],
        before[1..4],
        "a voting validator was taken down while another did not vote"
    );
    let list = world.lists.values().next().unwrap();
    assert!(list.data["KNOWN_PEERS"].lines().count() == 5);
}

#[test]
fn validators_that_vote_for_nobody_go_one_at_a_time_too() {
    let mut world = network_of(4, RestartMode::Changed);
    for node in &mut world.nodes {
        node.broken = true;
        node.version = 2;
    }
    world.run(minutes(20));
    assert!(
        world.nodes.iter().all(|node| node.template.1 == 2),
        "each got its turn, though nobody votes"
    );
    assert_eq!(world.most_turns, 1);
}

#[test]
fn nobody_is_restarted_twice_for_the_same_members_while_kubelets_read_an_old_list() {
    let mut world = network_of(3, RestartMode::Changed);
    let before = world.restarts();
    world.late = 60 * 60_000;
    world.join("validator-3");
    world.run(minutes(9));
    assert!(world.restarts() - before <= 4, "{} restarts", world.restarts() - before);
}

#[test]
fn newcomers_that_come_up_one_after_the_other_cost_one_restart_each() {
    let mut world = network_of(3, RestartMode::Changed);
    let before: Vec<usize> = world.nodes.iter().map(|node| node.restarts.len()).collect();
    world.join("validator-3");
    world.join("validator-4");
    world.nodes[4].flapping_until = world.now + 90_000;
    world.run(minutes(12));
    assert_converged(&world, true);
    let after: Vec<usize> = world.nodes.iter().map(|node| node.restarts.len()).collect();
    assert_eq!(after[..3], [before[0] + 1, before[1] + 1, before[2] + 1]);
}

#[test]
fn a_validator_left_out_of_a_group_still_gets_its_new_version() {
    let mut world = network_of(3, RestartMode::Changed);
    world.join("stranger");
    world.nodes[3].network = Network::parse("Another Network ; 2026");
    world.run(minutes(1));
    world.nodes[3].version = 2;
    let snapshot = world.snapshot();
    let plan = decide(&snapshot, &world.options);
    let turns = plan
        .turns
        .get(&world.nodes[3].network.short_hash())
        .and_then(|turns| turns.write.clone());
    assert_eq!(
        turns.map(|turns| turns[0].node.clone()),
        Some(world.nodes[3].id.clone())
    );
}

#[test]
fn a_turn_whose_reason_goes_and_comes_back_is_not_used_beside_the_next() {
    let mut quiet = World::new(Options {
        cross_namespace_groups: true,
        ..options(RestartMode::Changed)
    });
    quiet.two_namespaces = true;
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
                happen(&mut world, &Happening::EditList);
            }
            world.now += 500;
            world.settle();
            let present = world.snapshot();
            let mut late = std::mem::replace(&mut seen, present);
            late.now = world::time(world.now);
            world.operate(&late, Fault::default());
            world.settle();
            assert!(world.most_down <= 1, "{} down by us at once", world.most_down);
        }
        world.run(minutes(4));
        assert_converged(&world, true);
    }
}

#[test]
fn a_clock_that_jumps_writes_nothing_at_rest_and_takes_nobody_down_beside_another() {
    let hour = 3_600_000;
    for jump in [hour, -hour, 24 * hour, -24 * hour] {
        let mut rest = network_of(4, RestartMode::Changed);
        let (restarts, writes) = (rest.restarts(), rest.list_writes);
        let see = |world: &World, cycle: i64| {
            let mut snapshot = world.snapshot();
            // It jumps there and back.
            snapshot.now = world::time(world.now + if cycle % 20 < 10 { jump } else { 0 });
            snapshot
        };
        for cycle in 0..200 {
            rest.now += 500;
            rest.settle();
            let snapshot = see(&rest, cycle);
            rest.operate(&snapshot, Fault::default());
        }
        assert_eq!(
            (rest.restarts(), rest.list_writes),
            (restarts, writes),
            "{jump} ms at rest"
        );

        let mut world = network_of(4, RestartMode::Changed);
        world.join("validator-4");
        for cycle in 0..400 {
            world.now += 500;
            world.settle();
            let snapshot = see(&world, cycle);
            world.operate(&snapshot, Fault::default());
            world.settle();
            assert!(
                world.most_down <= 1,
                "{jump} ms: {} down by us at once",
                world.most_down
            );
        }
        world.run(minutes(60));
        assert_converged(&world, true);
    }
}

/// Something that happens in a history.
#[derive(Clone, Debug)]
enum Happening {
    Join,
    Suspend(usize),
    Resume(usize),
    ChangePort(usize),
    NewVersion(usize),
    LosePod(usize),
    LoseAll,
    Flap(usize),
    DeleteList,
    EditList,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => Just(Happening::Join),
        2 => (0..8usize).prop_map(Happening::Suspend),
        2 => (0..8usize).prop_map(Happening::Resume),
        1 => (0..8usize).prop_map(Happening::ChangePort),
        2 => (0..8usize).prop_map(Happening::NewVersion),
        4 => (0..8usize).prop_map(Happening::LosePod),
        1 => Just(Happening::LoseAll),
        2 => (0..8usize).prop_map(Happening::Flap),
        1 => Just(Happening::DeleteList),
        1 => Just(Happening::EditList),
    ]
}

#[derive(Clone, Debug)]
struct Moment {
    happening: Option<Happening>,
    /// Cycles until the next one.
    cycles: usize,
    dies_after: Option<usize>,
    fails_every: Option<usize>,
    /// The operator sees the state of so many cycles ago.
    stale: usize,
    /// A second operator that still believes to lead acts too, on what it saw before.
    second_leader: bool,
}

fn moment() -> impl Strategy<Value = Moment> {
    (
        proptest::option::weighted(0.8, happening()),
        1..120usize,
        proptest::option::weighted(0.3, 0..4usize),
        proptest::option::weighted(0.2, 1..4usize),
        prop_oneof![3 => Just(0usize), 1 => 1..4usize],
        proptest::bool::weighted(0.2),
    )
        .prop_map(
            |(happening, cycles, dies_after, fails_every, stale, second_leader)| Moment {
                happening,
                cycles,
                dies_after,
                fails_every,
                stale,
                second_leader,
            },
        )
}

fn happen(world: &mut World, happening: &Happening) {
    let count = world.nodes.len().max(1);
    let at = |index: &usize| index % count;
    match happening {
        Happening::Join if world.nodes.len() < 8 => {
            let name = format!("validator-{}", world.nodes.len());
            world.join(&name);
        }
        Happening::Join => {}
        Happening::Suspend(index) => {
            world.nodes[at(index)].suspended = true;
            world.everybody_has_a_reason();
        }
        Happening::Resume(index) => {
            world.nodes[at(index)].suspended = false;
            world.everybody_has_a_reason();
        }
        Happening::ChangePort(index) => {
            let node = &mut world.nodes[at(index)];
            node.port = if node.port == 11625 { 11700 } else { 11625 };
            node.reasons += 1;
            world.everybody_has_a_reason();
        }
        Happening::NewVersion(index) => {
            let node = &mut world.nodes[at(index)];
            node.version += 1;
            node.reasons += 1;
        }
        Happening::LosePod(index) => {
            world.kill_pod(at(index));
            // Several lost one after the other may disconnect the group.
            world.everybody_has_a_reason();
        }
        Happening::LoseAll => {
            (0..count).for_each(|index| world.kill_pod(index));
            world.everybody_has_a_reason();
        }
        Happening::Flap(index) => {
            let until = world.now + 20_000;
            world.nodes[at(index)].flapping_until = until;
        }
        Happening::DeleteList => world.lists.clear(),
        Happening::EditList => {
            if let Some(list) = world.lists.values_mut().next() {
                list.data.insert("KNOWN_PEERS".to_owned(), "1.2.3.4:5".to_owned());
                list.data.insert("peers.json".to_owned(), "{}".to_owned());
                list.list = None;
                list.resource_version.push('x');
            }
        }
    }
}

/// How many histories, `HISTORIES` or 96.
fn histories() -> u32 {
    std::env::var("HISTORIES").map_or(96, |count| count.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_histories_converge_with_one_down_at_a_time(
        first in 1..6usize,
        moments in proptest::collection::vec(moment(), 0..14),
        late in prop_oneof![3 => Just(0i64), 1 => Just(3_000), 1 => Just(10_000)],
        reuse in any::<bool>(),
        keeps_unready in any::<bool>(),
        restart in prop_oneof![Just(RestartMode::Changed), Just(RestartMode::Unlinked), Just(RestartMode::Never)],
        two_namespaces in any::<bool>(),
    ) {
        let mut world = World::new(Options { cross_namespace_groups: two_namespaces, ..options(restart) });
        world.two_namespaces = two_namespaces;
        world.late = late;
        world.reuse_addresses = reuse;
        world.keeps_unready = keeps_unready;
        for index in 0..first {
            world.join(&format!("validator-{index}"));
        }
        let mut seen = vec![world.snapshot()];
        for moment in &moments {
            if let Some(happening) = &moment.happening {
                happen(&mut world, happening);
            }
            for cycle in 0..moment.cycles {
                world.now += 500;
                world.settle();
                seen.push(world.snapshot());
                let fault = if cycle == 0 {
                    Fault { dies_after: moment.dies_after, fails_every: moment.fails_every }
                } else {
                    Fault::default()
                };
                let stale = if cycle < 8 { moment.stale } else { 0 };
                let mut snapshot = seen[seen.len().saturating_sub(1 + stale)].clone();
                snapshot.now = world::time(world.now);
                check_cycle(&snapshot, &world);
                world.operate(&snapshot, fault);
                if moment.second_leader && cycle < 8 {
                    let mut old = seen[seen.len().saturating_sub(3)].clone();
                    old.now = world::time(world.now);
                    world.operate(&old, Fault::default());
                }
                world.settle();
                prop_assert!(world.most_down <= 1, "{} down by us at once", world.most_down);
                prop_assert!(world.most_turns <= 1, "{} turns at once", world.most_turns);
                seen.drain(..seen.len().saturating_sub(6));
            }
        }
        // Let everything come to rest: waits, fuses, grace.
        world.run(minutes(60));
        if world.restarts() > 0 {
            prop_assert!(restart != RestartMode::Never || world.nodes.iter().all(|node| node.restarts.iter().all(|(_, cause)| *cause == "SpecChanged")));
        }
        if restart != RestartMode::Never {
            assert_converged(&world, restart == RestartMode::Changed);
        }
        for node in &world.nodes {
            prop_assert!(node.restarts.len() <= node.reasons as usize + 1, "{}: {:?} for {} reasons", node.id, node.restarts, node.reasons);
        }
        let (restarts, writes) = (world.restarts(), world.list_writes);
        world.run(minutes(20));
        prop_assert_eq!((world.restarts(), world.list_writes), (restarts, writes), "it never comes to rest");
    }
}

/// What holds for every single decision.
fn check_cycle(snapshot: &stellar_k8s::controller::snapshot::Snapshot, world: &World) {
    let plan = decide(snapshot, &world.options);
    // R1, R6: the same state gives the same plan.
    assert_eq!(format!("{plan:?}"), format!("{:?}", decide(snapshot, &world.options)));
    for write in &plan.lists {
        let list = stellar_k8s::peers::PeerList::parse(&write.data["peers.json"]).unwrap();
        for validator in &snapshot.validators {
            let running = validator.pod.as_ref().and_then(|pod| pod.address(validator.spec_port));
            let joined = validator
                .workload
                .as_ref()
                .is_some_and(|workload| workload.member.is_some());
            if let Some((address, _)) = running.filter(|_| joined && groups::is_wanted(validator)) {
                // R5: a running pod with an IP keeps its place however long it is not ready.
                assert!(list.addresses().contains(&address), "{} is missing", validator.id);
            }
        }
        // R5: never an empty list while a member has an address.
        let groups = groups::form(snapshot, &world.options);
        let group = groups.iter().find(|group| group.id == write.id).unwrap();
        let has_members = !group.members.iter().all(|member| member.address.is_none());
        assert!(!has_members || !list.addresses().is_empty());
    }
}
