//! The client: runs oha, a load generator, and reads its report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::server::{Server, on_core};

/// The number of connections.
const CONNECTIONS: &str = "8";
/// A rate in requests per second that every server can answer, so that their latencies are comparable.
pub(crate) const STEADY_RATE: u32 = 300;

/// The kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// On each of eight connections, the next request follows the answer.
    FullSpeed,
    /// A fixed rate.
    Steady,
    /// At full speed with a new connection for each request. Every server answers it with 404, so only the connections
    /// are compared.
    NewConnections,
}

impl Load {
    /// The expected status of every answer.
    fn status(self) -> &'static str {
        match self {
            Self::FullSpeed | Self::Steady => "200",
            Self::NewConnections => "404",
        }
    }
}

/// The program, which runs on its own core.
#[derive(Debug)]
pub(crate) struct Oha {
    pub(crate) program: PathBuf,
    pub(crate) core: usize,
}

/// The measurements during one load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    /// The latency in milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// The CPU time of the server in seconds.
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
    /// Loads a server for this many seconds.
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
        // Requests in flight at the end of the load.
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
    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests / self.seconds
    }

    /// The CPU time of the server for one request in microseconds.
    pub(crate) fn cpu_each(&self) -> f64 {
        self.cpu * 1e6 / self.requests
    }

    /// The share of its core that the server used during the load.
    pub(crate) fn share(&self) -> f64 {
        self.cpu / self.seconds
    }
}
