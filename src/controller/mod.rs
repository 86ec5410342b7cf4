//! Discovery, rollout and the StellarNode controller.
//!
//! Two loops run beside each other and neither blocks the other: [`discovery`], for all validators at once, and
//! `reconciler`, for one StellarNode at a time. In both, data flows one way: *observe* → *decide* (pure, without a
//! client) → *apply* → *report*.
//!
//! | room | what it is for |
//! |---|---|
//! | [`discovery`] | the loop: what one cycle decides, and how it is carried out |
//! | `reconciler`, [`node`] | one StellarNode → its objects: a validator's, and those of Horizon and Stellar RPC |
//! | [`peer_discovery`] | single questions to peer discovery, for other programs |
//! | [`status`] | conditions, status and Events: what a StellarNode is told |
//! | [`rollout`] | who needs a restart, and who may go down now. Pure |
//! | [`peering`] | who belongs together, and what their list says. Pure |
//! | [`apply`] | writes that any part makes, each with a deadline and a precondition |
//! | [`observe`] | the reflector caches, and how objects become a snapshot |
//! | [`exclusivity`] | which one of those with the same seed or database runs |
//! | [`resources`] | what a StellarNode owns, built from its spec. Pure |
//! | [`model`] | the data that decisions are made from |
//!
//! A room uses only rooms below it in this table.

pub mod apply;
pub mod discovery;
pub mod exclusivity;
pub mod model;
pub mod node;
pub mod observe;
pub mod peer_discovery;
pub mod peering;
pub(crate) mod reconciler;
pub mod resources;
pub mod rollout;
#[cfg(test)]
mod samples;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt as _, future};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Controller;
use kube::runtime::reflector::{ObjectRef, store};
use kube::runtime::watcher::{self, Config, watcher};
use kube::runtime::{Predicate as _, WatchStreamExt as _, predicates};
use kube::{Client, ResourceExt as _};
use tokio::task::JoinSet;

pub use discovery::Discovery;
pub use model::options::{AddressMode, Options, RestartMode};
pub use model::scope::{Scope, ScopePart};
pub use observe::caches::Caches;
pub use peer_discovery::{
    PeerDiscoveryResult, discover_peers, ensure_peers_config_map, get_peer_address, trigger_rolling_update, watch_peers,
};
pub use resources::BuildSettings;

use crate::crd::GuardedNode;
use crate::kubernetes::api;
use crate::labels;
use crate::metrics::Metrics;
use apply::{StatusPatcher, recorder};
use exclusivity::Claims;
use node::apply::Writer;
use node::decide::Settings;
use node::read::Reader;
use status::cache::StatusCache;
use status::events::Events;

/// Image of the init container and the sidecar, unless another is named.
pub const DEFAULT_OPERATOR_IMAGE: &str = concat!("stellar-operator:", env!("CARGO_PKG_VERSION"));

/// Configuration of discovery and the StellarNode controller.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// The watched namespaces, those of the caches.
    pub scope: Scope,
    /// The operator's own namespace, which has the Leases of the slots.
    pub own_namespace: String,
    /// Times, limits and modes.
    pub options: Options,
    /// Settings of the operator that the builders use.
    pub settings: BuildSettings,
    /// Counts what discovery does.
    pub metrics: Arc<Metrics>,
}

/// Runs discovery and the StellarNode controller. Returns only after one of them panicked; the caller then restarts
/// both. The caches are complete: every replica fills them, because its webhook reads them.
pub async fn run_controller(client: Client, config: ControllerConfig, caches: Arc<Caches>) {
    let discovery = Discovery::new(client.clone(), Arc::clone(&caches), config.clone());
    // A task of its own, so that neither of the two blocks the other.
    let discovery = task(discovery.run());
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

/// The volume claims of all nodes, as they come, change and go.
fn volume_claims(
    part: &ScopePart,
    client: &Client,
    owned: Config,
) -> impl Stream<Item = watcher::Result<PartialObjectMeta<PersistentVolumeClaim>>> + Send + use<> {
    watcher(part.api(client), owned).default_backoff().touched_objects()
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
    // Our own status writes wake nobody: they change neither generation nor annotations.
    let changes = watcher(part.api::<GuardedNode>(client), all)
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        .predicate_filter(
            predicates::generation.combine(predicates::annotations),
            Default::default(),
        );
    // Metadata alone is watched of all of these.
    let controller = Controller::for_stream(changes, reader)
        .owns(part.api::<StatefulSet>(client), owned.clone())
        .owns(part.api::<Deployment>(client), owned.clone())
        .owns(part.api::<Service>(client), owned.clone())
        .owns(part.api::<ConfigMap>(client), owned.clone())
        .owns(part.api::<PodDisruptionBudget>(client), owned.clone())
        .watches_stream(volume_claims(part, client, owned), |claim| node_of(&claim));
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
