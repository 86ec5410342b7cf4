//! `storage` of a StellarNode: its volume.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The volume of a node.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StorageConfig {
    /// Storage class of the volume; the cluster's default if absent. It never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Size of the volume, for example 100Gi. It can grow and never shrinks.
    #[serde(default = "default_storage_size")]
    pub size: String,
    /// What happens to the volume when the StellarNode is deleted: Retain (default) or Delete. It is in force once status.storage says so. A Horizon server's goes with its pod.
    #[serde(default)]
    pub retention_policy: RetentionPolicy,
    /// PersistentVolume (default), or EmptyDir: a directory of the machine's that is lost with the pod, for which size and class mean nothing. A validator's never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<StorageMode>,
    /// Annotations of the volume claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl StorageConfig {
    /// Where the data is kept.
    pub fn mode(&self) -> StorageMode {
        self.mode.unwrap_or_default()
    }
}

fn default_storage_size() -> String {
    "100Gi".to_owned()
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            storage_class: None,
            size: default_storage_size(),
            retention_policy: RetentionPolicy::default(),
            mode: None,
            annotations: None,
        }
    }
}

/// Where a node keeps its data.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum StorageMode {
    /// On a volume of its own.
    #[default]
    PersistentVolume,
    /// In a directory of the machine's, lost with the pod.
    EmptyDir,
}

/// What happens to a volume when its StellarNode is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum RetentionPolicy {
    /// The volume claim is deleted with the StellarNode.
    Delete,
    /// The volume claim stays.
    #[default]
    Retain,
}
