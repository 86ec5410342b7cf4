//! `kubectl` as a person would type it, with a kubeconfig that is named, never found.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::operator::pair;
use crate::paths::scratch;

/// What a command printed, and whether it succeeded.
#[derive(Debug)]
pub struct Output {
    /// It ended with code 0.
    pub success: bool,
    /// Its output.
    pub stdout: String,
    /// Its complaints.
    pub stderr: String,
}

impl Output {
    /// What it printed, if it succeeded; else the test fails with what it complained about.
    pub fn ok(self, what: &str) -> String {
        assert!(self.success, "{what}: {}", self.stderr);
        self.stdout
    }
}

/// Runs kubectl with this kubeconfig. Where leaders are killed all the time, a request under way at one fails, as it
/// may: a person would send it once more.
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
        // Nothing is written into the home directory.
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
    // A command that reads no input closes it: that is its right.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("kubectl ends");
    Output {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
