//! Fuzzes the webhook's functions: no input causes a panic, and every answer keeps the promises.
//!
//! `STELLAR_FUZZ_INPUTS` sets the number of inputs, `STELLAR_FUZZ_SEED` repeats a run. A failing input is shrunk and
//! its body written to a file.

#![allow(clippy::expect_used)]

mod edits;
mod inputs;
mod promises;
mod values;

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use inputs::Body;
use kube::ResourceExt as _;
use promises::{Outcome, keep};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use serde_json::Value;
use stellar_k8s::admission::context::{Context, NoContext};
use stellar_k8s::admission::reviewer::Rules;
use stellar_k8s::crd::StellarNode;

/// The default number of inputs.
const EVERY_DAY: usize = 4000;
/// The inputs are divided into this many parts on every machine, so that a seed means the same inputs everywhere.
const THREADS: usize = 8;
/// The most attempts to shrink a failing input.
const SHRINK: u32 = 2000;

/// A source of inputs.
struct Source {
    name: &'static str,
    inputs: fn() -> BoxedStrategy<Body>,
    /// The share of this source in tenths.
    tenths: usize,
    /// The least percentages of useful inputs; below them the source makes mostly garbage.
    at_least: AtLeast,
}

struct AtLeast {
    readable: usize,
    patched: usize,
    denied: usize,
    both_allowed: usize,
}

const SOURCES: [Source; 3] = [
    Source {
        name: "bytes",
        inputs: inputs::bytes,
        tenths: 1,
        at_least: AtLeast {
            readable: 0,
            patched: 0,
            denied: 0,
            both_allowed: 0,
        },
    },
    Source {
        name: "damaged",
        inputs: inputs::damaged,
        tenths: 3,
        at_least: AtLeast {
            readable: 25,
            patched: 8,
            denied: 2,
            both_allowed: 6,
        },
    },
    Source {
        name: "edited",
        inputs: edits::edited,
        tenths: 6,
        at_least: AtLeast {
            readable: 70,
            patched: 20,
            denied: 10,
            both_allowed: 12,
        },
    },
];

/// A context with the StellarNodes of the captured reviews.
struct Known(Vec<StellarNode>);

impl Known {
    fn captured() -> Self {
        let object = |(_, body): (String, Body)| {
            let review: Value = serde_json::from_slice(&body.0).expect("JSON");
            serde_json::from_value(review["request"]["object"].clone()).ok()
        };
        let nodes: Vec<StellarNode> = inputs::captured().into_iter().filter_map(object).collect();
        assert!(nodes.len() >= 8, "{} StellarNodes", nodes.len());
        Self(nodes)
    }
}

impl Context for Known {
    fn node(&self, namespace: &str, name: &str) -> Option<StellarNode> {
        let wanted = |node: &&StellarNode| node.namespace().as_deref() == Some(namespace) && node.name_any() == name;
        self.0.iter().find(wanted).cloned()
    }

    fn each_validator(&self, namespace: &str, visit: &mut dyn FnMut(&StellarNode)) {
        let wanted = |node: &&StellarNode| {
            node.namespace().as_deref() == Some(namespace) && node.spec.validator_config.is_some()
        };
        self.0.iter().filter(wanted).for_each(visit);
    }
}

/// The number of inputs with each outcome.
#[derive(Default)]
struct Counts {
    inputs: AtomicUsize,
    readable: AtomicUsize,
    patched: AtomicUsize,
    denied: AtomicUsize,
    warned: AtomicUsize,
    /// Patched and allowed: these prove that an accepted review is accepted after its patch as well.
    both_allowed: AtomicUsize,
}

impl Counts {
    fn add(&self, outcome: Outcome) {
        let count = |counter: &AtomicUsize, is: bool| counter.fetch_add(usize::from(is), Ordering::Relaxed);
        count(&self.inputs, true);
        count(&self.readable, outcome.readable);
        count(&self.patched, outcome.patched);
        count(&self.denied, outcome.denied);
        count(&self.warned, outcome.warned);
        count(&self.both_allowed, outcome.patched && !outcome.denied);
    }

    fn all(&self) -> [usize; 6] {
        let counters = [
            &self.inputs,
            &self.readable,
            &self.patched,
            &self.denied,
            &self.warned,
            &self.both_allowed,
        ];
        counters.map(|counter| counter.load(Ordering::Relaxed))
    }

    /// The outcomes that were too rare.
    fn too_few(&self, at_least: &AtLeast) -> Vec<String> {
        let [inputs, readable, patched, denied, _, both_allowed] = self.all();
        [
            ("readable", readable, at_least.readable),
            ("patched", patched, at_least.patched),
            ("denied", denied, at_least.denied),
            ("patched and allowed", both_allowed, at_least.both_allowed),
        ]
        .into_iter()
        .filter(|(_, found, percent)| found * 100 < inputs * percent)
        .map(|(what, found, percent)| format!("{found} of {inputs} are {what}, less than {percent} %"))
        .collect()
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .expect("STELLAR_FUZZ_INPUTS and STELLAR_FUZZ_SEED are numbers"),
    )
}

