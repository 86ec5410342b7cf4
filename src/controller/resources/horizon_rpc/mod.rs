//! The objects of a StellarNode that serves an API: a Deployment, a Service, and their dependencies.
//!
//! Pure, like all builders. This file and `deployment` hold the common part of both kinds of server; `horizon` and
//! `rpc` hold the environment of each. The database's URL stays in its Secret; the objects only refer to it.

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

/// Mount path of the volume, and the working directory.
const DATA_DIR: &str = "/data";
/// Mount path of the ConfigMap `{name}-config`.
const CONFIG_DIR: &str = "/etc/stellar";
/// Path of stellar-core in both images (stellar/go `services/horizon/docker/Dockerfile`, stellar-rpc
/// `cmd/stellar-rpc/docker/Dockerfile`).
const CORE_BINARY: &str = "/usr/bin/stellar-core";

/// The objects of one Horizon or SorobanRpc, for server-side apply.
#[derive(Clone, Debug)]
pub struct HorizonRpcObjects {
    /// ConfigMap `{name}-config` with the captive core's config; `None` without a captive core.
    pub config_map: Option<Value>,
    /// The volume claim of a SorobanRpc with storage.
    pub claim: Option<Value>,
    pub service: Value,
    /// The complete Deployment, for a new one and after a change of the spec.
    pub deployment: Value,
    /// The fields of the Deployment that are repaired at any time: labels, owner and replicas.
    pub deployment_kept: Value,
    /// The PodDisruptionBudget, if the spec asks for one.
    pub disruption_budget: Option<Value>,
    pub replicas: i32,
    /// The URL at which it serves.
    pub endpoint: String,
}

/// The input of the builders for one server.
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

/// Builds the objects of a Horizon or a SorobanRpc. Fails when the webhook would refuse its spec, or its captive core
/// could not start.
pub fn build(node: &StellarNode) -> Result<HorizonRpcObjects, BuildError> {
    super::check(node)?;
    let server = Server::new(node)?;
    let config_map = server
        .kind
        .captive_core(&node.spec)?
        .map(|text| server.config_map(&text));
    Ok(HorizonRpcObjects {
        config_map,
        claim: server
            .storage_with_claim()
            .map(|storage| claim::build(server.metadata(&labels::claim_name(&server.name)), storage)),
        service: server.service(),
        deployment: deployment::build(&server)?,
        deployment_kept: deployment::kept(&server),
        disruption_budget: server.disruption_budget(),
        replicas: server.replicas(),
        endpoint: endpoint(&server.name, &server.namespace),
    })
}

/// The URL at which a node serves inside the cluster.
pub fn endpoint(name: &str, namespace: &str) -> String {
    format!("http://{name}.{namespace}.svc:{}", labels::API_PORT)
}

/// The fields of the Deployment that are repaired at any time – labels, owner and replicas, not the pod template –,
/// even where the rest cannot be built from the spec. Fails when the object does not come from an API server.
pub fn kept(node: &StellarNode) -> Result<Value, BuildError> {
    Ok(deployment::kept(&Server::new(node)?))
}

/// Checks for problems that the webhook cannot refuse and that keep a server from starting. Fails when a network
/// without defaults lacks its trusted validators or its archives.
pub(super) fn check(spec: &StellarNodeSpec) -> Result<(), BuildError> {
    let kind = Kind::new(spec)?;
    kind.captive_core(spec)?;
    kind.archives(spec)?;
    Ok(())
}

impl<'a> Kind<'a> {
    fn new(spec: &'a StellarNodeSpec) -> Result<Self, BuildError> {
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

    /// Whether the pod runs a stellar-core.
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
    fn new(node: &'a StellarNode) -> Result<Self, BuildError> {
        Ok(Self {
            name: node.name_any(),
            namespace: node.namespace().ok_or(BuildError::NoMetadata("namespace"))?,
            owner: json!(node.controller_owner_ref(&()).ok_or(BuildError::NoMetadata("uid"))?),
            spec: &node.spec,
            kind: Kind::new(&node.spec)?,
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

    /// The storage, if it is a volume.
    fn storage(&self) -> Option<&StorageConfig> {
        let storage = self.spec.storage.as_ref();
        storage.filter(|storage| storage.mode() == StorageMode::PersistentVolume)
    }

    /// The storage, if it has a claim. Horizon can fetch all of its data again, so each of its pods has an ephemeral
    /// volume.
    fn storage_with_claim(&self) -> Option<&StorageConfig> {
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
                // The admin port stays private: it has no authentication.
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
                // A pod that is not ready must not block the drain of its Kubernetes node.
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        });
        budget["spec"][field] = json!(amount);
        Some(budget)
    }

    /// The environment variables that both programs share.
    fn common_env(&self) -> Result<Vec<Value>, BuildError> {
        let network = Network::parse(&self.spec.network);
        let mut env = vec![
            env("NETWORK_PASSPHRASE", network.passphrase()),
            env("HISTORY_ARCHIVE_URLS", &self.kind.archives(self.spec)?),
        ];
        // A Horizon that does not ingest exits if a captive core is configured (`services/horizon/internal/flags.go`).
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

fn env(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

#[cfg(test)]
mod horizon_rpc_tests;
