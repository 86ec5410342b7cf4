//! The blocks of a StellarNode that serves an API: Horizon and Stellar RPC.
//!
//! Fields that the programs of today have no counterpart for stay readable, so that older manifests do; the rules of
//! the webhook say that they mean nothing. What is absent is decided here and nowhere else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most events of one getEvents response where none is given: stellar-rpc's own default (`config/options.go`).
const MAX_EVENTS: i32 = 10_000;

/// Settings of a Horizon server.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HorizonConfig {
    /// Name of the Secret, in the same namespace, whose key DATABASE_URL holds the database's URL.
    pub database_secret_ref: String,
    /// URL of the stellar-core to submit transactions to. Default: the captive core in the same pod, which a Horizon that ingests has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stellar_core_url: Option<String>,
    /// Whether it reads the ledger, with a captive core in its own pod, and writes it into the database.
    #[serde(default = "yes")]
    pub enable_ingest: bool,
    /// Whether a Horizon that ingests brings the database's schema up to its version when it starts.
    #[serde(default = "yes")]
    pub auto_migration: bool,
    /// Settings of the captive core, as stellar-core's TOML; at least whom it trusts. Testnet has a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captive_core_config: Option<String>,
    /// URLs of history archives. Default: those of SDF, on its networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history_archive_urls: Vec<String>,
    /// Accepted and without effect: Horizon has no such setting any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest_workers: Option<i32>,
}

/// Settings of a Stellar RPC server.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SorobanConfig {
    /// URL of the stellar-core to submit transactions to. Default: the captive core in the same pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stellar_core_url: Option<String>,
    /// Settings of the captive core, as stellar-core's TOML; at least whom it trusts. Testnet has a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captive_core_config: Option<String>,
    /// URLs of history archives. Default: those of SDF, on its networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history_archive_urls: Vec<String>,
    /// URL of the friendbot that getNetwork names. Default: that of SDF, on its test networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friendbot_url: Option<String>,
    /// Most events of one getEvents response.
    #[serde(default = "max_events")]
    #[schemars(range(min = 1))]
    pub max_events_per_request: i32,
    /// Accepted and without effect: Stellar RPC always simulates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_preflight: Option<bool>,
}

fn yes() -> bool {
    true
}

fn max_events() -> i32 {
    MAX_EVENTS
}