#[test]
fn every_answer_is_well_formed_and_consistent() {
    let inputs = number("STELLAR_FUZZ_INPUTS").map_or(EVERY_DAY, |inputs| inputs as usize);
    let seed = number("STELLAR_FUZZ_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let rules = [Rules::new(Arc::new(NoContext)), Rules::new(Arc::new(Known::captured()))];
    let begin = Instant::now();
    let mut table = format!("{:10}", "");
    for head in ["inputs", "readable", "patched", "denied", "warned", "both"] {
        let _ = write!(table, "{head:>10}");
    }
    let mut total = [0; 6];
    let mut problems = Vec::new();
    for (index, source) in SOURCES.iter().enumerate() {
        let counts = Counts::default();
        let wanted = (inputs * source.tenths).div_ceil(10);
        problems.extend(run(source, &rules, wanted, [seed, index as u64], &counts));
        if problems.is_empty() {
            problems = counts.too_few(&source.at_least);
        }
        let _ = write!(table, "\n{:10}", source.name);
        for (sum, count) in total.iter_mut().zip(counts.all()) {
            *sum += count;
            let _ = write!(table, "{count:>10}");
        }
    }
    let _ = write!(table, "\n{:10}", "all");
    for sum in total {
        let _ = write!(table, "{sum:>10}");
    }
    eprintln!(
        "{table}\nboth: patched and allowed; {:.1} s, STELLAR_FUZZ_SEED={seed}",
        begin.elapsed().as_secs_f64()
    );
    assert!(problems.is_empty(), "{}\nSTELLAR_FUZZ_SEED={seed}", problems.join("\n"));
    assert!(total[0] >= inputs, "only {} of {inputs} inputs were tried", total[0]);
}

/// Tries this many inputs; returns the failures.
fn run(source: &Source, rules: &[Rules; 2], inputs: usize, seed: [u64; 2], counts: &Counts) -> Vec<String> {
    // The number, from 1, of the thread that failed first. It shrinks its input while the others stop.
    let failed = AtomicUsize::new(0);
    let try_part = |part: usize| {
        let mut bytes = [0; 32];
        for (place, number) in bytes.chunks_mut(8).zip([seed[0], seed[1], part as u64]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let cases = inputs / THREADS + usize::from(part <= inputs % THREADS);
        let config = Config {
            cases: u32::try_from(cases).expect("fewer inputs"),
            failure_persistence: None,
            max_shrink_iters: SHRINK,
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let tried = runner.run(&((source.inputs)(), any::<bool>()), |(body, known)| {
            if ![0, part].contains(&failed.load(Ordering::Relaxed)) {
                return Ok(());
            }
            let rules = &rules[usize::from(known)];
            let kept = catch_unwind(AssertUnwindSafe(|| keep(rules, &body.0))).unwrap_or_else(|panic| {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
                Err(TestCaseError::fail(format!("a panic: {}", said.unwrap_or_default())))
            });
            match kept {
                Ok(outcome) => counts.add(outcome),
                Err(error) => {
                    let _ = failed.compare_exchange(0, part, Ordering::Relaxed, Ordering::Relaxed);
                    return Err(error);
                }
            }
            Ok(())
        });
        match tried {
            Ok(()) => None,
            Err(TestError::Fail(why, (body, known))) => {
                let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", source.name));
                std::fs::write(&file, &body.0).expect("the body is written");
                let file = file.display();
                Some(format!("{}, known {known}: {why}\n{body:?}\nin {file}", source.name))
            }
            Err(TestError::Abort(why)) => Some(why.to_string()),
        }
    };
    thread::scope(|scope| {
        let parts: Vec<_> = (1..=THREADS).map(|part| scope.spawn(move || try_part(part))).collect();
        let ended = parts
            .into_iter()
            .map(|part| part.join().expect("failures are returned"));
        ended.flatten().collect()
    })
}

#[test]
fn captured_reviews_are_answered() {
    let rules = Rules::new(Arc::new(NoContext));
    let (mut patched, mut denied, mut others) = (Vec::new(), Vec::new(), 0);
    for (name, body) in inputs::captured() {
        let outcome = keep(&rules, &body.0).expect("the answers keep the promises");
        assert!(outcome.readable, "{name}");
        if outcome.patched {
            patched.push(name.clone());
        }
        if outcome.denied {
            denied.push(name);
        } else if !outcome.patched {
            others += 1;
        }
    }
    let expected = [
        "node-create",
        "node-port-http",
        "node-port-too-large",
        "node-private-network",
        "node-private-network-update",
        "node-update",
        "set-create",
        "set-env",
        "set-many-containers",
        "set-many-containers-update",
        "set-ports-clash",
        "set-update",
    ];
    assert_eq!(patched, expected);
    assert_eq!(
        denied,
        [
            "node-many-errors",
            "node-port-http",
            "node-port-too-large",
            "set-ports-clash"
        ]
    );
    assert!(others >= 10, "{others}");
}
