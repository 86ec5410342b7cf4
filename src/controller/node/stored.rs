//! What the API server holds of one StellarNode. Plain data: `read` fills it, [`decide`](super::decide)
//! decides from it.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::Value;

use crate::controller::exclusivity::Contest;

/// The objects that belong to one StellarNode by their names. `None` is an object that does not exist, or that no
/// decision about this node needs.
#[derive(Debug, Default)]
pub struct Stored {
    pub claim: Option<PersistentVolumeClaim>,
    /// The StatefulSet of a validator.
    pub stateful_set: Option<StatefulSet>,
    /// The Deployment of a Horizon or SorobanRpc.
    pub deployment: Option<Deployment>,
    pub service: Option<Service>,
    /// Its config, `{name}-config`.
    pub config_map: Option<ConfigMap>,
    /// The PodDisruptionBudget of a Horizon or SorobanRpc.
    pub disruption_budget: Option<PodDisruptionBudget>,
    /// The pod of a validator whose StatefulSet was deleted.
    pub orphan: Option<Orphan>,
    /// Which others have the seed and the database that it would take into use.
    pub contest: Contest,
}

/// A pod that still runs although its StatefulSet was deleted.
#[derive(Clone, Debug, PartialEq)]
pub enum Orphan {
    /// The template that the pod was made from.
    Template(Value),
    /// The ControllerRevision that the pod names does not exist or holds no template.
    Unknown,
}
