//! Random histories on a real control plane: what the simulation proves of many, seen of a few. `make histories`, some
//! 90 s for each; HISTORIES says how many, SEED which.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod history;
mod random;
mod world;

use random::Random;

#[tokio::test(flavor = "multi_thread")]
async fn each_converges_with_one_down_at_a_time_and_no_restart_too_many() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect("a number"))
    };
    let first = number("SEED").unwrap_or_else(random::seed);
    for seed in (0..number("HISTORIES").unwrap_or(3)).map(|number| first.wrapping_add(number)) {
        println!("SEED={seed}");
        history::run(&mut Random::new(seed)).await;
    }
}
