//! The figures of a contest as tables, and the goals.

use std::fmt::Write as _;
use std::fs;

use crate::contest::{Contest, Figures, Outcome, Rounds};
use crate::goals::{self, Goal, Row, grouped};
use crate::oha::{STEADY_RATE, Seen};
use crate::servers::Kind;

/// The variable with a file for the table, for `make bench`.
const TABLE: &str = "BENCH_LOAD";

/// The median of all rounds.
fn median(rounds: &Rounds, figure: impl Fn(&Seen) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// Requests per second of a fully used core, computed from the CPU time: the client cannot keep every server busy.
fn per_core(rounds: &Rounds) -> f64 {
    1e6 / median(rounds, Seen::cpu_each)
}

pub(crate) fn show(outcome: &Outcome) -> anyhow::Result<()> {
    let table = table(outcome);
    println!("\n{table}");
    if let Some(path) = std::env::var_os(TABLE) {
        fs::write(path, &table)?;
    }
    let of = |kind: Kind| {
        outcome
            .figures
            .iter()
            .find(|figures| figures.kind == kind)
            .expect("all took part")
    };
    goals::show(&rows(of))
}

fn rows<'a>(of: impl Fn(Kind) -> &'a Figures) -> Vec<Row> {
    let ours = of(Kind::Ours);
    let speed = |kind: Kind, bound: f64| {
        let (measured, compared) = (per_core(&ours.full_speed), per_core(&of(kind).full_speed));
        Row {
            what: "reviews of 4 KB a second and core".to_owned(),
            measured: grouped(measured),
            compared: format!("{}: {}", kind.title(), grouped(compared)),
            ratio: measured / compared,
            goal: Goal::AtLeast(bound),
        }
    };
    let slowest = |what: &str, rounds: fn(&Figures) -> &Rounds| {
        let p99 = |kind: Kind| median(rounds(of(kind)), |seen| seen.p99);
        let (measured, compared) = (p99(Kind::Ours), p99(Kind::Go));
        Row {
            what: format!("p99 {what}"),
            measured: format!("{measured:.2} ms"),
            compared: format!("{}: {compared:.2} ms", Kind::Go.title()),
            ratio: measured / compared,
            goal: Goal::Below(1.0),
        }
    };
    let echo = of(Kind::Echo);
    let (measured, compared) = (per_core(&ours.connections), per_core(&echo.connections));
    vec![
        speed(Kind::Echo, 0.5),
        speed(Kind::Plain, 2.5),
        speed(Kind::Go, 10.0),
        slowest("at full speed", |figures| &figures.full_speed),
        slowest(&format!("at {STEADY_RATE} reviews a second"), |figures| &figures.steady),
        Row {
            what: "new TLS connections a second and core".to_owned(),
            measured: grouped(measured),
            compared: format!("{}: {}", Kind::Echo.title(), grouped(compared)),
            ratio: measured / compared,
            goal: Goal::AtLeast(0.9),
        },
    ]
}

fn table(outcome: &Outcome) -> String {
    let Outcome {
        contest: Contest { seconds, rounds },
        body,
        figures,
    } = outcome;
    let mut text = format!(
        "A mutate review of {} bytes, 8 connections, {rounds} rounds of {seconds} s, the median of each figure.\n\n|",
        grouped(*body as f64)
    );
    for figures in figures {
        let _ = write!(text, " | {}", figures.kind.title());
    }
    text += " |\n|---";
    text += &"|---".repeat(figures.len());
    text += "|\n";
    type Figure<'a> = (&'a str, &'a dyn Fn(&Figures) -> String);
    let milliseconds = |rounds: &Rounds| {
        let [p50, p99] = [median(rounds, |seen| seen.p50), median(rounds, |seen| seen.p99)];
        format!("{p50:.2} / {p99:.2}")
    };
    let percent = |rounds: &Rounds| format!("{:.0} %", median(rounds, Seen::share) * 100.0);
    let steady = format!("p50 / p99 at {STEADY_RATE} a second, ms");
    let lines: [Figure<'_>; 10] = [
        ("CPU of the server for one request, µs", &|figures| {
            format!("{:.1}", median(&figures.full_speed, Seen::cpu_each))
        }),
        ("requests a second and core, from that", &|figures| {
            grouped(per_core(&figures.full_speed))
        }),
        ("requests a second, seen by the client", &|figures| {
            grouped(median(&figures.full_speed, Seen::rate))
        }),
        ("share of its core that the server used meanwhile", &|figures| {
            percent(&figures.full_speed)
        }),
        ("p50 / p99 at full speed, ms", &|figures| {
            milliseconds(&figures.full_speed)
        }),
        (&steady, &|figures| milliseconds(&figures.steady)),
        ("CPU of the server for a new connection, µs", &|figures| {
            format!("{:.0}", median(&figures.connections, Seen::cpu_each))
        }),
        ("new connections a second, seen by the client", &|figures| {
            grouped(median(&figures.connections, Seen::rate))
        }),
        ("share of its core that the server used meanwhile", &|figures| {
            percent(&figures.connections)
        }),
        ("resident memory afterwards, MiB", &|figures| {
            format!("{:.1}", figures.resident)
        }),
    ];
    for (what, figure) in lines {
        let _ = write!(text, "| {what}");
        for figures in figures {
            let _ = write!(text, " | {}", figure(figures));
        }
        text += " |\n";
    }
    text
}
