//! Runs the init containers of pods that are bound and have an address.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::task::JoinHandle;

use crate::address::Addresses;
use crate::links::Links;
use crate::run::{self, Unready};
use crate::served;
use crate::services::Services;
use crate::sources::{History, Sources};
use crate::status::{self, Ended};
use crate::terminated::Terminated;
use crate::{Arguments, now};

/// A pod's own `--read-late`.
const READ_LATE: &str = "test.stellar.org/read-late";
const RETRY: Duration = Duration::from_millis(300);
/// The back-off of a container. A kubelet's is 10 s to 5 min, which is too long for tests.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// Runs the init containers of all pods until the process ends.
pub(crate) async fn watch(client: Client, arguments: Arguments, history: History) {
    let mut events = pin!(watcher(Api::<Pod>::all(client.clone()), watcher::Config::default()).default_backoff());
    let mut running: HashMap<String, JoinHandle<()>> = HashMap::new();
    let services = Services::default();
    let links = Links::default();
    let mut addresses = Addresses::default();
    let mut terminated = Terminated::default();
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Apply(pod)) => {
                links.see(&client, &pod, &directory(&arguments.root, &pod));
                addresses.see(&client, &pod);
                terminated.see(&client, &pod);
                start(&client, &arguments, &history, &services, &mut running, pod);
            }
            Ok(watcher::Event::InitApply(pod)) => {
                listed.extend(pod.uid());
                links.see(&client, &pod, &directory(&arguments.root, &pod));
                addresses.see(&client, &pod);
                terminated.see(&client, &pod);
                start(&client, &arguments, &history, &services, &mut running, pod);
            }
            Ok(watcher::Event::Delete(pod)) => {
                links.forget(&pod);
                addresses.forget(&pod);
                terminated.forget(&pod);
                if let Some(task) = pod.uid().and_then(|uid| running.remove(&uid)) {
                    task.abort();
                }
                remove(&directory(&arguments.root, &pod));
            }
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitDone) => running.retain(|uid, task| {
                let lives = listed.contains(uid);
                if !lives {
                    task.abort();
                }
                lives
            }),
            Err(error) => tracing::warn!(%error, "watching pods"),
        }
    }
}

fn start(
    client: &Client,
    arguments: &Arguments,
    history: &History,
    services: &Services,
    running: &mut HashMap<String, JoinHandle<()>>,
    pod: Pod,
) {
    let Some(uid) = pod.uid() else { return };
    if pod.metadata.deletion_timestamp.is_some() {
        // A served pod ends by itself.
        if let Some(task) = running.get(&uid).filter(|_| !served::is_served(&pod)) {
            task.abort();
        }
        return;
    }
    let has_address = pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some());
    let has_work = ordinary(&pod)
        .iter()
        .any(|container| !status::succeeded(&pod, &container.name));
    let has_work = has_work || served::is_served(&pod);
    if has_address && has_work && !running.contains_key(&uid) {
        let life = live(
            client.clone(),
            arguments.clone(),
            history.clone(),
            services.clone(),
            pod,
        );
        running.insert(uid, tokio::spawn(Box::pin(life)));
    }
}

/// The init containers that end, without native sidecars.
fn ordinary(pod: &Pod) -> Vec<Container> {
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    containers
        .filter(|container| container.restart_policy.as_deref() != Some("Always"))
        .cloned()
        .collect()
}

fn directory(root: &Path, pod: &Pod) -> PathBuf {
    root.join(pod.namespace().unwrap_or_default())
        .join(pod.name_any())
        .join(pod.uid().unwrap_or_default())
}

fn remove(directory: &Path) {
    if let Err(error) = std::fs::remove_dir_all(directory)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(directory = %directory.display(), %error, "removing a pod's directory");
    }
}

