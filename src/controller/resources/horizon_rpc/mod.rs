//! What a StellarNode that serves an API owns: a Deployment, a Service, and what these need.
//!
//! Pure, as all builders. What the two kinds of server have in common is here and in `deployment`; what each alone is
//! told is in `horizon` and `rpc`. The database's URL is only ever a reference to a Secret.

mod deployment;
mod horizon;
mod rpc;

pub(super) use horizon::IMAGE as HORIZON_IMAGE;
use kube::{Resource as _, ResourceExt as _};
pub(super) use rpc::IMAGE as RPC_IMAGE;
use serde_json::{Value, json};

use super::{BuildError, claim, owned_metadata, selector};
use crate::crd::{
    HorizonConfig, Network, NodeType, SorobanConfig, StellarNode, StellarNodeSpec, StorageConfig, StorageMode,
};
use crate::{core_config, labels};

/// Where the volume is mounted; also the working directory.
const DATA_DIR: &str = "/data";
/// Where the ConfigMap `{name}-config` is mounted.
const CONFIG_DIR: &str = "/etc/stellar";
/// Where both images have stellar-core (stellar/go `services/horizon/docker/Dockerfile`, stellar-rpc
/// `cmd/stellar-rpc/docker/Dockerfile`).
const CORE_BINARY: &str = "/usr/bin/stellar-core";

/// The objects of one Horizon or SorobanRpc, for server-side apply.
#[derive(Clone, Debug)]
pub struct HorizonRpcObjects {
    /// ConfigMap `{name}-config` with the captive core's config; none where there is no captive core.
    pub config_map: Option<Value>,
    /// The volume claim of a SorobanRpc that has storage.
    pub claim: Option<Value>,
    /// The Service.
    pub service: Value,
    /// The Deployment, whole: for a new one, and where the spec changed.
    pub deployment: Value,
    /// Of the Deployment what is put right at any time: whom it belongs to, and its replicas.
    pub deployment_kept: Value,
    /// The PodDisruptionBudget, where the spec asks for one.
    pub disruption_budget: Option<Value>,
    /// Number of pods that it is to have.
    pub replicas: i32,
    /// Where it serves.
    pub endpoint: String,
}

/// What the builders know of one server.
struct Server<'a> {
    name: String,
    namespace: String,
    owner: Value,
    spec: &'a StellarNodeSpec,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Horizon(&'a HorizonConfig),
    SorobanRpc(&'a SorobanConfig),
}

/// Builds the objects of a Horizon or a SorobanRpc.
///
/// # Errors
/// When its spec is not one that the webhook lets pass, or its captive core could not start.
pub fn build(node: &StellarNode) -> Result<HorizonRpcObjects, BuildError> {
    super::check(node)?;
    let server = Server::of(node)?;
    let config_map = server
        .kind
        .captive_core(&node.spec)?
        .map(|text| server.config_map(&text));
    Ok(HorizonRpcObjects {
        config_map,
        claim: server
            .claimed()
            .map(|storage| claim::build(server.metadata(&labels::claim_name(&server.name)), storage)),
        service: server.service(),
        deployment: deployment::build(&server)?,
        deployment_kept: deployment::kept(&server),
        disruption_budget: server.disruption_budget(),
        replicas: server.replicas(),
        endpoint: endpoint(&server.name, &server.namespace),
    })
}

/// Where a node serves, inside the cluster.
pub fn endpoint(name: &str, namespace: &str) -> String {
    format!("http://{name}.{namespace}.svc:{}", labels::API_PORT)
}

/// The part of the Deployment that is put right at any time – labels, owner, replicas, not the pod template –, even
/// where nothing else can be built from the spec.
///
/// # Errors
/// When the object does not come from an API server.
pub fn kept(node: &StellarNode) -> Result<Value, BuildError> {
    Ok(deployment::kept(&Server::of(node)?))
}

/// What the webhook cannot refuse and yet keeps a server from starting.
///
/// # Errors
/// When a network that has no defaults is not told whom to trust, or where history is.
pub(super) fn check(spec: &StellarNodeSpec) -> Result<(), BuildError> {
    let kind = Kind::of(spec)?;
    kind.captive_core(spec)?;
    kind.archives(spec)?;
    Ok(())
}

impl<'a> Kind<'a> {
    fn of(spec: &'a StellarNodeSpec) -> Result<Self, BuildError> {
        match spec.node_type {
            NodeType::Horizon => spec.horizon_config.as_ref().map(Self::Horizon),
            NodeType::SorobanRpc => spec.soroban_config.as_ref().map(Self::SorobanRpc),
            NodeType::Validator => None,
        }
        .ok_or(BuildError::NoServerConfig)
    }

