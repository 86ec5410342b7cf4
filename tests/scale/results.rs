//! Stores the figures of every measured size in a file, and plots each against the number of validators.
//!
//! A new measurement of a size replaces its line, so that sizes can be measured separately; each line has its date.

use std::fs;
use std::path::{Path, PathBuf};

use stellar_k8s::util::clock;

use crate::plot::{Line, Plot};

/// The variable with the directory for the figures; without it they are only printed.
const DIRECTORY: &str = "SCALE_RESULTS";
const FILE: &str = "scale.csv";
const HEAD: &str = "validators,date,changes,p50_ms,p99_ms,idle_calls_per_minute,idle_cpu_seconds_per_minute,memory_at_rest_mib,memory_most_mib,cpu_seconds_per_1000_changes";

/// The figures of one size.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    pub(crate) validators: usize,
    pub(crate) changes: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) idle_calls: usize,
    pub(crate) idle_cpu: f64,
    pub(crate) at_rest: u32,
    pub(crate) most: u32,
    /// Seconds.
    pub(crate) cpu_of_1000_changes: f64,
}

impl Figures {
    /// Adds the figures to the file and redraws the plots.
    pub(crate) fn record(&self) {
        let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
            return;
        };
        let text = fs::read_to_string(directory.join(FILE)).unwrap_or_default();
        let today = clock::now().strftime("%F").to_string();
        let lines = with_line(&text, self, &today);
        let figures: Vec<Self> = lines.iter().map(|line| Self::read(line)).collect();
        write(&directory, FILE, &format!("{HEAD}\n{}\n", lines.join("\n")));
        for (name, plot) in plots(&figures) {
            write(&directory, &format!("scale-{name}.svg"), &plot.svg());
        }
        println!("written: {FILE} and plots in {}", directory.display());
    }

    fn line(&self, date: &str) -> String {
        let Self {
            validators,
            changes,
            p50,
            p99,
            idle_calls,
            idle_cpu,
            at_rest,
            most,
            cpu_of_1000_changes,
        } = self;
        format!(
            "{validators},{date},{changes},{p50:.0},{p99:.0},{idle_calls},{idle_cpu:.2},{at_rest},{most},{cpu_of_1000_changes:.1}"
        )
    }

    fn read(line: &str) -> Self {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |index: usize| -> f64 { fields[index].parse().expect("a number") };
        Self {
            validators: number(0) as usize,
            changes: number(2) as usize,
            p50: number(3),
            p99: number(4),
            idle_calls: number(5) as usize,
            idle_cpu: number(6),
            at_rest: number(7) as u32,
            most: number(8) as u32,
            cpu_of_1000_changes: number(9),
        }
    }
}

/// The lines of the file with the new line, sorted by size.
fn with_line(text: &str, figures: &Figures, date: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
    lines.retain(|line| Figures::read(line).validators != figures.validators);
    lines.push(figures.line(date));
    lines.sort_by_key(|line| Figures::read(line).validators);
    lines
}

fn plots(figures: &[Figures]) -> [(&'static str, Plot); 4] {
    let line = |name: &'static str, value: fn(&Figures) -> f64| Line {
        name,
        points: figures.iter().map(|each| (each.validators, value(each))).collect(),
    };
    [
        (
            "latency",
            Plot {
                title: "A pod's new address to the ConfigMap, ms (250 ms of it settle time)",
                lines: vec![line("p50", |each| each.p50), line("p99", |each| each.p99)],
            },
        ),
        (
            "calls",
            Plot {
                title: "API calls in a minute of rest",
                lines: vec![line("", |each| each.idle_calls as f64)],
            },
        ),
        (
            "memory",
            Plot {
                title: "Resident memory, MiB",
                lines: vec![
                    line("at rest", |each| f64::from(each.at_rest)),
                    line("most", |each| f64::from(each.most)),
                ],
            },
        ),
        (
            "cpu",
            Plot {
                title: "CPU seconds for 1,000 changes",
                lines: vec![line("", |each| each.cpu_of_1000_changes)],
            },
        ),
    ]
}

fn write(directory: &Path, name: &str, text: &str) {
    fs::create_dir_all(directory).expect("the directory of results");
    fs::write(directory.join(name), text).expect("a file of results");
}

#[test]
fn a_size_measured_again_replaces_its_line() {
    let of = |validators, p50| Figures {
        validators,
        p50,
        ..Figures::default()
    };
    let file = |lines: Vec<String>| format!("{HEAD}\n{}\n", lines.join("\n"));
    let text = file(with_line("", &of(1000, 3.0), "2026-01-01"));
    let text = file(with_line(&text, &of(10, 1.0), "2026-01-02"));
    let lines = with_line(&text, &of(1000, 2.0), "2026-01-03");
    let read: Vec<Figures> = lines.iter().map(|line| Figures::read(line)).collect();
    assert_eq!(read, [of(10, 1.0), of(1000, 2.0)]);
    assert!(lines[0].starts_with("10,2026-01-02,") && lines[1].starts_with("1000,2026-01-03,"));
}
