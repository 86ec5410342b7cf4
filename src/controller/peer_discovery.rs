//! Single steps of peer discovery for other programs, under the names of the original guide.
//!
//! Each reads one namespace and calls the pure decisions. The loop is in `discovery`.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::{Api, Client};

use super::apply::ApplyError;
use super::discovery::decide::decide;
use super::discovery::{self, Executor, apply};
use super::model::options::Options;
use super::model::scope::Scope;
use super::model::snapshot::{Cause, Snapshot, Validator};
use super::observe::assemble::Objects;
use super::observe::caches::Caches;
use super::peering::groups;
use super::peering::lists::{ListAction, known_peers};
use super::resources::BuildSettings;
use super::rollout::plan::Step;
use super::{ControllerConfig, DEFAULT_OPERATOR_IMAGE};
use crate::crd::GuardedNode;
use crate::kubernetes::api::{ApiError, deadline};
use crate::labels;
use crate::util::clock;

/// The members found in one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerDiscoveryResult {
    /// The addresses of all members, sorted: `IP:PORT`.
    pub peers: Vec<String>,
    /// Number of members.
    pub active_validator_count: usize,
    /// Whether the ConfigMap holds another list, or none.
    pub changed: bool,
}

impl PeerDiscoveryResult {
    /// The list as a value for stellar-core's config.
    pub fn to_stellar_config(&self) -> String {
        known_peers(&self.peers)
    }
}

/// The address at which other validators reach this one. `None` while it has no running pod with an IPv4 address.
pub fn get_peer_address(validator: &Validator) -> Option<String> {
    Some(validator.pod.as_ref()?.address(validator.spec_port)?.0)
}

/// Finds the validators of a namespace whose list is the ConfigMap `stellar-peers`, without the one named `exclude`.
///
/// # Errors
/// When the API server does not answer. An empty result means that no validator exists.
pub async fn discover_peers(
    client: &Client,
    namespace: &str,
    exclude: Option<&str>,
) -> Result<PeerDiscoveryResult, ApiError> {
    let snapshot = read(client, namespace).await?;
    let groups = groups::form(&snapshot, &Options::default());
    let mut groups = groups.iter();
    let Some(group) = groups.find(|group| group.id.name == labels::DEFAULT_PEERS_CONFIG_MAP) else {
        return Ok(PeerDiscoveryResult::default());
    };
    let members = group.list.members.iter();
    let members = members.filter(|member| Some(member.node.name.as_str()) != exclude);
    let mut peers: Vec<String> = members.clone().filter_map(|member| member.address.clone()).collect();
    peers.sort();
    Ok(PeerDiscoveryResult {
        peers,
        active_validator_count: members.count(),
        changed: matches!(group.action, ListAction::Write { .. }),
    })
}

/// Writes the ConfigMap `stellar-peers` if it does not hold what was found. Returns whether it was written.
///
/// `result` only decides whether to write. The data is read again, so an old result never overwrites a newer list.
///
/// # Errors
/// When the API server does not answer or refuses.
pub async fn ensure_peers_config_map(
    client: &Client,
    namespace: &str,
    result: &PeerDiscoveryResult,
) -> Result<bool, ApplyError> {
    if !result.changed {
        return Ok(false);
    }
    let snapshot = read(client, namespace).await?;
    let plan = decide(&snapshot, &Options::default());
    let Some(write) = plan
        .lists
        .iter()
        .find(|write| write.id.name == labels::DEFAULT_PEERS_CONFIG_MAP)
    else {
        return Ok(false);
    };
    apply::list(client, write, snapshot.lists.get(&write.id)).await?;
    Ok(true)
}

/// Restarts the validators of a namespace that hold a slot: at most one, and only if its peers changed and the others
/// can spare it. Returns their names.
///
/// It gives no slot for a changed spec, because only an operator that builds the pods can use it. Its slots are in
/// Leases in `namespace`. Never run it together with an operator in another namespace: the operator has its slots
/// there, and each of the two would take a validator down.
///
/// # Errors
/// When the API server does not answer or refuses.
pub async fn trigger_rolling_update(client: &Client, namespace: &str) -> Result<Vec<String>, ApplyError> {
    let options = Options {
        no_node_controller: true,
        ..Options::default()
    };
    let snapshot = read(client, namespace).await?;
    for (network, slots) in decide(&snapshot, &options).slots {
        if let Some(write) = slots.write {
            apply::slots(client, namespace, &network, snapshot.slots.get(&network), &write).await?;
        }
    }
    let snapshot = read(client, namespace).await?;
    let plan = decide(&snapshot, &options);
    let mut restarted = Vec::new();
    for step in plan.slots.values().flat_map(|slots| &slots.steps) {
        match step {
            Step::Restart(slot) => {
                apply::restart(client, &snapshot, &plan, slot).await?;
                restarted.push(slot.node.name.clone());
            }
            Step::DeletePod {
                node,
                name,
                uid,
                resource_version,
            } => apply::delete_pod(client, &node.namespace, name, uid, resource_version).await?,
            // This slot belongs to an operator.
            Step::GiveBack(slot) if slot.cause == Cause::SpecChanged => {}
            Step::GiveBack(slot) => apply::give_back(client, &snapshot, slot).await?,
            Step::ApplyTemplate(_) => {}
        }
    }
    Ok(restarted)
}

/// Reads one namespace from the API server, with seven lists.
async fn read(client: &Client, namespace: &str) -> Result<Snapshot, ApiError> {
    let all = ListParams::default();
    let of_nodes = ListParams::default().labels(labels::INSTANCE);
    let ours = ListParams::default().labels(labels::LISTS_AND_SLOTS);
    let of_groups = ListParams::default().labels(labels::BUDGETS);
    let nodes: Api<GuardedNode> = Api::namespaced(client.clone(), namespace);
    let stateful_sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), namespace);
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let objects = Objects {
        nodes: shared(deadline(nodes.list(&all)).await?),
        stateful_sets: shared(deadline(stateful_sets.list(&of_nodes)).await?),
        pods: shared(deadline(pods.list(&of_nodes)).await?),
        lists: shared(deadline(config_maps.list(&ours)).await?),
        foreign: shared(deadline(config_maps.list_metadata(&all)).await?),
        budgets: shared(deadline(budgets.list(&of_groups)).await?),
        leases: shared(deadline(leases.list(&ours)).await?),
        ..Objects::default()
    };
    Ok(objects.snapshot(clock::now()))
}

fn shared<K: Clone>(list: kube::api::ObjectList<K>) -> Vec<Arc<K>> {
    list.items.into_iter().map(Arc::new).collect()
}

/// Runs discovery of one namespace with the default options. Returns only after a defect.
pub async fn watch_peers(client: Client, namespace: String) {
    let options = Options::default();
    let config = ControllerConfig {
        scope: Scope::Namespaces([namespace.clone()].into()),
        own_namespace: namespace,
        settings: BuildSettings {
            operator_image: DEFAULT_OPERATOR_IMAGE.to_owned(),
            cluster_domain: options.cluster_domain.clone(),
        },
        options,
        metrics: Arc::default(),
    };
    let caches = Arc::new(Caches::start(&client, &config.scope, &config.own_namespace));
    let executor = Executor::new(client, Arc::clone(&caches), config);
    tokio::select! {
        () = discovery::run(executor) => {}
        () = caches.broken() => {}
    }
}
