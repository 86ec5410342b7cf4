//! In which namespaces restarts are paused: the annotation `stellar.org/pause-restarts` of a Namespace.
//!
//! It stops restarts, not discovery.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::Store;
use kube::{Api, ResourceExt as _};
use tokio::sync::{Notify, watch};

use super::caches::{complete, is_complete};
use crate::kubernetes::api::deadline;
use crate::labels;

/// How often a namespace that cannot be watched is asked whether its restarts are paused.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Which namespaces are paused.
///
/// A Role can get its own Namespace and not watch it, so that an operator with rights in some namespaces only asks
/// again and again.
#[derive(Debug)]
pub(crate) enum Namespaces {
    /// All of them, as a watch tells.
    Watched(Store<PartialObjectMeta<Namespace>>),
    /// Those that were paused when they were last asked for; `None` until all have answered once.
    Asked(watch::Receiver<Option<BTreeSet<String>>>),
}

impl Namespaces {
    /// None is paused, for all that is known.
    pub(crate) fn none() -> Self {
        Self::Asked(watch::channel(Some(BTreeSet::new())).1)
    }

    /// Waits until that is known of each of them.
    pub(crate) async fn wait_until_complete(&self) {
        match self {
            Self::Watched(store) => complete(std::slice::from_ref(store)).await,
            Self::Asked(paused) => {
                // An error says that nobody asks any more: the program ends.
                if paused.clone().wait_for(Option::is_some).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// What is not known yet, as a person reads it.
    pub(crate) fn incomplete(&self) -> Option<String> {
        let is_complete = match self {
            Self::Watched(store) => is_complete(store),
            Self::Asked(paused) => paused.borrow().is_some(),
        };
        (!is_complete).then(|| "the namespaces themselves".to_owned())
    }

    /// Their names.
    pub(crate) fn paused(&self) -> BTreeSet<String> {
        match self {
            Self::Watched(store) => {
                let all = store.state().into_iter();
                all.filter(|namespace| is_paused(&namespace.metadata))
                    .map(|namespace| namespace.name_any())
                    .collect()
            }
            Self::Asked(paused) => paused.borrow().clone().unwrap_or_default(),
        }
    }
}

fn is_paused(metadata: &ObjectMeta) -> bool {
    let annotations = metadata.annotations.as_ref();
    pauses(annotations.and_then(|annotations| annotations.get(labels::PAUSE_RESTARTS)))
}

/// Whether the annotation that pauses restarts does: with any value but `false`, for whoever sets it is in doubt about
/// something.
pub(crate) fn pauses(annotation: Option<&String>) -> bool {
    annotation.is_some_and(|value| value != "false")
}

/// Asks for the namespaces for ever. One that does not answer stays as it was: a pause is not over because it could not
/// be read.
pub(crate) async fn ask_for_namespaces(
    api: Api<Namespace>,
    names: Vec<String>,
    told: watch::Sender<Option<BTreeSet<String>>>,
    changed: Arc<Notify>,
) {
    let mut known: BTreeMap<&str, bool> = BTreeMap::new();
    let mut failing = false;
    loop {
        let mut failure = None;
        for name in &names {
            match deadline(api.get_metadata_opt(name)).await {
                // A namespace that is not there yet pauses nobody.
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
                "namespace cannot be read; whether its restarts are paused stays as it was"
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
            if told.send_if_modified(|before| std::mem::replace(before, paused.clone()) != paused) {
                changed.notify_one();
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}
