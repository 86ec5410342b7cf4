//! Runs the built binary as a process with exactly the identity and rights of the shipped ServiceAccount.

mod balancer;
pub(crate) mod pair;
mod proxy;

pub use balancer::Balancer;
pub use pair::Pair;
pub use proxy::{Call, Fate, Proxy};

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::env::install::cluster_scoped_name;
use crate::{Cluster, operator_binary, wait_for};

/// Time limit for an operator to end; tests drain for one to three seconds.
const END: Duration = Duration::from_secs(30);

/// Time limit for a probe.
const ANSWER: Duration = Duration::from_secs(10);

/// The ports that operators listen on: below those that the kernel gives to clients (32768 and more) and those of
/// `tests/cluster/up`.
const PORTS: Range<u16> = 10_000..20_000;

/// The beginning of a ready operator's answer.
const READY: &str = "HTTP/1.1 200 ";

/// A running operator; dropping the value kills it.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    webhook: u16,
    probes: u16,
}

/// The addresses, files and arguments of an operator.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) namespace: &'a str,
    /// The directory of its kubeconfig and its log.
    pub(crate) directory: &'a Path,
    /// The port that the API server calls.
    pub(crate) called_at: u16,
    /// The port that it listens on, which differs if there is a balancer.
    pub(crate) listens_on: u16,
    /// The address of a proxy to the API server, if there is one.
    pub(crate) api_server: Option<String>,
    /// Arguments in addition to those of every test.
    pub(crate) arguments: &'a [String],
    /// Whether it logs at its most verbose level into a pipe that is not read.
    pub(crate) unread_log: bool,
}

impl Operator {
    /// Starts an operator.
    pub(crate) fn start(place: &Place<'_>) -> Self {
        let Place {
            namespace, directory, ..
        } = *place;
        let kubeconfig = directory.join(format!("kubeconfig-{}", place.listens_on));
        let mut identity = identity(place.cluster, namespace);
        if let Some(api_server) = &place.api_server {
            identity["clusters"][0]["cluster"] = json!({ "server": api_server });
        }
        std::fs::write(&kubeconfig, identity.to_string()).expect("the operator's kubeconfig");
        let log = log_file(directory);
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("the operator's log");
        let probes = free_port();
        let mut command = Command::new(operator_binary());
        command
            .arg("run")
            .args(["--webhook-listen", &format!("127.0.0.1:{}", place.listens_on)])
            .args(["--webhook-url", &format!("https://127.0.0.1:{}", place.called_at)])
            .args(["--webhook-configuration", &cluster_scoped_name(namespace)])
            .args(["--probe-listen", &format!("127.0.0.1:{probes}")])
            .args(place.arguments)
            // Every flag has an environment variable: clear the environment so that the caller's variables do not
            // apply.
            .env_clear()
            .env("KUBECONFIG", &kubeconfig)
            .env("POD_NAMESPACE", namespace)
            .env("RUST_LOG", "warn,stellar_k8s=debug")
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the operator's log"))
            .stderr(output);
        // The cluster's scripts find leftover processes of an interrupted test by this variable.
        if let Some(mark) = std::env::var_os("STELLAR_CLUSTER_PROCESS_OF") {
            command.env("STELLAR_CLUSTER_PROCESS_OF", mark);
        }
        if place.unread_log {
            command.env("RUST_LOG", "trace").stderr(Stdio::piped());
        }
        let child = command.spawn().expect("the operator starts");
        Self {
            child,
            webhook: place.listens_on,
            probes,
        }
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The port that its webhook listens on.
    pub fn webhook_port(&self) -> u16 {
        self.webhook
    }

    /// The port of its probes.
    pub fn probe_port(&self) -> u16 {
        self.probes
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("the operator can be asked for").is_none()
    }

    /// Whether `/readyz` answers 200. The test fails if the operator ended.
    pub async fn is_ready(&mut self) -> bool {
        if let Some(status) = self.child.try_wait().expect("the operator can be asked for") {
            panic!("the operator ended: {status}");
        }
        self.readyz().await.starts_with(READY)
    }

    /// The answer of `/readyz` with its status line; empty if there is no answer.
    pub async fn readyz(&self) -> String {
        get(self.probes, "/readyz").await.unwrap_or_default()
    }

    /// The answer of `/metrics`; empty if there is no answer.
    pub async fn metrics(&self) -> String {
        get(self.probes, "/metrics").await.unwrap_or_default()
    }

    /// Whether its metrics say that it leads.
    pub async fn leads(&self) -> bool {
        let metrics = self.metrics().await;
        metrics.lines().any(|line| line == "stellar_operator_leader 1")
    }

    /// Sends SIGTERM as Kubernetes does, and waits until it has exited with success.
    pub async fn terminate(mut self) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        assert!(sent.success(), "SIGTERM is sent");
        let status = wait_for("the operator to end", END, async || {
            self.child.try_wait().expect("the operator can be asked for")
        })
        .await;
        assert!(status.success(), "the operator ended: {status}");
    }

    /// Kills it as a crash does, and keeps the value.
    pub fn kill_now(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills it as a crash does.
    pub fn kill(self) {
        drop(self);
    }
}

/// Whether `/readyz` on this port answers 200; `None` if no answer came in time.
pub(crate) async fn looks_ready(port: u16) -> Option<bool> {
    let answer = tokio::time::timeout(ANSWER, ask(port, "/readyz")).await.ok()?;
    Some(answer.is_some_and(|answer| answer.starts_with(READY)))
}

/// The file with the log of all operators that ran in this directory.
pub(crate) fn log_file(directory: &Path) -> PathBuf {
    directory.join("operator.log")
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill_now();
    }
}

/// A free port of the loopback interface that no other test gets while its process is killed and restarted.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let (first, count) = (PORTS.start, PORTS.end - PORTS.start);
    // Each process starts at its own offset, so that concurrent tests do not choose the same port.
    let begin = u16::try_from(std::process::id() * 64 % u32::from(count)).expect("it is below the count");
    for _ in 0..count {
        let port = first + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % count;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
}

/// The answer to a plain GET with its status line; `None` if it did not come in time.
async fn get(port: u16, path: &str) -> Option<String> {
    tokio::time::timeout(ANSWER, ask(port, path)).await.ok()?
}

async fn ask(port: u16, path: &str) -> Option<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// A kubeconfig with a token of the ServiceAccount and without a client certificate, which would override the token.
pub(crate) fn identity(cluster: &Cluster, namespace: &str) -> Value {
    identity_of("stellar-operator", cluster, namespace)
}

/// A kubeconfig with a token of another ServiceAccount.
pub(crate) fn identity_of(account: &str, cluster: &Cluster, namespace: &str) -> Value {
    let view = ["config", "view", "--minify", "--flatten", "--raw", "-o", "json"];
    let admin: Value = serde_json::from_str(&cluster.kubectl(&view, "").ok("the kubeconfig")).expect("JSON");
    let create = ["create", "token", account, "--namespace", namespace, "--duration=1h"];
    let token = cluster.kubectl(&create, "").ok("a token");
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "operator",
        "contexts": [{
            "name": "operator",
            "context": { "cluster": "cluster", "user": "operator", "namespace": namespace },
        }],
        "clusters": [{ "name": "cluster", "cluster": admin["clusters"][0]["cluster"] }],
        "users": [{ "name": "operator", "user": { "token": token.trim() } }],
    })
}
