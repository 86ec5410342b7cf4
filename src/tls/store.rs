//! The certificate Secret, in the operator's namespace. Several replicas that start at once create it only once.
//!
//! The store uses only GET and PATCH. RBAC for a single Secret cannot allow a `create` by POST, whose path has no name,
//! so the store creates by server-side apply. Each keeper applies without force and under its own field manager, so the
//! second of two concurrent creations gets a conflict. Later writes carry the resourceVersion that was read. The
//! rights, for this one name, are `get`, `patch`, and `create`, which the API server checks when an apply creates.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::material::{Material, MaterialError};
use crate::kubernetes::api::{ApiError, deadline, merge};
use crate::labels;
use crate::util::{clock, digest};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("Secret {name}")]
    Api {
        name: String,
        #[source]
        source: ApiError,
    },
    /// The Secret belongs to another program (rule R7).
    #[error(
        "Secret {name} exists and is not ours (it has no label {}={}): delete it, or give another name with \
         --certificate-secret and in the operator's Role",
        labels::MANAGED_BY,
        labels::OPERATOR
    )]
    NotOurs { name: String },
    /// Another writer was first; read again.
    #[error("Secret {name} was written by another replica")]
    Conflict { name: String },
}

#[derive(Debug)]
pub struct Stored {
    /// resourceVersion for the precondition of the next write; `None` if the Secret does not exist.
    version: Option<String>,
    /// The content, if there is any; an error if it is invalid.
    pub material: Result<Option<Material>, MaterialError>,
}

#[derive(Debug)]
pub struct Store {
    api: Api<Secret>,
    name: String,
    /// Field manager for creation, unique for each replica, process and keeper. An apply by the same manager would
    /// replace the first one's content instead of causing a conflict.
    manager: String,
}

impl Clone for Store {
    fn clone(&self) -> Self {
        Self {
            api: self.api.clone(),
            name: self.name.clone(),
            manager: new_manager(),
        }
    }
}

fn new_manager() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let keeper = COUNT.fetch_add(1, Ordering::Relaxed);
    let process = format!("{} {}", std::process::id(), clock::now());
    let host = std::env::var("HOSTNAME").unwrap_or_default();
    let id = digest::short_hex(format!("{host} {process} {keeper}").as_bytes(), 12);
    format!("{}-certificate-{id}", labels::MANAGER)
}

impl Store {
    /// The Secret `name` in `namespace`; this reads nothing yet.
    pub fn new(client: kube::Client, namespace: &str, name: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            manager: new_manager(),
        }
    }

    /// Reads the Secret.
    pub async fn read(&self) -> Result<Stored, StoreError> {
        let secret = deadline(self.api.get_opt(&self.name))
            .await
            .map_err(|error| self.error(error))?;
        let Some(secret) = secret else {
            return Ok(Stored {
                version: None,
                material: Ok(None),
            });
        };
        let labels = secret.metadata.labels.unwrap_or_default();
        if labels.get(labels::MANAGED_BY).map(String::as_str) != Some(labels::OPERATOR) {
            return Err(StoreError::NotOurs {
                name: self.name.clone(),
            });
        }
        let entries = secret.data.unwrap_or_default().into_iter();
        let entries = entries.map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned()));
        let entries: BTreeMap<String, String> = entries.collect();
        Ok(Stored {
            version: Some(secret.metadata.resource_version.unwrap_or_default()),
            material: Material::from_entries(&entries),
        })
    }

    /// Replaces the content that was read by `material`. Fails with [`StoreError::Conflict`] if another replica
    /// wrote since.
    pub async fn write(&self, read: &Stored, material: &Material) -> Result<(), StoreError> {
        match &read.version {
            None => self.create(material).await,
            Some(version) => self.update(version, material).await,
        }
    }

    async fn create(&self, material: &Material) -> Result<(), StoreError> {
        let entries = material.to_entries();
        let entries: BTreeMap<_, _> = entries
            .into_iter()
            .filter_map(|(key, text)| Some((key, text?)))
            .collect();
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self.name,
                "labels": { labels::NAME: labels::OPERATOR, labels::MANAGED_BY: labels::OPERATOR },
            },
            "type": "Opaque",
            "data": encoded(entries),
        });
        let params = PatchParams::apply(&self.manager);
        deadline(self.api.patch(&self.name, &params, &Patch::Apply(&secret)))
            .await
            .map(drop)
            .map_err(|error| self.error(error))
    }

    async fn update(&self, version: &str, material: &Material) -> Result<(), StoreError> {
        let data = encoded(material.to_entries());
        let patch = json!({ "metadata": { "resourceVersion": version }, "data": data });
        deadline(self.api.patch(&self.name, &merge(&self.manager), &Patch::Merge(&patch)))
            .await
            .map(drop)
            .map_err(|error| self.error(error))
    }

    fn error(&self, source: ApiError) -> StoreError {
        let name = self.name.clone();
        if source.is_conflict() {
            StoreError::Conflict { name }
        } else {
            StoreError::Api { name, source }
        }
    }
}

/// Values in the form of a Secret's `data`: base64; `null` stays.
fn encoded(entries: impl IntoIterator<Item = (&'static str, impl Into<Option<String>>)>) -> serde_json::Value {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let entries = entries.into_iter().map(|(key, text)| {
        let text: Option<String> = text.into();
        (
            key.to_owned(),
            text.map_or(serde_json::Value::Null, |text| engine.encode(text).into()),
        )
    });
    serde_json::Value::Object(entries.collect())
}
