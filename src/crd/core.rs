//! Settings of a validator's stellar-core whose values the operator never sees, or only hands on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the peers are written into stellar-core's config.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum PeersAs {
    /// KNOWN_PEERS: addresses to try.
    #[default]
    Known,
    /// PREFERRED_PEERS: peers to be connected to before any others.
    Preferred,
}

/// Where stellar-core's database is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseConfig {
    /// The key of a Secret, in the same namespace, that holds stellar-core's connection string, as in postgresql://dbname=core host=db user=core password=…
    pub secret_key_ref: SecretKeyRef,
}

/// A key of a Secret in the same namespace.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    pub name: String,
    /// Key of the Secret.
    pub key: String,
}
