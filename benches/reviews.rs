//! The cost of one review without HTTP: parse → decide → serialise, for reviews of every size.

#![allow(clippy::unwrap_used, missing_docs)]

mod bodies;

use std::sync::Arc;

use divan::Bencher;
use divan::counter::BytesCount;
use stellar_k8s::admission::context::NoContext;
use stellar_k8s::admission::reviewer::Rules;
use stellar_k8s::webhook::reviewer::{Answer, Reviewer};

/// A captured StellarNode, a captured StatefulSet that the operator built, and two enlarged reviews.
const REVIEWS: [&str; 4] = ["node-create", "set-owned", "set-4k", "set-40k"];

fn main() {
    divan::main();
}

fn body(name: &str) -> Vec<u8> {
    match name {
        "set-4k" => bodies::set_4k(),
        "set-40k" => bodies::set_40k(),
        _ => bodies::captured(name),
    }
}

fn run(bencher: Bencher<'_, '_>, name: &str, ask: fn(&Rules, &[u8]) -> Answer) {
    let rules = Rules::new(Arc::new(NoContext));
    let body = body(name);
    assert_eq!(ask(&rules, &body).facts.allowed, Some(true), "{name}");
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| ask(&rules, &body));
}

#[divan::bench(args = REVIEWS)]
fn mutate(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, Rules::mutate);
}

#[divan::bench(args = REVIEWS)]
fn validate(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, Rules::validate);
}
