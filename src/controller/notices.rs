//! Events on StellarNodes. One that is lost changes nothing.

use std::fmt;
use std::sync::Arc;

use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource as _};

use super::observe::Caches;
use crate::api::deadline;
use crate::crd::StellarNode;
use crate::labels;
use crate::peers::NodeId;

/// Reports Events.
#[derive(Clone)]
pub struct Notices {
    caches: Arc<Caches>,
    recorder: Recorder,
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}

impl Notices {
    /// Events on the StellarNodes of these caches.
    pub fn new(client: Client, caches: Arc<Caches>) -> Self {
        let reporter = Reporter {
            controller: labels::REPORTER.to_owned(),
            instance: None,
        };
        Self {
            caches,
            recorder: Recorder::new(client, reporter),
        }
    }

    /// Reports one.
    pub async fn tell(&self, id: &NodeId, kind: EventType, reason: &str, action: &str, note: String) {
        let Some(guarded) = self.caches.guarded(id) else {
            return;
        };
        let Ok(node) = &guarded.0 else { return };
        let event = Event {
            type_: kind,
            reason: reason.to_owned(),
            note: Some(note),
            action: action.to_owned(),
            secondary: None,
        };
        let reference = StellarNode::object_ref(node, &());
        if let Err(error) = deadline(self.recorder.publish(&event, &reference)).await {
            tracing::debug!(validator = %id, reason, error = &error as &dyn std::error::Error, "Event not reported");
        }
    }
}
