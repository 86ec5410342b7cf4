//! Builds and publishes the statuses of a pod's init containers.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

/// The end of an init container.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit_code: i32,
    pub(crate) message: String,
    pub(crate) started_at: String,
    pub(crate) finished_at: String,
}

impl Ended {
    /// The state of the container.
    pub(crate) fn state(&self) -> Value {
        json!({ "terminated": {
            "exitCode": self.exit_code,
            "reason": if self.exit_code == 0 { "Completed" } else { "Error" },
            "message": (!self.message.is_empty()).then_some(&self.message),
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
        } })
    }
}

/// The state of a container that waits.
pub(crate) fn waiting(reason: &str, message: &str) -> Value {
    json!({ "waiting": { "reason": reason, "message": (!message.is_empty()).then_some(message) } })
}

/// Whether the container has ended with success.
pub(crate) fn succeeded(pod: &Pod, container: &str) -> bool {
    of(pod, container)
        .and_then(|status| status.state.as_ref()?.terminated.as_ref())
        .is_some_and(|terminated| terminated.exit_code == 0)
}

/// The stored status of the container.
pub(crate) fn of<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let statuses = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == container)
}

/// Writes a container's new state and keeps the stored statuses of the others. Retries until that works or the pod is
/// deleted.
///
/// A merge patch replaces the whole list, which kwok also writes, so each write has a resource version as precondition.
/// Returns the stored pod, `None` if it was replaced or deleted.
pub(crate) async fn publish(api: &Api<Pod>, pod: &Pod, container: &str, state: &Value, restarts: i32) -> Option<Pod> {
    let mut stored = pod.clone();
    loop {
        let mut statuses = json!(
            stored
                .status
                .as_ref()
                .and_then(|status| status.init_container_statuses.as_ref())
        );
        for status in statuses.as_array_mut().into_iter().flatten() {
            if status["name"] == container {
                let ended = status["state"]["terminated"].take();
                if !ended.is_null() {
                    status["lastState"] = json!({ "terminated": ended });
                }
                status["ready"] = json!(state["terminated"]["exitCode"] == 0);
                status["restartCount"] = json!(restarts);
                status["state"] = state.clone();
            }
        }
        let patch = json!({
            "metadata": { "resourceVersion": stored.resource_version() },
            "status": { "initContainerStatuses": statuses },
        });
        let name = pod.name_any();
        let parameters = PatchParams::default();
        let patch = Patch::Merge(&patch);
        match in_time(api.patch_status(&name, &parameters, &patch)).await {
            Ok(pod) => return Some(pod),
            Err(error) => tracing::debug!(pod = name, %error, "publishing again"),
        }
        match in_time(api.get_opt(&name)).await {
            Ok(Some(found)) if found.uid() == pod.uid() => stored = found,
            Ok(_) => return None,
            Err(error) => {
                tracing::warn!(pod = name, %error, "reading again");
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    }
}

/// Adds a timeout to a call, because kube sets no read timeout.
pub(crate) async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> anyhow::Result<T> {
    Ok(tokio::time::timeout(Duration::from_secs(10), call).await??)
}
