//! Kubernetes Events on StellarNodes. They are sent in the background; a lost Event has no consequence.

use std::fmt;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Resource as _, ResourceExt as _};
use strum::{IntoStaticStr, VariantArray};
use tokio::sync::mpsc;

use crate::controller::model::conditions::Finding;
use crate::controller::observe::caches::Caches;
use crate::controller::status;
use crate::crd::StellarNode;
use crate::kubernetes::api::deadline;
use crate::peers::NodeId;
use crate::util::text::plain;

/// The reasons of Events that report no condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
pub enum EventReason {
    Restarting,
    RestartFailed,
    /// A pod was deleted because Kubernetes would not replace it.
    PodDeleted,
    /// A StatefulSet that asked for several pods with one seed was scaled back.
    SecondPod,
    /// A peer list that was edited was repaired.
    PeersRepaired,
}

impl EventReason {
    /// The reason as the Event spells it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Capacity of the queue. Further Events are dropped: the API server has not accepted any for long.
const QUEUE_LENGTH: usize = 1024;
/// Events sent concurrently.
const CONCURRENCY: usize = 8;

/// Queues Events for [`Reporting`].
#[derive(Clone)]
pub struct Events {
    caches: Arc<Caches>,
    queue: mpsc::Sender<QueuedEvent>,
}

struct QueuedEvent {
    event: Event,
    reference: ObjectReference,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// Events on the StellarNodes of these caches, and what reports them.
    pub fn new(recorder: Recorder, caches: Arc<Caches>) -> (Self, Reporting) {
        let (queue, waiting) = mpsc::channel(QUEUE_LENGTH);
        (Self { caches, queue }, Reporting { recorder, waiting })
    }

    /// Logs each new warning among these conditions and queues an Event for it. A warning is new unless the node's
    /// status already has its reason.
    pub fn warn_of(&self, node: &StellarNode, conditions: &[Finding]) {
        let id = NodeId::new(node.namespace().unwrap_or_default(), node.name_any());
        let new = |finding: &&Finding| finding.warns && !status::has_reason(node, finding.reason);
        for finding in conditions.iter().filter(new) {
            let (reason, about) = (finding.reason.as_str(), finding.condition().as_str());
            tracing::warn!(validator = %id, reason, "{}", finding.message);
            self.report(&id, EventType::Warning, reason, about, finding.message.clone());
        }
    }

    /// Queues an Event without waiting.
    pub fn report(&self, id: &NodeId, kind: EventType, reason: &str, action: &str, note: impl Into<String>) {
        let Some(guarded) = self.caches.guarded(id) else {
            return;
        };
        let Ok(node) = &guarded.0 else { return };
        let event = Event {
            type_: kind,
            reason: reason.to_owned(),
            note: Some(plain(&note.into())),
            action: action.to_owned(),
            secondary: None,
        };
        let reference = StellarNode::object_ref(node, &());
        if self.queue.try_send(QueuedEvent { event, reference }).is_err() {
            tracing::debug!(validator = %id, reason, "Event dropped: the queue is full");
        }
    }
}

/// Sends the queued Events.
pub struct Reporting {
    recorder: Recorder,
    waiting: mpsc::Receiver<QueuedEvent>,
}

impl fmt::Debug for Reporting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporting").finish_non_exhaustive()
    }
}

impl Reporting {
    /// Sends Events until the last [`Events`] is dropped.
    pub async fn run(mut self) {
        let recorder = &self.recorder;
        stream::poll_fn(|context| self.waiting.poll_recv(context))
            .for_each_concurrent(CONCURRENCY, |QueuedEvent { event, reference }| async move {
                if let Err(error) = deadline(recorder.publish(&event, &reference)).await {
                    let (node, reason) = (&reference.name, &event.reason);
                    tracing::debug!(node, reason, error = &error as &dyn std::error::Error, "Event not sent");
                }
            })
            .await;
    }
}
