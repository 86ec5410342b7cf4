//! Horizon's environment (stellar/go `services/horizon/internal/flags.go`) and its readiness probe.

use serde_json::{Value, json};

use super::{Server, env};
use crate::controller::resources::BuildError;
use crate::crd::HorizonConfig;
use crate::labels;

/// The official image, without a tag.
pub(in crate::controller::resources) const IMAGE: &str = "stellar/stellar-horizon";

/// The environment. The database's URL stays in its Secret.
pub(super) fn environment(server: &Server<'_>, config: &HorizonConfig) -> Result<Vec<Value>, BuildError> {
    let own_core = format!("http://localhost:{}", labels::HTTP_PORT);
    let core_url = config.stellar_core_url.as_deref().unwrap_or(&own_core);
    let mut all = vec![
        json!({
            "name": "DATABASE_URL",
            "valueFrom": {
                "secretKeyRef": { "name": config.database_secret_ref, "key": labels::DATABASE_URL_KEY },
            },
        }),
        env("STELLAR_CORE_URL", core_url),
        env("INGEST", bool_text(config.enable_ingest)),
        env(
            "APPLY_MIGRATIONS",
            bool_text(config.enable_ingest && config.auto_migration),
        ),
        env("PORT", &labels::API_PORT.to_string()),
        env("ADMIN_PORT", &labels::ADMIN_PORT.to_string()),
    ];
    all.extend(server.common_env()?);
    Ok(all)
}

fn bool_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Ready while the database answers and the core is in sync, which is Horizon's own definition of healthy.
pub(super) fn readiness() -> Value {
    json!({
        "httpGet": { "path": "/health", "port": labels::API_PORT_NAME },
        "periodSeconds": 10,
        "timeoutSeconds": 5,
    })
}
