//! Named situations with a wrong clock.

use jiff::SignedDuration;
use stellar_k8s::controller::model::options::RestartMode;
use stellar_k8s::labels;

use crate::checks::assert_converged;
use crate::world::{Millis, minutes, network_of, time};

const HOUR: Millis = 3_600_000;
const JUMPS: [Millis; 4] = [HOUR, -HOUR, 24 * HOUR, -24 * HOUR];

/// A clock that jumps forth and back.
fn there_and_back(jump: Millis) -> impl Fn(i64) -> Millis {
    move |cycle| if cycle % 20 < 10 { jump } else { 0 }
}

#[test]
fn a_clock_jump_causes_no_write_at_rest_and_no_second_restart_in_a_rollout() {
    for jump in JUMPS {
        let mut rest = network_of(4, RestartMode::Changed);
        let (restarts, writes) = (rest.restarts(), rest.list_writes);
        rest.run_with_clock(200, there_and_back(jump));
        assert_eq!(
            (rest.restarts(), rest.list_writes),
            (restarts, writes),
            "{jump} ms at rest"
        );

        let mut world = network_of(4, RestartMode::Changed);
        world.join("validator-4");
        world.run_with_clock(400, there_and_back(jump));
        assert_eq!(world.most_down, 1, "{jump} ms");
        world.run(minutes(60));
        assert_converged(&world);
    }
}

#[test]
fn a_split_group_is_linked_soon_although_its_list_was_written_with_a_wrong_clock() {
    for jump in JUMPS {
        let mut world = network_of(6, RestartMode::Changed);
        let before = world.restarts();
        world.cut_the_power();
        // Long enough to write the list, too short to restart a validator.
        world.run_with_clock(30, |_| jump);
        assert_eq!(world.restarts(), before);
        world.run(minutes(12));
        assert!(
            world.restarts() - before <= 4,
            "{jump} ms: {} restarts",
            world.restarts() - before
        );
        assert_converged(&world);
        assert_eq!(world.most_down, 1);
    }
}

#[test]
fn a_split_group_is_linked_soon_although_its_list_is_dated_in_the_future() {
    let mut world = network_of(6, RestartMode::Changed);
    let before = world.restarts();
    world.edit_list(|published| {
        let list = published.list.as_mut().unwrap();
        list.version = time(0) + SignedDuration::from_hours(24 * 365);
        published.data.insert(labels::PEERS_JSON.to_owned(), list.to_json());
    });
    world.cut_the_power();
    world.run(minutes(12));
    assert!(world.restarts() - before <= 3, "{} restarts", world.restarts() - before);
    assert_converged(&world);
    let version = world.lists.values().next().unwrap().list.as_ref().unwrap().version;
    assert!(version <= time(world.now), "{version}");
}
