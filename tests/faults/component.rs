//! A process of the control plane, which a test can pause, resume, kill and restart.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

/// How often the end of a process is checked.
const LOOK: Duration = Duration::from_millis(20);
/// Components that exit when their memory is inconsistent: kube-scheduler sometimes does when the API server
/// disappears during a binding (`Scheduler cache is corrupted`, updatePod in
/// pkg/scheduler/backend/cache/cache.go).
const ENDING: [&str; 2] = ["kube-scheduler", "kube-controller-manager"];

/// From now on, restarts components that exit, as the kubelet of a control plane does.
pub(crate) fn supervise() {
    static SUPERVISED: Once = Once::new();
    SUPERVISED.call_once(|| {
        let mut components = ENDING.map(Component::of_cluster);
        std::thread::spawn(move || {
            loop {
                for component in &mut components {
                    if component.has_ended() {
                        eprintln!("{} has exited and is restarted", component.name);
                        component.start();
                    }
                }
                std::thread::sleep(LOOK);
            }
        });
    });
}

/// A component, identified by the name of its pid file.
#[derive(Debug)]
pub(crate) struct Component {
    name: &'static str,
    file: PathBuf,
    pid: String,
    started_as: StartedAs,
    /// The process that replaced the first one.
    restarted: Option<Child>,
}

/// The program, arguments and environment of a process.
#[derive(Debug)]
struct StartedAs {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<String>,
    directory: PathBuf,
}

impl StartedAs {
    fn of_process(proc: &Path) -> Self {
        let list = |file: &str| -> Vec<String> {
            let content = std::fs::read(proc.join(file)).expect("it runs");
            let words = content.split(|byte| *byte == 0).filter(|word| !word.is_empty());
            words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
        };
        Self {
            program: std::fs::read_link(proc.join("exe")).expect("it runs"),
            arguments: list("cmdline").split_off(1),
            environment: list("environ"),
            directory: std::fs::read_link(proc.join("cwd")).expect("it runs"),
        }
    }
}

impl Component {
    pub(crate) fn of_cluster(name: &'static str) -> Self {
        Self::of_file(name, pids().join(format!("{name}.pid")))
    }

    /// The simulated kubelet, which works together with kwok.
    pub(crate) fn of_kubelet() -> Self {
        Self::of_file("kubelet", cluster().join("kubelet.pid"))
    }

    fn of_file(name: &'static str, file: PathBuf) -> Self {
        let pid = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let pid = pid.trim().to_owned();
        Self {
            name,
            file,
            started_as: StartedAs::of_process(&proc_of(&pid)),
            pid,
            restarted: None,
        }
    }

    /// Pauses the process.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    /// Resumes the process.
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    /// Kills the process and restarts it with the same arguments.
    pub(crate) fn kill_and_start(&mut self) {
        self.kill();
        self.start();
    }

    /// Kills the process and waits until it has ended.
    pub(crate) fn kill(&mut self) {
        self.signal("-KILL");
        while !self.has_ended() {
            std::thread::sleep(LOOK);
        }
    }

    /// The value of an argument such as `--data-dir=`.
    pub(crate) fn argument(&self, name: &str) -> Option<&str> {
        let mut arguments = self.started_as.arguments.iter();
        arguments.find_map(|argument| argument.strip_prefix(name))
    }

    /// Whether the process has ended: it was already reaped, or only its first thread is left and has closed its files
    /// and sockets.
    fn has_ended(&mut self) -> bool {
        if let Some(child) = &mut self.restarted {
            return child.try_wait().expect("our own child").is_some();
        }
        let proc = proc_of(&self.pid);
        let threads = std::fs::read_dir(proc.join("task")).map_or(0, Iterator::count);
        let status = std::fs::read_to_string(proc.join("status")).unwrap_or_default();
        threads <= 1 && (status.is_empty() || status.contains("State:\tZ"))
    }

    /// Starts the process with its previous arguments.
    pub(crate) fn start(&mut self) {
        let log = directory_of("logs").join(format!("{}-anew.log", self.name));
        let log = File::create(log).expect("a file of the cluster");
        let mut command = Command::new(&self.started_as.program);
        let environment = self.started_as.environment.iter();
        command
            .args(&self.started_as.arguments)
            .env_clear()
            .envs(environment.filter_map(|pair| pair.split_once('=')))
            .current_dir(&self.started_as.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Signals to the tests must not reach the component.
            .process_group(0);
        let child = command.spawn().expect("it starts");
        self.pid = child.id().to_string();
        // Other programs find the process by its pid file.
        std::fs::write(&self.file, &self.pid).expect("its pid file");
        self.restarted = Some(child);
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid]).status().expect("kill");
        assert!(sent.success(), "{signal} to {}", self.name);
    }
}

impl Drop for Component {
    /// The component runs again for the next test.
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-CONT", &self.pid]).status();
    }
}

fn proc_of(pid: &str) -> PathBuf {
    Path::new("/proc").join(pid)
}

fn pids() -> PathBuf {
    directory_of("pids")
}

fn directory_of(what: &str) -> PathBuf {
    cluster().join("kwok/clusters/test").join(what)
}

fn cluster() -> PathBuf {
    PathBuf::from(std::env::var_os("STELLAR_TEST_CLUSTER_DIR").expect("a cluster made by tests/cluster"))
}
