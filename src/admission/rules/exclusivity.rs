//! The rules about other StellarNodes of the namespace: no shared seed, database or object name, and no shared list
//! across networks.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::admission::context::Context;
use crate::admission::validate::Verdict;
use crate::crd::{KeySource, Network, NodeType, SecretKeyRef, SeedSource, StellarNode};
use crate::kubernetes::field_error::FieldError;
use crate::labels;

/// Checks a validator against the other ones of its namespace.
pub(crate) fn check(node: &Value, context: &dyn Context, verdict: &mut Verdict) {
    let spec = &node["spec"];
    let config = &spec["validatorConfig"];
    let namespace = node["metadata"]["namespace"].as_str().unwrap_or_default();
    let name = node["metadata"]["name"].as_str().unwrap_or_default();
    let network = Network::parse(spec["network"].as_str().unwrap_or_default());
    let list = config["knownPeersRef"]["name"]
        .as_str()
        .unwrap_or(labels::DEFAULT_PEERS_CONFIG_MAP);
    let seed = seed_source(config);
    let database = read::<SecretKeyRef>(&config["database"]["secretKeyRef"]);
    check_configs(namespace, name, list, context, verdict);
    let service = labels::headless_service_name(name);
    if context
        .node(namespace, &service)
        .is_some_and(|node| node.spec.node_type != NodeType::Validator)
    {
        verdict.error(has_service(&service, &service));
    }
    let mut other_networks = Vec::new();
    let mut own_config_is_list = false;
    context.each_validator(namespace, &mut |other| {
        let (Some(other_name), Some(config)) = (&other.metadata.name, &other.spec.validator_config) else {
            return;
        };
        if other_name == name || other.metadata.deletion_timestamp.is_some() {
            return;
        }
        own_config_is_list |= is_config_of(name, config.known_peers_config_map());
        let other_network = Network::parse(&other.spec.network);
        if other_network != network && config.known_peers_config_map() == list {
            other_networks.push(format!("{other_name} ({})", other_network.display_name()));
        }
        if let Some(seed) = seed.as_ref().filter(|seed| config.seed_source().as_ref() == Some(seed))
            && other_network == network
            && runs(spec, other)
        {
            verdict.error(seed_in_use(seed, other_name));
        }
        if let Some(key) = database.as_ref().filter(|key| config.database_key() == Some(key)) {
            verdict.error(database_in_use(key, other_name));
        }
    });
    if own_config_is_list {
        verdict.error(is_a_list(name));
    }
    if !other_networks.is_empty() {
        other_networks.sort();
        verdict.warn(format!(
            "spec.validatorConfig.knownPeersRef.name: ConfigMap {list:?} is shared with validators of another network, {}; one \
             network of the two is left out: write another knownPeersRef.name, for example {list}-{}",
            other_networks.join(", "),
            network.short_hash(),
        ));
    }
}

/// A list in the config ConfigMap of another node would overwrite that config.
fn check_configs(namespace: &str, name: &str, list: &str, context: &dyn Context, verdict: &mut Verdict) {
    let node = list.strip_suffix(labels::CONFIG_SUFFIX).filter(|node| *node != name);
    if node.is_some_and(|node| context.node(namespace, node).is_some()) {
        verdict.error(FieldError::invalid(
            "spec.validatorConfig.knownPeersRef.name",
            format!(
                "{list:?} is the ConfigMap with the config of another StellarNode: write another, for example {}",
                labels::DEFAULT_PEERS_CONFIG_MAP
            ),
        ));
    }
}

/// Checks the name of a Horizon or SorobanRpc against the validators: its ConfigMap, Service and PodDisruptionBudget
/// must not be theirs.
pub(crate) fn check_name(node: &Value, context: &dyn Context, verdict: &mut Verdict) {
    let namespace = node["metadata"]["namespace"].as_str().unwrap_or_default();
    let name = node["metadata"]["name"].as_str().unwrap_or_default();
    let (mut is_list, mut is_budget, mut has_its_service) = (false, false, None);
    context.each_validator(namespace, &mut |other| {
        if let Some(config) = &other.spec.validator_config {
            is_list |= is_config_of(name, config.known_peers_config_map());
            is_budget |= config.known_peers_config_map() == name;
        }
        let other = other.metadata.name.as_deref().unwrap_or_default();
        if labels::headless_service_name(other) == name {
            has_its_service = Some(other.to_owned());
        }
    });
    if is_list {
        verdict.error(is_a_list(name));
    }
    if is_budget {
        verdict.error(FieldError::invalid(
            "metadata.name",
            format!("{name:?} is the list of known peers of validators, whose PodDisruptionBudget has its name: write another name"),
        ));
    }
    if let Some(other) = has_its_service {
        verdict.error(has_service(name, &other));
    }
}

fn has_service(service: &str, other: &str) -> FieldError {
    FieldError::invalid(
        "metadata.name",
        format!(
            "its Service would be {service:?}, which StellarNode {other:?} of this namespace has: write another name"
        ),
    )
}

fn is_config_of(node: &str, config_map: &str) -> bool {
    config_map.strip_suffix(labels::CONFIG_SUFFIX) == Some(node)
}

fn is_a_list(name: &str) -> FieldError {
    let config_map = labels::config_map_name(name);
    FieldError::invalid(
        "metadata.name",
        format!(
            "the config of {name:?} would be in ConfigMap {config_map:?}, which is the list of known peers of validators: write \
             another name"
        ),
    )
}

fn seed_source(config: &Value) -> Option<SeedSource> {
    let source = match config["keySource"].as_str() {
        Some("KMS") => KeySource::Kms,
        _ => KeySource::Secret,
    };
    let secret = config["seedSecretRef"].as_str().unwrap_or_default();
    SeedSource::of(source, secret, read(&config["kmsConfig"]).as_ref())
}

/// Parses a part of the object; `None` if it is absent or has another shape.
fn read<T: DeserializeOwned>(part: &Value) -> Option<T> {
    part.is_object().then(|| serde_json::from_value(part.clone()).ok())?
}

fn seed_in_use(seed: &SeedSource, other: &str) -> FieldError {
    let (field, what, instead) = match seed {
        SeedSource::Secret(name) => ("seedSecretRef", format!("Secret {name:?}"), "Secret"),
        SeedSource::Driver { path, .. } => ("kmsConfig", format!("{path:?} of this volume"), "volume or path"),
    };
    FieldError::duplicate(
        format!("spec.validatorConfig.{field}"),
        format!(
            "{what} is already the seed of validator {other:?} on this network, and two nodes with one seed harm consensus: \
             write another {instead}, or suspend one of the two"
        ),
    )
}

fn database_in_use(key: &SecretKeyRef, other: &str) -> FieldError {
    FieldError::duplicate(
        "spec.validatorConfig.database.secretKeyRef",
        format!(
            "key {:?} of Secret {:?} is already the database of validator {other:?}, which a second one would wipe when it starts: \
             write another",
            key.key, key.name
        ),
    )
}

fn runs(spec: &Value, other: &StellarNode) -> bool {
    spec["suspended"] != true && !other.spec.suspended
}
