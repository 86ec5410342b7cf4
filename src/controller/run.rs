//! Starts discovery and the StellarNode controller: the watches that trigger a reconcile, and the clients of each part.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, future};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Controller;
use kube::runtime::reflector::{ObjectRef, store};
use kube::runtime::watcher::{Config, watcher};
use kube::runtime::{Predicate as _, WatchStreamExt as _, predicates};
use kube::{Client, ResourceExt as _};
use tokio::task::JoinSet;

use super::apply::{StatusPatcher, recorder};
use super::discovery::{self, Executor};
use super::exclusivity::Claims;
use super::model::scope::ScopePart;
use super::node::apply::Writer;
use super::node::decide::Settings;
use super::node::read::Reader;
use super::observe::api_of;
use super::observe::caches::Caches;
use super::resources::BuildSettings;
use super::status::cache::StatusCache;
use super::status::events::Events;
use super::{ControllerConfig, reconciler};
use crate::crd::GuardedNode;
use crate::kubernetes::api;
use crate::labels;

/// Runs discovery and the StellarNode controller. Returns only after one of them panicked; the caller then restarts
/// both. The caches are complete: every replica fills them, because its webhook reads them.
pub async fn run_controller(client: Client, config: ControllerConfig, caches: Arc<Caches>) {
    let executor = Executor::new(client.clone(), Arc::clone(&caches), config.clone());
    // A task of its own, so that neither of the two blocks the other.
    let discovery = task(discovery::run(executor));
    let ControllerConfig {
        scope,
        options,
        settings,
        ..
    } = config;
    let parts = scope.parts();
    let nodes = async {
        if options.no_node_controller {
            tracing::info!("StellarNodes are left to another operator");
            future::pending::<()>().await;
        } else {
            let all = parts
                .iter()
                .map(|part| reconcile_nodes(&client, part, &caches, &settings, options.look_again));
            all.collect::<FuturesUnordered<_>>().next().await;
        }
    };
    first_to_end(nodes, discovery).await;
}

/// A task of its own, which ends with what it is in.
fn task(work: impl Future<Output = ()> + Send + 'static) -> JoinSet<()> {
    let mut alone = JoinSet::new();
    alone.spawn(work);
    alone
}

/// Waits until one of the two ends, and ends the other.
async fn first_to_end(nodes: impl Future<Output = ()>, mut discovery: JoinSet<()>) {
    tokio::select! {
        () = nodes => tracing::error!("the StellarNode controller ended"),
        ended = discovery.join_next() => tracing::error!(?ended, "discovery ended"),
    }
}

/// The node that an object belongs to by its label: a claim that is retained has no owner.
fn node_of(object: &PartialObjectMeta<PersistentVolumeClaim>) -> Option<ObjectRef<GuardedNode>> {
    let node = object.labels().get(labels::INSTANCE)?;
    Some(ObjectRef::new(node).within(&object.namespace()?))
}

/// The StellarNode controller of the whole cluster, or of one namespace.
async fn reconcile_nodes(
    client: &Client,
    part: &ScopePart,
    caches: &Arc<Caches>,
    settings: &BuildSettings,
    look_again: Duration,
) {
    // A watch of its own beside that of the caches: the caches exist on every replica and trim what they keep, and a
    // reconcile needs each StellarNode whole, on the leader only.
    let (reader, writer) = store();
    let (events, reporting) = Events::new(recorder(client.clone()), Arc::clone(caches));
    let _reporting = task(reporting.run());
    let context = Arc::new(reconciler::Context {
        build: settings.clone(),
        settings: Settings {
            operator_image: settings.operator_image.clone(),
            look_again,
        },
        reader: Reader::new(client.clone(), reader.clone()),
        writer: Writer::new(client.clone(), events.clone()),
        patcher: StatusPatcher::new(client.clone()),
        events,
        claims: Claims::default(),
        statuses: StatusCache::default(),
    });
    let all = Config::default().page_size(api::PART);
    let owned = all.clone().labels(labels::OURS);
    // Our own status writes trigger no reconcile: they change neither generation nor annotations.
    let changes = watcher(api_of::<GuardedNode>(part, client), all)
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        .predicate_filter(
            predicates::generation.combine(predicates::annotations),
            Default::default(),
        );
    let claims = watcher(
        api_of::<PartialObjectMeta<PersistentVolumeClaim>>(part, client),
        owned.clone(),
    );
    let claims = claims.default_backoff().touched_objects();
    // Metadata alone is watched of all of these.
    let controller = Controller::for_stream(changes, reader)
        .owns(api_of::<StatefulSet>(part, client), owned.clone())
        .owns(api_of::<Deployment>(part, client), owned.clone())
        .owns(api_of::<Service>(part, client), owned.clone())
        .owns(api_of::<ConfigMap>(part, client), owned.clone())
        .owns(api_of::<PodDisruptionBudget>(part, client), owned)
        .watches_stream(claims, |claim| node_of(&claim));
    controller
        .run(reconciler::reconcile, reconciler::on_error, context)
        .for_each(|result| {
            if let Err(error) = result {
                tracing::debug!(%error, "a reconcile did not end well");
            }
            future::ready(())
        })
        .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_work_ends_with_discovery() {
        let ended = task(async { panic!("a defect outside of a cycle") });
        let work = first_to_end(std::future::pending(), ended);
        let soon = Duration::from_secs(60);
        assert!(tokio::time::timeout(soon, work).await.is_ok());
    }
}
