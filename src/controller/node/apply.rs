//! Makes the writes of a decision, one after the other, each with a deadline and onto what was read. Nothing is decided
//! here.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Client;
use kube::runtime::events::EventType;

use super::decide::Answer;
use super::write::{Change, Kind, Write};
use crate::controller::apply::{self, ApplyError, Namespaced};
use crate::controller::status::events::{EventReason, Events};
use crate::kubernetes::api::ApiError;
use crate::peers::NodeId;

pub(crate) struct Writer {
    client: Client,
    events: Events,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(client: Client, events: Events) -> Self {
        Self { client, events }
    }

    /// Makes these writes for a node, up to the first that the API server refuses for good. Fails when the API server
    /// does not answer, or an object changed after it was read: the node is read again.
    pub(crate) async fn apply(&self, node: &NodeId, writes: &[Write]) -> Result<Answer, ApplyError> {
        let mut answer = Answer::default();
        for write in writes {
            match self.write(&node.namespace, write).await {
                Ok(()) => self.log(node, write),
                Err(ApplyError::Api(ApiError::Refused(status)))
                    if ApiError::is_final(status.code) && write.may_fail =>
                {
                    answer.volume_refused = Some(status.message);
                }
                Err(ApplyError::Api(ApiError::Refused(status))) if ApiError::is_final(status.code) => {
                    tracing::warn!(
                        node = node.name,
                        namespace = node.namespace,
                        kind = ?write.kind,
                        name = write.name,
                        error = status.message,
                        "the API server refuses an object; it is tried again later"
                    );
                    answer.refused = Some(status.message);
                    return Ok(answer);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(answer)
    }

    async fn write(&self, namespace: &str, write: &Write) -> Result<(), ApplyError> {
        match write.kind {
            Kind::ConfigMap => self.change::<ConfigMap>(namespace, write).await,
            Kind::Deployment => self.change::<Deployment>(namespace, write).await,
            Kind::PersistentVolumeClaim => self.change::<PersistentVolumeClaim>(namespace, write).await,
            Kind::PodDisruptionBudget => self.change::<PodDisruptionBudget>(namespace, write).await,
            Kind::Service => self.change::<Service>(namespace, write).await,
            Kind::StatefulSet => self.change::<StatefulSet>(namespace, write).await,
        }
    }

    async fn change<K: Namespaced>(&self, namespace: &str, write: &Write) -> Result<(), ApplyError> {
        let client = &self.client;
        match &write.change {
            Change::Apply(object, manager, read) => {
                apply::apply_object::<K>(client, namespace, object, manager, read.as_deref()).await?;
            }
            Change::Metadata(patch, manager) => {
                apply::change_metadata::<K>(client, namespace, &write.name, patch, manager).await?;
            }
            Change::Delete(uid) => apply::delete::<K>(client, namespace, &write.name, uid).await?,
        }
        Ok(())
    }

    fn log(&self, node: &NodeId, write: &Write) {
        if !write.log.is_empty() {
            let (kind, object) = (write.kind, &write.name);
            tracing::info!(
                node = node.name,
                namespace = node.namespace,
                ?kind,
                object,
                "{}",
                write.log
            );
        }
        if let Some(note) = &write.second_pods {
            tracing::warn!(node = node.name, namespace = node.namespace, "{note}");
            let reason = EventReason::SecondPod.as_str();
            self.events.report(node, EventType::Warning, reason, "Scaled", note);
        }
    }
}
