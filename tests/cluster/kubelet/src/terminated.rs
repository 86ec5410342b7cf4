//! Removes a pod that terminates, as a kubelet does once its containers have ended.
//!
//! A stage of kwok cannot do this: kwok queues stages by the name of the pod, so one that it queues late deletes the
//! next pod of that name (see `address`). This was seen on a busy machine. The deletion here names the uid.

use std::collections::HashSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};

use crate::served::is_served;
use crate::status::in_time;

/// As long as a process that obeys SIGTERM takes.
const STOPS: Duration = Duration::from_millis(300);

/// The terminating pods by uid.
#[derive(Debug, Default)]
pub(crate) struct Terminated(HashSet<String>);

impl Terminated {
    /// Removes a terminating pod without finalizers. A served pod ends by itself.
    pub(crate) fn see(&mut self, client: &Client, pod: &Pod) {
        let terminates = pod.metadata.deletion_timestamp.is_some() && pod.finalizers().is_empty() && !is_served(pod);
        if terminates
            && let Some(uid) = pod.uid()
            && self.0.insert(uid.clone())
        {
            tokio::spawn(remove(client.clone(), pod.clone(), uid));
        }
    }

    pub(crate) fn forget(&mut self, pod: &Pod) {
        self.0.remove(&pod.uid().unwrap_or_default());
    }
}

async fn remove(client: Client, pod: Pod, uid: String) {
    let name = pod.name_any();
    let api: Api<Pod> = Api::namespaced(client, &pod.namespace().unwrap_or_default());
    loop {
        tokio::time::sleep(STOPS).await;
        match in_time(api.delete(&name, &now_and_only(uid.clone()))).await {
            Ok(_) => return,
            Err(error) if is_gone(&error) => return,
            Err(error) => tracing::warn!(pod = name, %error, "removing it again"),
        }
    }
}

/// Deletes at once, and only the pod with this uid.
pub(crate) fn now_and_only(uid: String) -> DeleteParams {
    let only = Preconditions {
        uid: Some(uid),
        resource_version: None,
    };
    DeleteParams::default().grace_period(0).preconditions(only)
}

/// Whether there is no such pod, or another one of that name.
fn is_gone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(kube::Error::Api(status)) if [404, 409].contains(&status.code))
}
