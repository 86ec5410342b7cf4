//! Runs one container once as a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::process::{Child, Command};

use crate::sources::Sources;
use crate::status::Ended;
use crate::{env, message, now, volumes};

const PROGRAM: &str = "stellar-operator";
const DEFAULT_MESSAGE_PATH: &str = "/dev/termination-log";
/// Marks every process of a cluster for `tests/cluster/down`.
const MARK: &str = "STELLAR_CLUSTER_PROCESS_OF";

/// Whether the container is really run. What it would need (stellar-core, say) is not here otherwise.
pub(crate) fn is_real(container: &Container) -> bool {
    container.name == "render-config"
        || container
            .command
            .as_ref()
            .is_some_and(|command| is_program(command.first()))
}

fn is_program(command: Option<&String>) -> bool {
    command.is_some_and(|command| command == PROGRAM || command == &format!("/usr/local/bin/{PROGRAM}"))
}

/// A container ready to be started.
#[derive(Debug)]
pub(crate) struct Prepared {
    program: String,
    arguments: Vec<String>,
    env: BTreeMap<String, String>,
    directory: PathBuf,
    message: PathBuf,
    log: PathBuf,
}

impl Prepared {
    /// Sets a variable, whatever the pod says.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }
}

/// Why a container cannot be started yet.
#[derive(Debug)]
pub(crate) enum Unready {
    /// A volume cannot be made: the container waits as it is.
    Mount(String),
    /// Its environment cannot be resolved.
    Config(String),
}

/// Makes volumes, environment and arguments of the container; all of it below `directory`, which belongs to the pod.
pub(crate) fn prepare(
    pod: &Pod,
    container: &Container,
    sources: &Sources,
    directory: &Path,
    operator: &Path,
) -> Result<Prepared, Unready> {
    let volumes = directory.join("volumes");
    volumes::make(pod, &volumes, sources).map_err(Unready::Mount)?;
    let env = env::resolve(container, pod, sources).map_err(Unready::Config)?;
    let work = directory.join("work").join(&container.name);
    std::fs::create_dir_all(&work).map_err(|error| Unready::Mount(error.to_string()))?;
    let message = directory.join(format!("{}.termination-log", container.name));
    let mut mapping = volumes::mapping(container, &volumes, &env);
    mapping.insert(
        container
            .termination_message_path
            .as_deref()
            .unwrap_or(DEFAULT_MESSAGE_PATH),
        message.clone(),
    );

    let play = |text: &String| mapping.rewrite(&env::expand(text, &env));
    let mut words = container.command.iter().flatten();
    let first = words.next();
    let program = match first {
        Some(first) if !is_program(Some(first)) => play(first),
        _ => operator.display().to_string(),
    };
    let arguments = words.chain(container.args.iter().flatten()).map(play).collect();
    let mut env: BTreeMap<_, _> = env
        .iter()
        .map(|(name, value)| (name.clone(), mapping.rewrite(value)))
        .collect();
    let host = |name: &str| std::env::var(name).ok();
    for (name, value) in [
        ("PATH", host("PATH")),
        ("HOSTNAME", pod.metadata.name.clone()),
        (MARK, host(MARK)),
    ] {
        if let Some(value) = value {
            env.entry(name.to_owned()).or_insert(value);
        }
    }
    env.entry("HOME".to_owned())
        .or_insert_with(|| work.display().to_string());
    let log = directory.join(format!("{}.log", container.name));
    Ok(Prepared {
        program,
        arguments,
        env,
        directory: work,
        message,
        log,
    })
}

/// Runs the container to its end. `containers` is the number of containers in the pod, which share the message's space.
pub(crate) async fn run(prepared: &Prepared, fall_back_to_log: bool, containers: usize) -> Ended {
    let started_at = now();
    // Earlier runs' output is in the log too.
    let logged = std::fs::metadata(&prepared.log).map_or(0, |metadata| metadata.len());
    // An empty file, as a kubelet makes it: the program may open it without creating it.
    let outcome = match std::fs::write(&prepared.message, "") {
        Ok(()) => execute(prepared).await,
        Err(error) => Err(error),
    };
    let (exit_code, failure) = match outcome {
        Ok(status) => (status.code().unwrap_or(137), String::new()),
        Err(error) => (128, format!("{}: {error}", prepared.program)),
    };
    let mut content = std::fs::read(&prepared.message).unwrap_or_default();
    if content.is_empty() && exit_code != 0 && fall_back_to_log {
        let log = std::fs::read(&prepared.log).unwrap_or_default();
        let begin = usize::try_from(logged)
            .unwrap_or(0)
            .max(log.len().saturating_sub(2048))
            .min(log.len());
        content = log[begin..].to_vec();
    }
    if content.is_empty() {
        content = failure.into_bytes();
    }
    Ended {
        exit_code,
        message: message::cut(&content, containers),
        started_at,
        finished_at: now(),
    }
}

async fn execute(prepared: &Prepared) -> std::io::Result<std::process::ExitStatus> {
    spawn(prepared)?.wait().await
}

/// Starts the container; it is killed with what is given back.
pub(crate) fn spawn(prepared: &Prepared) -> std::io::Result<Child> {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&prepared.log)?;
    Command::new(&prepared.program)
        .args(&prepared.arguments)
        .env_clear()
        .envs(&prepared.env)
        .current_dir(&prepared.directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
}
