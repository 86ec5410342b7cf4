//! Stellar RPC's environment (stellar-rpc `cmd/stellar-rpc/internal/config/options.go`) and its readiness probe.

use serde_json::{Value, json};

use super::{DATA_DIR, Server, env};
use crate::controller::resources::BuildError;
use crate::crd::{Network, SorobanConfig};
use crate::labels;

/// The official image, without a tag.
pub(in crate::controller::resources) const IMAGE: &str = "stellar/stellar-rpc";
/// `default-events-limit` of stellar-rpc, which refuses to start with a lower maximum.
const DEFAULT_EVENTS: i32 = 100;
const TESTNET_FRIENDBOT: &str = "https://friendbot.stellar.org/";
const FUTURENET_FRIENDBOT: &str = "https://friendbot-futurenet.stellar.org/";

pub(super) fn environment(server: &Server<'_>, config: &SorobanConfig) -> Result<Vec<Value>, BuildError> {
    let mut all = vec![
        env("ENDPOINT", &format!("0.0.0.0:{}", labels::API_PORT)),
        env("ADMIN_ENDPOINT", &format!("0.0.0.0:{}", labels::ADMIN_PORT)),
        env("DB_PATH", &format!("{DATA_DIR}/stellar-rpc.sqlite")),
        env("MAX_EVENTS_LIMIT", &config.max_events_per_request.to_string()),
    ];
    if config.max_events_per_request < DEFAULT_EVENTS {
        all.push(env("DEFAULT_EVENTS_LIMIT", &config.max_events_per_request.to_string()));
    }
    if let Some(friendbot) = friendbot(config, &Network::parse(&server.spec.network)) {
        all.push(env("FRIENDBOT_URL", friendbot));
    }
    // Without it, the program uses its own captive core.
    if let Some(url) = &config.stellar_core_url {
        all.push(env("STELLAR_CORE_URL", url));
    }
    all.extend(server.common_env()?);
    Ok(all)
}

fn friendbot<'a>(config: &'a SorobanConfig, network: &Network) -> Option<&'a str> {
    match &config.friendbot_url {
        Some(url) => Some(url),
        None if network.is_testnet() => Some(TESTNET_FRIENDBOT),
        None if network.is_futurenet() => Some(FUTURENET_FRIENDBOT),
        None => None,
    }
}

/// Ready while it reports itself healthy, which means that it has a recent ledger. The health check is a JSON-RPC
/// method and needs a POST, which `httpGet` cannot send; the official images include curl.
pub(super) fn readiness() -> Value {
    let question = r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#;
    let script = format!(
        "curl -sf -m 4 -H 'Content-Type: application/json' -d '{question}' http://127.0.0.1:{} | grep -q '\"healthy\"'",
        labels::API_PORT
    );
    json!({
        "exec": { "command": ["sh", "-c", script] },
        "periodSeconds": 10,
        "timeoutSeconds": 5,
    })
}
