//! The client: oha, a load generator, and what it says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::server::{Server, on_core};

/// Connections at once.
const CONNECTIONS: &str = "8";
/// Requests a second that every server can answer, so that their times can be compared.
pub(crate) const STEADY_RATE: u32 = 300;

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// On each of eight connections the next request follows the answer.
    FullSpeed,
    /// So many a second, whatever the server does.
    Steady,
    /// At full speed, with a connection for each request: one that every server answers with 404, so that the
    /// connection is what is compared.
    NewConnections,
}

impl Load {
    /// The status of every answer.
    fn status(self) -> &'static str {
        match self {
            Self::FullSpeed | Self::Steady => "200",
            Self::NewConnections => "404",
        }
    }
}

/// The program, on a core of its own.
#[derive(Debug)]
pub(crate) struct Oha {
    pub(crate) program: PathBuf,
    pub(crate) core: usize,
}

/// What was seen while one load lasted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    /// Milliseconds from a request to its answer.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Seconds of CPU that the server used.
    pub(crate) cpu: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    summary: Summary,
    latency_percentiles: Percentiles,
    status_code_distribution: BTreeMap<String, u64>,
    error_distribution: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Summary {
    total: f64,
}

#[derive(Deserialize)]
struct Percentiles {
    p50: f64,
    p99: f64,
}

impl Oha {
    /// Loads a server for so many seconds.
    pub(crate) fn ask(&self, server: &Server, load: Load, seconds: u32, directory: &Path) -> anyhow::Result<Seen> {
        let mut command = on_core(self.core, &self.program);
        command
            .args([
                "--no-tui",
                "--no-color",
                "--output-format",
                "json",
                "--http-version",
                "1.1",
            ])
            .args(["-c", CONNECTIONS, "-z", &format!("{seconds}s")])
            .arg("--cacert")
            .arg(directory.join("ca.crt"));
        let path = if load == Load::NewConnections {
            command.arg("--disable-keepalive");
            "nothing"
        } else {
            command.args(["-m", "POST", "-T", "application/json", "-D"]);
            command.arg(directory.join("body.json"));
            "mutate"
        };
        if load == Load::Steady {
            command.args(["-q", &STEADY_RATE.to_string(), "--latency-correction"]);
        }
        command.arg(format!("https://{}/{path}", server.address));
        let before = server.cpu()?;
        let output = command.stderr(Stdio::inherit()).output().context("oha")?;
        let cpu = server.cpu()? - before;
        ensure!(output.status.success(), "oha failed: {}", output.status);
        let report: Report = serde_json::from_slice(&output.stdout).context("the report of oha")?;
        report
            .seen(load.status(), cpu)
            .with_context(|| format!("{}, {load:?}", server.kind.title()))
    }
}

impl Report {
    fn seen(self, status: &str, cpu: f64) -> anyhow::Result<Seen> {
        let Self {
            summary,
            latency_percentiles,
            status_code_distribution: codes,
            error_distribution: mut errors,
        } = self;
        // Requests that were under way when the time was up.
        errors.remove("aborted due to deadline");
        ensure!(errors.is_empty(), "failed requests: {errors:?}");
        ensure!(codes.keys().eq([status]), "answers of other kinds: {codes:?}");
        Ok(Seen {
            requests: codes[status] as f64,
            seconds: summary.total,
            p50: latency_percentiles.p50 * 1e3,
            p99: latency_percentiles.p99 * 1e3,
            cpu,
        })
    }
}

impl Seen {
    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests / self.seconds
    }

    /// Microseconds of CPU that the server used for one request.
    pub(crate) fn cpu_each(&self) -> f64 {
        self.cpu * 1e6 / self.requests
    }

    /// The share of its core that the server used.
    pub(crate) fn share(&self) -> f64 {
        self.cpu / self.seconds
    }
}
