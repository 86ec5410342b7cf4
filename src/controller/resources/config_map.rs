//! The ConfigMap `{name}-config`: the input of `render-config`.

use serde_json::{Value, json};

use super::{BuildError, Subject};
use crate::{core_config, labels};

pub(super) fn build(subject: &Subject<'_>) -> Result<Value, BuildError> {
    Ok(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": subject.metadata(&labels::config_map_name(&subject.name)),
        "data": {
            labels::BASE_CONFIG_KEY: core_config::base_config(subject.spec)?,
            labels::OWN_PEERS_KEY: subject.config.known_peers.join("\n"),
        },
    }))
}