    fn component(&self) -> &'static str {
        match self {
            Self::Horizon(_) => labels::HORIZON,
            Self::SorobanRpc(_) => labels::SOROBAN_RPC,
        }
    }

    /// Whether there is a stellar-core in the pod.
    fn has_captive_core(&self) -> bool {
        match self {
            Self::Horizon(config) => config.enable_ingest,
            Self::SorobanRpc(_) => true,
        }
    }

    /// The config of the captive core, where there is one.
    fn captive_core(&self, spec: &StellarNodeSpec) -> Result<Option<String>, BuildError> {
        let text = match self {
            Self::Horizon(config) => &config.captive_core_config,
            Self::SorobanRpc(config) => &config.captive_core_config,
        };
        if !self.has_captive_core() {
            return Ok(None);
        }
        let text = core_config::captive_core_config(text.as_deref(), &Network::parse(&spec.network))?;
        Ok(Some(text))
    }

    /// The history archives, as both programs take them.
    fn archives(&self, spec: &StellarNodeSpec) -> Result<String, BuildError> {
        let given = match self {
            Self::Horizon(config) => &config.history_archive_urls,
            Self::SorobanRpc(config) => &config.history_archive_urls,
        };
        if !given.is_empty() {
            return Ok(given.join(","));
        }
        let network = Network::parse(&spec.network);
        match core_config::history_archives(&network) {
            [] => Err(BuildError::NoArchives(network.display_name())),
            archives => Ok(archives.join(",")),
        }
    }
}

impl<'a> Server<'a> {
    fn of(node: &'a StellarNode) -> Result<Self, BuildError> {
        Ok(Self {
            name: node.name_any(),
            namespace: node.namespace().ok_or(BuildError::NoMetadata("namespace"))?,
            owner: json!(node.controller_owner_ref(&()).ok_or(BuildError::NoMetadata("uid"))?),
            spec: &node.spec,
            kind: Kind::of(&node.spec)?,
        })
    }
}

impl Server<'_> {
    fn metadata(&self, name: &str) -> Value {
        owned_metadata(name, &self.namespace, &self.name, self.kind.component(), &self.owner)
    }

    fn replicas(&self) -> i32 {
        if self.spec.suspended { 0 } else { self.spec.replicas }
    }

    /// The storage that is a volume.
    fn storage(&self) -> Option<&StorageConfig> {
        let storage = self.spec.storage.as_ref();
        storage.filter(|storage| storage.mode() == StorageMode::PersistentVolume)
    }

    /// The storage that has a claim of its own. Horizon keeps nothing that it could not fetch again, so its pods have
    /// each a volume that goes with them, however many there are.
    fn claimed(&self) -> Option<&StorageConfig> {
        match self.kind {
            Kind::Horizon(_) => None,
            Kind::SorobanRpc(_) => self.storage(),
        }
    }

    fn config_map(&self, captive_core: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self.metadata(&labels::config_map_name(&self.name)),
            "data": { labels::CAPTIVE_CORE_KEY: captive_core },
        })
    }

    fn service(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.metadata(&self.name),
            "spec": {
                "selector": selector(&self.name),
                // The admin port is not for others: it has no authentication.
                "ports": [{
                    "name": labels::API_PORT_NAME,
                    "port": labels::API_PORT,
                    "targetPort": labels::API_PORT_NAME,
                    "protocol": "TCP",
                }],
            },
        })
    }

    fn disruption_budget(&self) -> Option<Value> {
        let (field, amount) = match (&self.spec.min_available, &self.spec.max_unavailable) {
            (Some(least), _) => ("minAvailable", least),
            (None, Some(most)) => ("maxUnavailable", most),
            (None, None) => return None,
        };
        let mut budget = json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": self.metadata(&self.name),
            "spec": {
                "selector": { "matchLabels": selector(&self.name) },
                // A pod that serves nobody must not hold up the draining of its machine.
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        });
        budget["spec"][field] = json!(amount);
        Some(budget)
    }

    /// The environment that both programs know by the same names.
    fn common_env(&self) -> Result<Vec<Value>, BuildError> {
        let network = Network::parse(&self.spec.network);
        let mut env = vec![
            env("NETWORK_PASSPHRASE", network.passphrase()),
            env("HISTORY_ARCHIVE_URLS", &self.kind.archives(self.spec)?),
        ];
        // A Horizon that does not ingest ends when it is told of a captive core (`services/horizon/internal/flags.go`).
        if self.kind.has_captive_core() {
            let config = format!("{CONFIG_DIR}/{}", labels::CAPTIVE_CORE_KEY);
            env.extend([
                self::env("CAPTIVE_CORE_CONFIG_PATH", &config),
                self::env("CAPTIVE_CORE_STORAGE_PATH", DATA_DIR),
                self::env("STELLAR_CORE_BINARY_PATH", CORE_BINARY),
            ]);
        }
        Ok(env)
    }
}

/// One variable of an environment.
fn env(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

#[cfg(test)]
mod horizon_rpc_tests;
