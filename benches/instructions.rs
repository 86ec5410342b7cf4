//! Counts with valgrind the instructions of one review, from its bytes to the bytes of its answer.
//!
//! A count does not depend on the load of the machine, so it can have a budget: `benches/budget` has the recorded
//! counts, and more than 5 % above fails. Each path runs a number of times and twice as many times; the difference
//! excludes all that happens once. The most expensive reviews (`bodies/worst.rs`) are counted at two sizes, which
//! limits their growth. `make instructions` checks the counts, `cargo bench --bench instructions -- write` records
//! them.

#![allow(clippy::unwrap_used, missing_docs)]

mod bodies;
mod goals;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::{env, fs, io};

use anyhow::{Context as _, bail, ensure};
use bodies::worst::{self, WORST};
use goals::{Goal, Row, grouped};
use stellar_k8s::admission::context::NoContext;
use stellar_k8s::admission::reviewer::Rules;
use stellar_k8s::webhook::reviewer::{Answer, Reviewer as _};

const BUDGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/budget");
/// Runs of a path; the allocator's memory settles within the first few.
const RUNS: u64 = 40;
/// The tolerance above a budget, because counts differ slightly with the compiler and the C library.
const TOLERANCE: f64 = 0.05;

/// The most growth for twice the size: n log n plus a tolerance.
const MOST_GROWTH: f64 = 2.3;
/// The beginning of the growth rows in the table of goals.
const GROWTH: &str = "a review of twice the size costs more,";

/// One path through the rules.
struct Path {
    name: &'static str,
    body: fn() -> Vec<u8>,
    ask: fn(&Rules, &[u8]) -> Answer,
    /// The goal for one review, independent of the budget.
    goal: Option<u64>,
}

const PATHS: [Path; 5] = [
    Path {
        name: "mutate-set-4k",
        body: bodies::set_4k,
        ask: |rules, body| rules.mutate(body),
        goal: Some(130_000),
    },
    Path {
        name: "mutate-set-40k",
        body: bodies::set_40k,
        ask: |rules, body| rules.mutate(body),
        goal: None,
    },
    Path {
        name: "validate-set-4k",
        body: bodies::set_4k,
        ask: |rules, body| rules.validate(body),
        goal: None,
    },
    Path {
        name: "mutate-node",
        body: || bodies::captured("node-create"),
        ask: |rules, body| rules.mutate(body),
        goal: None,
    },
    Path {
        name: "validate-node",
        body: || bodies::captured("node-create"),
        ask: |rules, body| rules.validate(body),
        goal: None,
    },
];

