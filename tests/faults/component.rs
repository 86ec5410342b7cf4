//! A component of the control plane as a process: stopped, let go on, killed, started again as it was.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often the end of a killed process is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// A component by the name of its pid file.
#[derive(Debug)]
pub(crate) struct Component {
    name: &'static str,
    pid: String,
    /// The one that we started in place of the first; killed with this value, when the cluster goes anyway.
    anew: Option<Child>,
}

impl Component {
    pub(crate) fn of_cluster(name: &'static str) -> Self {
        let file = pids().join(format!("{name}.pid"));
        let pid = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self {
            name,
            pid: pid.trim().to_owned(),
            anew: None,
        }
    }

    /// It hangs.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    /// It goes on.
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    /// Kills it and starts it again with the same arguments.
    pub(crate) fn kill_and_start(&mut self) {
        let proc = PathBuf::from(format!("/proc/{}", self.pid));
        let list = |file: &str| -> Vec<String> {
            let content = std::fs::read(proc.join(file)).expect("it runs");
            let words = content.split(|byte| *byte == 0).filter(|word| !word.is_empty());
            words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
        };
        let (arguments, environment) = (list("cmdline"), list("environ"));
        let directory = std::fs::read_link(proc.join("cwd")).expect("it runs");
        let program = std::fs::read_link(proc.join("exe")).expect("it runs");
        self.signal("-KILL");
        while !has_ended(&proc) {
            std::thread::sleep(LOOK);
        }
        let log = directory_of("logs").join(format!("{}-anew.log", self.name));
        let log = File::create(log).expect("a file of the cluster");
        let mut command = Command::new(program);
        command
            .args(&arguments[1..])
            .env_clear()
            .envs(environment.iter().filter_map(|pair| pair.split_once('=')))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // A signal for the tests is not one for it.
            .process_group(0);
        let child = command.spawn().expect("it starts");
        self.pid = child.id().to_string();
        // Whoever looks for it by its file finds it.
        std::fs::write(pids().join(format!("{}.pid", self.name)), &self.pid).expect("its pid file");
        self.anew = Some(child);
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid]).status().expect("kill");
        assert!(sent.success(), "{signal} to {}", self.name);
    }
}

impl Drop for Component {
    /// Whatever a test did, the next one finds it running.
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-CONT", &self.pid]).status();
    }
}

/// Whether a killed process is at its end: no thread but the first is left, and that one has let go of files and sockets, or
/// somebody has heard of its end already.
fn has_ended(proc: &Path) -> bool {
    let threads = std::fs::read_dir(proc.join("task")).map_or(0, Iterator::count);
    let status = std::fs::read_to_string(proc.join("status")).unwrap_or_default();
    threads <= 1 && (status.is_empty() || status.contains("State:\tZ"))
}

fn pids() -> PathBuf {
    directory_of("pids")
}

fn directory_of(what: &str) -> PathBuf {
    let directory = std::env::var_os("STELLAR_TEST_CLUSTER_DIR").expect("a cluster made by tests/cluster");
    Path::new(&directory).join("kwok/clusters/test").join(what)
}
