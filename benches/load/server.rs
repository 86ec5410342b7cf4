//! A server as a process on its own core, and its usage from `/proc` (proc_pid_stat(5), proc_pid_status(5)).

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::client::{Client, Response, Trust};
use crate::servers::Kind;

/// Ticks per second of Linux's CPU times.
const TICKS: f64 = 100.0;
/// Time limit for the first answer of a server.
const START: Duration = Duration::from_secs(20);

/// The two cores that a contest needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) client: usize,
}

impl Cores {
    /// The first two cores that this process may use.
    pub(crate) fn of_this_process() -> anyhow::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let mut cores = Vec::new();
        for range in list.context("no list of cores in /proc")?.trim().split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            cores.extend(first.parse::<usize>()?..=last.parse()?);
        }
        match cores[..] {
            [server, client, ..] => Ok(Self { server, client }),
            _ => bail!("a server and its client need a core each, and there is one"),
        }
    }
}

/// Runs `command` on one core.
pub(crate) fn on_core(core: usize, command: &Path) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.arg("--cpu-list").arg(core.to_string()).arg(command);
    pinned
}

/// A running server; dropping the value ends it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Server {
    /// Starts a server; `go` is the directory of the server in Go.
    pub(crate) fn start(kind: Kind, core: usize, certificates: &Path, go: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let port = address.port().to_string();
        let mut command = if kind == Kind::Go {
            let mut command = on_core(core, &go.join("go-webhook"));
            command.args(["--port", &port, "--certificates"]);
            command
        } else {
            let mut command = on_core(core, &std::env::current_exe()?);
            command.args(["serve", kind.name(), &port]);
            command
        };
        // The server's standard input closes when this process ends for any reason.
        command.arg(certificates).stdin(Stdio::piped()).stdout(Stdio::null());
        if kind == Kind::Go {
            // The server logs at its start what it serves.
            command.stderr(Stdio::null());
        }
        let process = command.spawn().context("taskset cannot be started")?;
        Ok(Self { kind, address, process })
    }

    /// Sends requests until the first answer.
    pub(crate) async fn first_answer(&mut self, trust: &Trust, body: &[u8]) -> anyhow::Result<Response> {
        let begin = tokio::time::Instant::now();
        loop {
            let asked = match Client::connect(self.address, trust).await {
                Ok(mut client) => client.post("/mutate", body).await,
                Err(error) => Err(error),
            };
            match asked {
                Ok(answer) => return Ok(answer),
                Err(error) => ensure!(
                    begin.elapsed() < START,
                    "{} does not answer: {error}",
                    self.kind.title()
                ),
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("{} ended: {status}", self.kind.title());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The CPU time so far in seconds.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        let stat = self.proc("stat")?;
        // Fields 14 and 15, counted from field 3 behind the name, which may have blanks.
        let (_, fields) = stat.rsplit_once(") ").context("no name in brackets")?;
        let mut ticks = 0.0;
        for field in fields.split(' ').skip(11).take(2) {
            ticks += field.parse::<f64>()?;
        }
        Ok(ticks / TICKS)
    }

    /// The resident memory now in MiB.
    pub(crate) fn resident(&self) -> anyhow::Result<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kilobytes.context("no VmRSS")?.trim().parse::<f64>()? / 1024.0)
    }

    fn proc(&self, name: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{name}", self.process.id());
        fs::read_to_string(&path).with_context(|| format!("{} is gone: {path}", self.kind.title()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The object of a review after the answer's patch, to verify that all servers do the same work.
pub(crate) fn mutated(review: &[u8], answer: &Response) -> anyhow::Result<Value> {
    ensure!(answer.status == 200, "status {}: {}", answer.status, answer.body);
    let review: Value = serde_json::from_slice(review)?;
    let answer: Value = serde_json::from_str(&answer.body)?;
    let patch = match &answer["response"]["patch"] {
        Value::String(text) => STANDARD.decode(text)?,
        // kube's types write it as a list of bytes (kube-rs/kube#1781).
        list => serde_json::from_value(list.clone())?,
    };
    let patch: json_patch::Patch = serde_json::from_slice(&patch)?;
    let mut object = review["request"]["object"].clone();
    json_patch::patch(&mut object, &patch)?;
    Ok(object)
}
