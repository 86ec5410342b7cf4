//! Runs the operator's own pods as processes on loopback, if the pod has the annotation for it.
//!
//! The process has no mount or network namespace: it uses a kubeconfig with a token of its ServiceAccount, listens on
//! assigned ports of loopback, and is Ready when its readiness probe succeeds. [`Services`] replaces its Service.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Container, Pod, ServiceAccount};
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Child;

use crate::services::Services;
use crate::sources::{History, Sources};
use crate::status::in_time;
use crate::terminated::now_and_only;
use crate::{Arguments, now, run};

/// Annotation of a pod whose container is run.
const RUNS: &str = "test.stellar.org/runs";
/// Annotation of such a pod: the port of loopback of its Service.
const SERVICE_PORT: &str = "test.stellar.org/service-port";
const LOOK: Duration = Duration::from_millis(300);
const BACK_OFF: Duration = Duration::from_secs(1);

/// Whether the pod has the annotation to run its container.
pub(crate) fn is_served(pod: &Pod) -> bool {
    pod.annotations().get(RUNS).is_some_and(|value| value == "true")
}

/// Runs the pod's container until the pod is deleted, and then removes the pod.
pub(crate) async fn live(
    client: Client,
    arguments: Arguments,
    history: History,
    services: Services,
    pod: Pod,
    directory: &Path,
) {
    let Some(container) = pod.spec.as_ref().and_then(|spec| spec.containers.first()).cloned() else {
        return;
    };
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let mut restarts = 0;
    loop {
        let started = begin(&client, &arguments, &history, &pod, &container, directory).await;
        match started {
            Ok(mut running) => {
                if running.follow(&api, &pod, &services, restarts).await {
                    let only_this = now_and_only(pod.uid().unwrap_or_default());
                    let _ = in_time(api.delete(&pod.name_any(), &only_this)).await;
                    return;
                }
                restarts += 1;
            }
            Err(error) => tracing::warn!(pod = pod.name_any(), %error, "starting its container"),
        }
        tokio::time::sleep(BACK_OFF).await;
    }
}

struct Running {
    child: Child,
    webhook: u16,
    probes: u16,
    started: String,
}

async fn begin(
    client: &Client,
    arguments: &Arguments,
    history: &History,
    pod: &Pod,
    container: &Container,
    directory: &Path,
) -> anyhow::Result<Running> {
    let sources = Sources::read(client, pod, history, arguments.read_late).await?;
    let mut prepared = run::prepare(pod, container, &sources, directory, arguments.program_of(container))
        .map_err(|reason| anyhow::anyhow!("{reason:?}"))?;
    let kubeconfig = directory.join("kubeconfig");
    std::fs::write(&kubeconfig, identity(client, pod).await?)?;
    let (webhook, probes) = (free_port()?, free_port()?);
    prepared.set("KUBECONFIG", &kubeconfig.display().to_string());
    prepared.set("WEBHOOK_LISTEN", &format!("127.0.0.1:{webhook}"));
    prepared.set("PROBE_LISTEN", &format!("127.0.0.1:{probes}"));
    let child = run::spawn(&prepared)?;
    Ok(Running {
        child,
        webhook,
        probes,
        started: now(),
    })
}

impl Running {
    /// Follows the process; true if it ended because its pod is deleted.
    async fn follow(&mut self, api: &Api<Pod>, pod: &Pod, services: &Services, restarts: i32) -> bool {
        let service = pod.annotations().get(SERVICE_PORT).and_then(|port| port.parse().ok());
        let mut published = None;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                tracing::info!(pod = pod.name_any(), %status, "its container ended");
                services.leave(service, self.webhook);
                self.publish(api, pod, false, restarts).await;
                return false;
            }
            let stored = in_time(api.get_opt(&pod.name_any())).await;
            let gone = match stored {
                Ok(stored) => stored
                    .is_none_or(|stored| stored.uid() != pod.uid() || stored.metadata.deletion_timestamp.is_some()),
                Err(_) => false,
            };
            if gone {
                services.leave(service, self.webhook);
                self.end(pod).await;
                return true;
            }
            let ready = is_ready(self.probes).await;
            if published != Some(ready) && self.publish(api, pod, ready, restarts).await {
                published = Some(ready);
                if ready {
                    services.join(service, self.webhook).await;
                } else {
                    services.leave(service, self.webhook);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// SIGTERM, the pod's grace period, SIGKILL.
    async fn end(&mut self, pod: &Pod) {
        let grace = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        let grace = Duration::from_secs(u64::try_from(grace.unwrap_or(30)).unwrap_or(30));
        if let Some(process) = self.child.id() {
            let kill = tokio::process::Command::new("kill")
                .args(["-TERM", &process.to_string()])
                .status();
            let _ = kill.await;
        }
        if tokio::time::timeout(grace, self.child.wait()).await.is_err() {
            tracing::warn!(pod = pod.name_any(), "its container did not end in time");
            let _ = self.child.kill().await;
        }
    }

    /// Writes the container's status; true if that worked.
    async fn publish(&self, api: &Api<Pod>, pod: &Pod, ready: bool, restarts: i32) -> bool {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let statuses: Vec<Value> = containers
            .map(|container| {
                json!({
                    "name": container.name, "image": container.image, "imageID": "", "ready": ready, "started": true,
                    "restartCount": restarts, "state": { "running": { "startedAt": self.started } },
                })
            })
            .collect();
        let word = if ready { "True" } else { "False" };
        let conditions: Vec<Value> = ["Initialized", "ContainersReady", "Ready", "PodScheduled"]
            .map(|kind| {
                let holds = matches!(kind, "Initialized" | "PodScheduled") || ready;
                json!({ "type": kind, "status": if holds { "True" } else { word }, "lastTransitionTime": now() })
            })
            .to_vec();
        let patch =
            json!({ "status": { "phase": "Running", "containerStatuses": statuses, "conditions": conditions } });
        let parameters = PatchParams::default();
        in_time(api.patch_status(&pod.name_any(), &parameters, &Patch::Merge(&patch)))
            .await
            .is_ok()
    }
}

/// A kubeconfig with a token of the pod's ServiceAccount.
async fn identity(client: &Client, pod: &Pod) -> anyhow::Result<String> {
    let namespace = pod.namespace().unwrap_or_default();
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
    let request: TokenRequest =
        serde_json::from_value(json!({ "spec": { "audiences": [], "expirationSeconds": 3600 } }))?;
    let account = account.unwrap_or_else(|| "default".to_owned());
    let answer = in_time(accounts.create_token_request(&account, &PostParams::default(), &request)).await?;
    let token = answer.status.map(|status| status.token);
    let mut kubeconfig = Kubeconfig::read()?;
    for user in &mut kubeconfig.auth_infos {
        user.auth_info = Some(serde_json::from_value(json!({ "token": token }))?);
    }
    for context in &mut kubeconfig.contexts {
        if let Some(context) = &mut context.context {
            context.namespace = Some(namespace.clone());
        }
    }
    // JSON is YAML.
    Ok(serde_json::to_string(&kubeconfig)?)
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn is_ready(port: u16) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer.starts_with("HTTP/1.1 200 "))
    };
    let answer = tokio::time::timeout(Duration::from_secs(1), asked).await;
    answer.ok().flatten().unwrap_or(false)
}
