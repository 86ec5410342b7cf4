//! Runs `kubectl` with an explicit kubeconfig, never with one from the environment.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::operator::pair;
use crate::paths::scratch;

/// What a command printed, and whether it succeeded.
#[derive(Debug)]
pub struct Output {
    /// Whether the exit code was 0.
    pub success: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a successful command; otherwise the test fails with the standard error.
    pub fn ok(self, what: &str) -> String {
        assert!(self.success, "{what}: {}", self.stderr);
        self.stdout
    }
}

/// Runs kubectl with this kubeconfig. If the test kills leaders, a request in flight may fail; it is then sent once
/// more, as a user would.
pub(crate) fn kubectl(kubeconfig: &Path, arguments: &[&str], stdin: &str) -> Output {
    let output = kubectl_once(kubeconfig, arguments, stdin);
    let is_cut = ["EOF", "broken pipe", "connection reset"]
        .iter()
        .any(|how| output.stderr.contains(how));
    let cut_off = output.stderr.contains("failed calling webhook") && is_cut;
    if !output.success && cut_off && pair::is_asked_for() {
        return kubectl_once(kubeconfig, arguments, stdin);
    }
    output
}

fn kubectl_once(kubeconfig: &Path, arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        // kubectl must not write into the home directory.
        .arg("--cache-dir")
        .arg(scratch().join("kubectl"))
        .args(arguments)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl is in PATH");
    let mut input = child.stdin.take().expect("piped");
    // A command that reads no input may close it early.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("kubectl ends");
    Output {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
