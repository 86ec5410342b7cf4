//! The built binary as a process, with the identity and the rights of the shipped ServiceAccount and nothing more.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::Cluster;
use super::install::cluster_scoped_name;

/// A running operator; it is killed with this value.
#[derive(Debug)]
pub(crate) struct Operator {
    child: Child,
    log: PathBuf,
    probes: u16,
}

impl Operator {
    /// Starts the operator of this namespace, with `arguments` beside those that every test has.
    pub(crate) fn start(
        cluster: &Cluster,
        namespace: &str,
        webhook_port: u16,
        directory: &Path,
        arguments: &[String],
    ) -> Self {
        let kubeconfig = directory.join("kubeconfig");
        std::fs::write(&kubeconfig, identity(cluster, namespace).to_string()).expect("the operator's kubeconfig");
        let log = directory.join("operator.log");
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("the operator's log");
        let probes = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_stellar-operator"));
        command
            .arg("run")
            .args(["--webhook-listen", &format!("127.0.0.1:{webhook_port}")])
            .args(["--webhook-url", &format!("https://127.0.0.1:{webhook_port}")])
            .args(["--webhook-configuration", &cluster_scoped_name(namespace)])
            .args(["--probe-listen", &format!("127.0.0.1:{probes}")])
            .args(arguments)
            // Every flag has an environment variable: none of the caller's may count.
            .env_clear()
            .env("KUBECONFIG", &kubeconfig)
            .env("POD_NAMESPACE", namespace)
            .env("RUST_LOG", "warn,stellar_k8s=debug")
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the operator's log"))
            .stderr(output);
        // By this the cluster's scripts find what an interrupted test left running.
        if let Some(mark) = std::env::var_os("STELLAR_CLUSTER_PROCESS_OF") {
            command.env("STELLAR_CLUSTER_PROCESS_OF", mark);
        }
        let child = command.spawn().expect("the operator starts");
        Self { child, log, probes }
    }

    /// Whether `/readyz` answers 200. The test fails if the operator ended.
    pub(crate) async fn is_ready(&mut self) -> bool {
        if let Some(status) = self.child.try_wait().expect("the operator can be asked for") {
            panic!("the operator ended: {status}");
        }
        get(self.probes, "/readyz")
            .await
            .is_some_and(|line| line.contains(" 200 "))
    }

    /// All that it logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of the loopback interface that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its number").port()
}

/// The status line that a plain GET is answered with.
async fn get(port: u16, path: &str) -> Option<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.lines().next().map(str::to_owned)
}

/// A kubeconfig with a token of the ServiceAccount and no client certificate: beside one, the token would not count.
fn identity(cluster: &Cluster, namespace: &str) -> Value {
    let view = ["config", "view", "--minify", "--flatten", "--raw", "-o", "json"];
    let admin: Value = serde_json::from_str(&cluster.kubectl(&view, "").ok("the kubeconfig")).expect("JSON");
    let create = [
        "create",
        "token",
        "stellar-operator",
        "--namespace",
        namespace,
        "--duration=1h",
    ];
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
