//! The namespaces whose restarts are paused by the annotation `stellar.org/pause-restarts` of the Namespace.
//!
//! The annotation stops restarts, not discovery.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::Store;
use kube::{Api, ResourceExt as _};
use tokio::sync::{Notify, watch};

use super::caches::{is_complete, wait_for_stores};
use crate::kubernetes::api::deadline;
use crate::labels;

/// How often a namespace that cannot be watched is read.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// The namespaces whose restarts are paused.
///
/// A Role can grant `get` on its own Namespace and not `watch`, so an operator limited to some namespaces polls.
#[derive(Debug)]
pub(crate) enum Namespaces {
    /// All namespaces, from a watch.
    Watched(Store<PartialObjectMeta<Namespace>>),
    /// The paused ones at the last poll; `None` until every namespace has answered once.
    Polled(watch::Receiver<Option<BTreeSet<String>>>),
}

impl Namespaces {
    /// No namespace is known to be paused.
    pub(crate) fn none() -> Self {
        Self::Polled(watch::channel(Some(BTreeSet::new())).1)
    }

    /// Waits until the state of every namespace is known.
    pub(crate) async fn wait_until_complete(&self) {
        match self {
            Self::Watched(store) => wait_for_stores(std::slice::from_ref(store)).await,
            Self::Polled(paused) => {
                // An error means that the polling task has ended: the program shuts down.
                if paused.clone().wait_for(Option::is_some).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// The incomplete part, in readable form.
    pub(crate) fn incomplete(&self) -> Option<String> {
        let is_complete = match self {
            Self::Watched(store) => is_complete(store),
            Self::Polled(paused) => paused.borrow().is_some(),
        };
        (!is_complete).then(|| "the namespaces themselves".to_owned())
    }

    pub(crate) fn paused(&self) -> BTreeSet<String> {
        match self {
            Self::Watched(store) => {
                let all = store.state().into_iter();
                all.filter(|namespace| is_paused(&namespace.metadata))
                    .map(|namespace| namespace.name_any())
                    .collect()
            }
            Self::Polled(paused) => paused.borrow().clone().unwrap_or_default(),
        }
    }
}

fn is_paused(metadata: &ObjectMeta) -> bool {
    let annotations = metadata.annotations.as_ref();
    pauses(annotations.and_then(|annotations| annotations.get(labels::PAUSE_RESTARTS)))
}

/// Whether the annotation pauses restarts: any value but `false` does, to be on the safe side.
pub(crate) fn pauses(annotation: Option<&String>) -> bool {
    annotation.is_some_and(|value| value != "false")
}

/// Polls the namespaces forever. A namespace that cannot be read keeps its last state: a failed read must not end a
/// pause.
pub(crate) async fn poll_namespaces(
    api: Api<Namespace>,
    names: Vec<String>,
    sender: watch::Sender<Option<BTreeSet<String>>>,
    changed: Arc<Notify>,
) {
    let mut known: BTreeMap<&str, bool> = BTreeMap::new();
    let mut failing = false;
    loop {
        let mut failure = None;
        for name in &names {
            match deadline(api.get_metadata_opt(name)).await {
                // A namespace that does not exist yet pauses nothing.
                Ok(namespace) => {
                    let paused = namespace.is_some_and(|namespace| is_paused(&namespace.metadata));
                    known.insert(name, paused);
                }
                Err(error) => failure = Some((name, error)),
            }
        }
        match &failure {
            Some((namespace, error)) if !failing => tracing::warn!(
                namespace,
                error = error as &dyn std::error::Error,
                "namespace cannot be read; its restarts stay paused or not, as before"
            ),
            _ => {}
        }
        failing = failure.is_some();
        if known.len() == names.len() {
            let paused = known
                .iter()
                .filter(|(_, paused)| **paused)
                .map(|(name, _)| (*name).to_owned());
            let paused = Some(paused.collect::<BTreeSet<String>>());
            if sender.send_if_modified(|before| std::mem::replace(before, paused.clone()) != paused) {
                changed.notify_one();
            }
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