fn main() -> ExitCode {
    // cargo adds --bench.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => check(),
        ["write"] => write(),
        ["run", name, times] => run(name, times),
        ["worst", name, size] => run_worst(name, size),
        _ => Err(anyhow::anyhow!("usage: instructions [write | run PATH TIMES]")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The counted code.
fn run(name: &str, times: &str) -> anyhow::Result<()> {
    let path = PATHS.iter().find(|path| path.name == name).context("no such path")?;
    let rules = Rules::new(Arc::new(NoContext));
    let body = (path.body)();
    for _ in 0..times.parse()? {
        let answer = (path.ask)(&rules, black_box(&body));
        ensure!(answer.facts.allowed == Some(true), "{name} is not allowed");
        black_box(answer);
    }
    Ok(())
}

/// The counted code for one of the most expensive reviews: making and answering a review of this size.
fn run_worst(name: &str, size: &str) -> anyhow::Result<()> {
    let worst = WORST
        .iter()
        .find(|worst| worst.name == name)
        .context("no such review")?;
    let body = worst::review(&(worst.node)(size.parse()?));
    let answer = Rules::new(Arc::new(NoContext)).validate(black_box(&body));
    ensure!(answer.status == 200, "{name} is not answered as a review");
    println!("{} {}", body.len(), answer.body.len());
    Ok(())
}

/// The instructions of one review.
fn count(path: &Path) -> anyhow::Result<u64> {
    let [once, twice] = [RUNS, 2 * RUNS].map(|times| collected("run", path.name, times));
    Ok((twice? - once?) / RUNS)
}

/// The instructions of a whole process.
fn collected(what: &str, name: &str, number: u64) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    // Clear the caller's environment, because its size moves the stack.
    command
        .env_clear()
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([what, name, &number.to_string()]);
    if let Some(path) = env::var_os("PATH") {
        command.env("PATH", path);
    }
    let output = match command.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("valgrind is missing: apt-get install valgrind")
        }
        output => output.context("valgrind")?,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed: {said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.with_context(|| format!("valgrind counted nothing: {said}"))?;
    Ok(number.trim().parse()?)
}

fn check() -> anyhow::Result<()> {
    let budgets = budgets()?;
    let mut beyond = Vec::new();
    let mut rows = Vec::new();
    let mut table = format!(
        "{:16} {:>8} {:>12} {:>12} {:>8}\n",
        "review", "bytes", "instructions", "budget", "change"
    );
    for path in &PATHS {
        let counted = count(path)?;
        let budget = *budgets
            .get(path.name)
            .with_context(|| format!("no budget for {}: run it with `-- write`", path.name))?;
        let change = counted as f64 / budget as f64 - 1.0;
        if change > TOLERANCE {
            beyond.push(path.name);
        }
        rows.extend(path.goal.map(|goal| Row {
            what: format!("instructions of one review, {}", path.name),
            measured: grouped(counted as f64),
            compared: grouped(goal as f64),
            ratio: counted as f64 / goal as f64,
            goal: Goal::AtMost(1.0),
        }));
        table += &format!(
            "{:16} {:>8} {counted:>12} {budget:>12} {:>+7.1}%\n",
            path.name,
            (path.body)().len(),
            change * 100.0
        );
    }
    print!("{table}");
    rows.extend(check_growth()?);
    goals::show(&rows)?;
    let missed = rows.iter().filter(|row| row.what.starts_with(GROWTH) && !row.is_met());
    let missed: Vec<&str> = missed.map(|row| row.what.as_str()).collect();
    ensure!(
        missed.is_empty(),
        "{} by more than {MOST_GROWTH} times",
        missed.join(", ")
    );
    ensure!(
        beyond.is_empty(),
        "{} takes more than {:.0} % beyond its budget: make it cheaper, or explain it in the commit and record it with \
         `cargo bench --bench instructions -- write`",
        beyond.join(", "),
        TOLERANCE * 100.0
    );
    Ok(())
}

/// Measures the growth of the most expensive reviews.
fn check_growth() -> anyhow::Result<Vec<Row>> {
    println!(
        "\n{:18} {:>8} {:>14} {:>14} {:>7}",
        "dearest", "size", "instructions", "of twice that", "growth"
    );
    let mut rows = Vec::new();
    for worst in &WORST {
        let [once, twice] = [1, 2].map(|times| collected("worst", worst.name, times * worst.size as u64));
        let (once, twice) = (once? as f64, twice? as f64);
        let growth = twice / once;
        println!(
            "{:18} {:>8} {:>14} {:>14} {growth:>7.2}",
            worst.name,
            worst.size,
            grouped(once),
            grouped(twice)
        );
        rows.push(Row {
            what: format!("{GROWTH} {}", worst.name),
            measured: grouped(twice),
            compared: grouped(once),
            ratio: growth,
            goal: Goal::AtMost(MOST_GROWTH),
        });
    }
    Ok(rows)
}

fn write() -> anyhow::Result<()> {
    let mut text = "# Instructions of one review, counted by benches/instructions.rs.\n".to_owned();
    for path in &PATHS {
        text += &format!("{} {}\n", path.name, count(path)?);
    }
    print!("{text}");
    fs::write(BUDGET, text).context(BUDGET)
}

fn budgets() -> anyhow::Result<BTreeMap<String, u64>> {
    let text = fs::read_to_string(BUDGET).context(BUDGET)?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, number) = line.split_once(' ').with_context(|| format!("{BUDGET}: {line:?}"))?;
            Ok((name.to_owned(), number.parse()?))
        })
        .collect()
}
