//! The table of goals: each measurement, its reference, and whether the goal is met.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;

/// The variable with a file for the rows, for `make bench`.
const ROWS: &str = "BENCH_ROWS";

/// The bound of a ratio.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "not every bench has each")]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

/// One row.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) measured: String,
    pub(crate) compared: String,
    /// The measurement divided by its reference.
    pub(crate) ratio: f64,
    pub(crate) goal: Goal,
}

impl Row {
    #[allow(dead_code, reason = "not every bench asks")]
    pub(crate) fn is_met(&self) -> bool {
        match self.goal {
            Goal::AtLeast(bound) => self.ratio >= bound,
            Goal::AtMost(bound) => self.ratio <= bound,
            Goal::Below(bound) => self.ratio < bound,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
            Self::Below(bound) => write!(f, "< {bound}"),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            measured,
            compared,
            ratio,
            goal,
        } = self;
        let met = if self.is_met() { "met" } else { "**missed**" };
        write!(f, "| {what} | {measured} | {compared} | {ratio:.2} | {goal} | {met} |")
    }
}

/// Prints the rows and appends them to the file that the environment names.
pub(crate) fn show(rows: &[Row]) -> anyhow::Result<()> {
    println!("\n| | measured | compared with | ratio | goal | |\n|---|---|---|---|---|---|");
    for row in rows {
        println!("{row}");
    }
    if let Some(path) = std::env::var_os(ROWS) {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        for row in rows {
            writeln!(file, "{row}")?;
        }
    }
    Ok(())
}

/// A number with grouped digits.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
