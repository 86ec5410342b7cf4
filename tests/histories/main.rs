//! Random histories on a real control plane, as a sample of what the simulation tests. `make histories` takes about 90
//! s for each. HISTORIES sets the number, SEED the first one.

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
async fn histories_converge_with_one_down_at_a_time_and_no_extra_restart() {
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
