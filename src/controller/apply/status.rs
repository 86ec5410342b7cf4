//! The status of a StellarNode, in parts by their managers, and its Events. It also writes the status of a StellarNode
//! that cannot be parsed.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Patch;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::ApplyError;
use crate::crd::{GuardedNode, StellarNode};
use crate::kubernetes::api::{deadline, server_side};
use crate::labels;

#[derive(Clone)]
pub struct StatusPatcher(Client);

impl fmt::Debug for StatusPatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatusPatcher")
    }
}

impl StatusPatcher {
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// Writes the part of the StellarNode controller. Returns the node as it is now, if it can be parsed.
    pub async fn controllers_part(&self, node: &ObjectMeta, part: &Value) -> Result<Option<StellarNode>, ApplyError> {
        self.patch(node, labels::MANAGER_NODE_STATUS, part).await
    }

    /// Writes the part of peer discovery. Returns the node as it is now, if it can be parsed.
    pub async fn discoverys_part(&self, node: &ObjectMeta, part: &Value) -> Result<Option<StellarNode>, ApplyError> {
        self.patch(node, labels::MANAGER_PEERS_STATUS, part).await
    }

    async fn patch(&self, node: &ObjectMeta, manager: &str, part: &Value) -> Result<Option<StellarNode>, ApplyError> {
        let name = node.name.as_deref().unwrap_or_default();
        let namespace = node.namespace.as_deref().unwrap_or_default();
        // The answer may be an object that cannot be parsed.
        let api: Api<GuardedNode> = Api::namespaced(self.0.clone(), namespace);
        let body = json!({
            "apiVersion": labels::API_VERSION,
            "kind": labels::KIND,
            "metadata": { "name": name, "uid": node.uid },
            "status": part,
        });
        let answer = deadline(api.patch_status(name, &server_side(manager), &Patch::Apply(&body))).await?;
        Ok(answer.0.ok())
    }
}

/// Reports Events under the name of this program.
pub fn recorder(client: Client) -> Recorder {
    let reporter = Reporter {
        controller: labels::REPORTER.to_owned(),
        instance: None,
    };
    Recorder::new(client, reporter)
}
