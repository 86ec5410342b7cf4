//! Makes the writes of a decision, one after the other, each with a deadline and onto what was read. Nothing is decided
//! here.

use kube::api::{DynamicObject, Patch};
use kube::runtime::events::EventType;
use kube::{Api, Client};

use super::decide::Answer;
use super::write::{Change, Write};
use crate::controller::apply::{ApplyError, apply_object};
use crate::controller::status::events::{EventReason, Events};
use crate::kubernetes::api::{ApiError, deadline, merge, only_uid};
use crate::peers::NodeId;

pub(crate) struct Writer {
    client: Client,
    events: Events,
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
                        kind = %write.resource.kind,
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
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &write.resource);
        match &write.change {
            Change::Apply(object, manager, read) => apply_object(&api, object, manager, read.as_deref()).await?,
            Change::Metadata(patch, manager) => {
                deadline(api.patch_metadata(&write.name, &merge(manager), &Patch::Merge(patch))).await?;
            }
            Change::Delete(uid) => {
                deadline(api.delete(&write.name, &only_uid(uid))).await?;
            }
        }
        Ok(())
    }

    fn log(&self, node: &NodeId, write: &Write) {
        if !write.log.is_empty() {
            let (kind, object) = (&write.resource.kind, &write.name);
            tracing::info!(
                node = node.name,
                namespace = node.namespace,
                %kind,
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