async fn live(client: Client, arguments: Arguments, history: History, services: Services, mut pod: Pod) {
    let directory = directory(&arguments.root, &pod);
    if let Err(error) = prepare_directory(&directory) {
        tracing::error!(directory = %directory.display(), %error, "making a pod's directory");
        return;
    }
    let api = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    for container in ordinary(&pod) {
        if status::succeeded(&pod, &container.name) {
            continue;
        }
        let done = if run::is_real(&container) {
            Box::pin(until_success(
                &client, &arguments, &history, &api, pod, &container, &directory,
            ))
            .await
        } else {
            let ended = Ended {
                exit_code: 0,
                message: String::new(),
                started_at: now(),
                finished_at: now(),
            };
            status::publish(&api, &pod, &container.name, &ended.state(), 0).await
        };
        let Some(stored) = done else { return };
        pod = stored;
    }
    if served::is_served(&pod) {
        served::live(client, arguments, history, services, pod, &directory).await;
    }
}

fn prepare_directory(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let (Some(parent), Some(uid)) = (directory.parent(), directory.file_name()) else {
        return Ok(());
    };
    // Rename the link into place, so that `current` always exists.
    let link = parent.join(format!(".{}", uid.display()));
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(uid, &link)?;
    std::fs::rename(link, parent.join("current"))
}

/// Runs the container until it succeeds; returns the stored pod, `None` if it was deleted.
async fn until_success(
    client: &Client,
    arguments: &Arguments,
    history: &History,
    api: &Api<Pod>,
    mut pod: Pod,
    container: &Container,
    directory: &Path,
) -> Option<Pod> {
    let name = &container.name;
    let mut restarts = status::of(&pod, name).map_or(0, |status| status.restart_count);
    let mut back_off = BACK_OFF.0;
    loop {
        let late = pod
            .annotations()
            .get(READ_LATE)
            .and_then(|text| crate::seconds(text).ok());
        let sources = Sources::read(client, &pod, history, late.unwrap_or(arguments.read_late));
        let sources = match status::in_time(sources).await {
            Ok(sources) => sources,
            Err(error) => {
                tracing::warn!(pod = pod.name_any(), %error, "reading what the pod refers to");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        let prepared = match run::prepare(&pod, container, &sources, directory, arguments.program_of(container)) {
            Ok(prepared) => prepared,
            Err(reason) => {
                pod = wait(api, pod, name, restarts, reason).await?;
                continue;
            }
        };
        let fall_back = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        let ended = run::run(&prepared, fall_back, containers(&pod)).await;
        tracing::info!(
            pod = pod.name_any(),
            container = name,
            exit_code = ended.exit_code,
            "ended"
        );
        pod = status::publish(api, &pod, name, &ended.state(), restarts).await?;
        if ended.exit_code == 0 {
            return Some(pod);
        }
        restarts += 1;
        tokio::time::sleep(RETRY).await;
        let waiting = status::waiting("CrashLoopBackOff", "back-off restarting failed container");
        pod = status::publish(api, &pod, name, &waiting, restarts).await?;
        tokio::time::sleep(back_off).await;
        back_off = (back_off * 2).min(BACK_OFF.1);
    }
}

/// Publishes once why the container cannot start, and waits before the next attempt.
async fn wait(api: &Api<Pod>, pod: Pod, container: &str, restarts: i32, reason: Unready) -> Option<Pod> {
    let pod = match reason {
        Unready::Mount(message) => {
            tracing::info!(pod = pod.name_any(), message, "FailedMount");
            pod
        }
        Unready::Config(message) => {
            let stored = status::of(&pod, container).and_then(|status| status.state.as_ref()?.waiting.as_ref());
            if stored.and_then(|waiting| waiting.message.as_deref()) == Some(message.as_str()) {
                pod
            } else {
                let state = status::waiting("CreateContainerConfigError", &message);
                status::publish(api, &pod, container, &state, restarts).await?
            }
        }
    };
    tokio::time::sleep(RETRY).await;
    Some(pod)
}

fn containers(pod: &Pod) -> usize {
    pod.spec.as_ref().map_or(1, |spec| {
        spec.containers.len()
            + spec.init_containers.as_ref().map_or(0, Vec::len)
            + spec.ephemeral_containers.as_ref().map_or(0, Vec::len)
    })
}
