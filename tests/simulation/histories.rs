//! Random histories with random events, failures and delays: the rules hold at every step, and in the end the cluster
//! is converged and at rest.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use stellar_k8s::controller::discovery::decide::decide;
use stellar_k8s::controller::model::options::{Options, RestartMode};

use crate::checks::{assert_converged, check, check_determinism};
use crate::happenings::{Cast, Happening, SecondNetwork, happening};
use crate::operator::Fault;
use crate::view::{Ages, Seen};
use crate::world::{Millis, World, minutes, options};

/// The number of cycles at the beginning of a moment with late watches or two leaders.
const TROUBLED: usize = 8;

#[derive(Clone, Debug)]
struct Moment {
    happening: Option<Happening>,
    /// Cycles until the next moment.
    cycles: usize,
    fault: Fault,
    /// The delays of the operator's watches.
    ages: Ages,
    /// The delays of a second operator that still believes to lead and acts on its older view.
    second_leader: Option<Ages>,
}

fn ages(most: usize) -> impl Strategy<Value = Ages> {
    let age = || 0..=most;
    let each = (age(), age(), age(), age(), age());
    let apart = each.prop_map(|(nodes, workloads, pods, lists, slots)| Ages {
        nodes,
        workloads,
        pods,
        lists,
        slots,
    });
    let together = age().prop_map(|age| Ages {
        nodes: age,
        workloads: age,
        pods: age,
        lists: age,
        slots: age,
    });
    prop_oneof![apart, together]
}

fn moment() -> impl Strategy<Value = Moment> {
    (
        proptest::option::weighted(0.8, happening()),
        1..120usize,
        proptest::option::weighted(0.3, 0..5usize),
        proptest::option::weighted(0.2, 1..4usize),
        prop_oneof![2 => Just(Ages::default()), 1 => ages(4)],
        proptest::option::weighted(0.2, ages(6)),
    )
        .prop_map(
            |(happening, cycles, dies_after, fails_every, ages, second_leader)| Moment {
                happening,
                cycles,
                fault: Fault {
                    dies_after,
                    fails_every,
                },
                ages,
                second_leader,
            },
        )
}

/// The settings of a history.
#[derive(Clone, Debug)]
struct Setting {
    first: usize,
    cast: Cast,
    late: Millis,
    reuse_addresses: bool,
    keeps_unready: bool,
    two_namespaces: bool,
    restart: RestartMode,
    max_unavailable: u32,
    /// Whether users repair at the end what only they can repair.
    heals: bool,
}

fn setting() -> impl Strategy<Value = Setting> {
    let cast = (
        proptest::bool::weighted(0.3),
        proptest::bool::weighted(0.3),
        prop_oneof![
            2 => Just(SecondNetwork::No),
            1 => Just(SecondNetwork::SameList),
            1 => Just(SecondNetwork::OwnList),
        ],
    );
    let cast = cast.prop_map(|(silent, foreign, second_network)| Cast {
        silent,
        foreign,
        second_network,
    });
    let late = prop_oneof![3 => Just(0i64), 1 => Just(3_000), 1 => Just(10_000), 1 => Just(30_000)];
    let modes = vec![
        RestartMode::Changed,
        RestartMode::Changed,
        RestartMode::Unlinked,
        RestartMode::Never,
    ];
    let of_options = (proptest::sample::select(modes), 1..=2u32);
    (
        1..6usize,
        cast,
        late,
        any::<(bool, bool, bool)>(),
        of_options,
        proptest::bool::weighted(0.8),
    )
        .prop_map(
            |(first, cast, late, (reuse, unready, two), (restart, most), heals)| Setting {
                first,
                cast,
                late,
                reuse_addresses: reuse,
                keeps_unready: unready,
                two_namespaces: two,
                restart,
                max_unavailable: most,
                heals,
            },
        )
}

impl Setting {
    fn world(&self) -> World {
        let mut world = World::new(Options {
            cross_namespace_groups: self.two_namespaces,
            max_unavailable: self.max_unavailable,
            ..options(self.restart)
        });
        world.two_namespaces = self.two_namespaces;
        world.late = self.late;
        world.reuse_addresses = self.reuse_addresses;
        world.keeps_unready = self.keeps_unready;
        for _ in 0..self.first {
            self.cast.join(&mut world);
        }
        world
    }
}

/// By default 96 fixed histories, so that a failure comes from a change of the code; `HISTORIES` sets a number of
/// random ones.
fn config() -> ProptestConfig {
    let count = std::env::var("HISTORIES").ok().map(|count| count.parse().unwrap());
    ProptestConfig {
        cases: count.unwrap_or(96),
        rng_seed: count.map_or(RngSeed::Fixed(2026), |_| RngSeed::Random),
        max_shrink_iters: 600,
        ..ProptestConfig::default()
    }
}

/// Runs one moment, cycle by cycle.
fn live(world: &mut World, seen: &mut Seen, moment: &Moment, cast: Cast) {
    if let Some(happening) = &moment.happening {
        world.happen(happening, cast);
    }
    for cycle in 0..moment.cycles {
        world.now += 500;
        world.settle();
        seen.look(world);
        let troubled = cycle < TROUBLED;
        let ages = if troubled { moment.ages } else { Ages::default() };
        let snapshot = seen.with(ages, world);
        let plan = decide(&snapshot, &world.options);
        check(&snapshot, &plan, &world.options);
        if cycle % TROUBLED == 1 {
            check_determinism(&snapshot, &plan, &world.options);
        }
        let fault = if cycle == 0 { moment.fault } else { Fault::default() };
        world.carry_out(&snapshot, &plan, fault);
        if let Some(ages) = moment.second_leader.filter(|_| troubled) {
            let old = seen.with(ages, world);
            world.operate(&old, Fault::default());
        }
        world.settle();
        let limit = world.options.max_unavailable as usize;
        assert!(
            world.most_down <= limit,
            "the operator had {} down at once",
            world.most_down
        );
        assert!(world.most_slots <= limit, "{} slots at once", world.most_slots);
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_histories_converge_within_max_unavailable(
        setting in setting(),
        moments in proptest::collection::vec(moment(), 0..14),
    ) {
        let mut world = setting.world();
        let mut seen = Seen::since(&world);
        for moment in &moments {
            live(&mut world, &mut seen, moment, setting.cast);
        }
        if setting.heals {
            world.heal();
        }
        // Wait longer than all waits, fuses, deadlines and grace periods.
        world.run(minutes(60));
        if setting.heals {
            assert_converged(&world);
        }
        for node in &world.nodes {
            let restarts = &node.restarts;
            let for_spec = restarts.iter().all(|(_, cause)| *cause == "SpecChanged");
            prop_assert!(setting.restart != RestartMode::Never || for_spec, "{}: {restarts:?}", node.id);
            prop_assert!(
                restarts.len() <= node.reasons as usize + 1,
                "{}: {restarts:?} for {} reasons", node.id, node.reasons
            );
        }
        let (restarts, writes) = (world.restarts(), world.list_writes);
        // A validator that crashes forever is Ready now and then, so the operator may act at any time.
        let restless = world.nodes.iter().any(|node| node.crash.is_some_and(|crash| crash.until > world.now));
        world.run(minutes(20));
        prop_assert!(restless || (world.restarts(), world.list_writes) == (restarts, writes), "it never comes to rest");
    }
}
