//! Touches pods to which kwok gave no address, so that kwok looks at them again.
//!
//! kwok queues one stage for each pod name. A stage that it queues late for a deleted pod replaces the first stage of
//! the next pod of that name, which then waits forever (kwok 0.8, `pod_controller.go`, `addStageJob`). This was seen
//! when a pod was replaced three times within a second. Any change of the pod makes kwok look at it again.

use std::collections::HashSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::now;
use crate::status::in_time;

/// kwok gives an address within a second; a busy machine may take longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Annotation of a pod: when it was last touched.
const SHOWN_AGAIN: &str = "test.stellar.org/shown-again";

/// The watched pods by uid.
#[derive(Debug, Default)]
pub(crate) struct Addresses(HashSet<String>);

impl Addresses {
    /// Touches a bound pod without an address until it has one or is deleted.
    pub(crate) fn see(&mut self, client: &Client, pod: &Pod) {
        if lacks(pod)
            && let Some(uid) = pod.uid()
            && self.0.insert(uid.clone())
        {
            tokio::spawn(show_again(client.clone(), pod.clone(), uid));
        }
    }

    pub(crate) fn forget(&mut self, pod: &Pod) {
        self.0.remove(&pod.uid().unwrap_or_default());
    }
}

fn lacks(pod: &Pod) -> bool {
    let is_bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let has_address = pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some());
    is_bound && !has_address && pod.metadata.deletion_timestamp.is_none()
}

async fn show_again(client: Client, pod: Pod, uid: String) {
    let name = pod.name_any();
    let api: Api<Pod> = Api::namespaced(client, &pod.namespace().unwrap_or_default());
    loop {
        tokio::time::sleep(PATIENCE).await;
        match in_time(api.get_opt(&name)).await {
            Ok(Some(found)) if found.uid().as_ref() == Some(&uid) && lacks(&found) => {
                tracing::warn!(pod = name, "kwok gave it no address; it is shown again");
                let patch = json!({ "metadata": { "uid": uid, "annotations": { SHOWN_AGAIN: now() } } });
                let shown = in_time(api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch))).await;
                if let Err(error) = shown {
                    tracing::debug!(pod = name, %error, "showing it again");
                }
            }
            Ok(_) => return,
            Err(error) => tracing::debug!(pod = name, %error, "reading it"),
        }
    }
}
