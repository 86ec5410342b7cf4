//! Discovery, rollout and the StellarNode controller.
//!
//! Two loops run independently, and neither blocks the other: [`discovery`], for all validators at once, and
//! `reconciler`, for one StellarNode at a time. In both, data flows one way: *observe* → *decide* (pure, without a
//! client) → *apply* → *report*.
//!
//! `run` starts both.
//!
//! | room | what it is for |
//! |---|---|
//! | [`discovery`] | the loop: what one cycle decides, and how it is carried out |
//! | `reconciler`, [`node`] | one StellarNode → its objects: a validator's, and those of Horizon and Stellar RPC |
//! | [`peer_discovery`] | single questions to peer discovery, for other programs |
//! | [`status`] | conditions, status and Events of a StellarNode |
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
mod run;
#[cfg(test)]
mod samples;
pub mod status;

use std::sync::Arc;

pub use discovery::Executor;
pub use model::options::{AddressMode, Options, RestartMode};
pub use model::scope::{Scope, ScopePart};
pub use observe::caches::Caches;
pub use peer_discovery::{
    PeerDiscoveryResult, discover_peers, ensure_peers_config_map, get_peer_address, trigger_rolling_update, watch_peers,
};
pub use resources::BuildSettings;
pub use run::run_controller;

use crate::metrics::Metrics;

/// Image of the init container and the sidecar, unless another is named.
pub const DEFAULT_OPERATOR_IMAGE: &str = concat!("stellar-operator:", env!("CARGO_PKG_VERSION"));

/// Configuration of discovery and the StellarNode controller.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// The watched namespaces, those of the caches.
    pub scope: Scope,
    /// The operator's own namespace, which has the Leases of the slots.
    pub own_namespace: String,
    pub options: Options,
    pub settings: BuildSettings,
    pub metrics: Arc<Metrics>,
}
