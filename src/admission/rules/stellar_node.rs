//! The rules for a StellarNode.
//!
//! The input is raw JSON, so a field of the wrong type is one error among others and hides none. The rules of
//! stellar-core itself are in [`core_config`].

use serde_json::{Map, Value};

use super::pod::{self, sidecars};
use super::{exclusivity, history, horizon_rpc, key_source, network, port, readable, storage};
use crate::admission::context::Context;
use crate::admission::validate::Verdict;
use crate::core_config::{self, ConfigError, Keys};
use crate::crd::{Network, ValidatorConfig};
use crate::kubernetes::field_error::FieldError;
use crate::kubernetes::names::{is_dns_label, is_qualified, is_subdomain, not_a_name};
use crate::kubernetes::quantity::Quantity;
use crate::labels;

/// Longest name of a StatefulSet with pods: the revision label of a longer one would exceed 63 characters.
const NAME_LIMIT: usize = 52;
/// The block of each `nodeType`.
const BLOCKS: [(&str, &str); 3] = [
    ("Validator", "validatorConfig"),
    ("Horizon", "horizonConfig"),
    ("SorobanRpc", "sorobanConfig"),
];

/// Checks a StellarNode without its stored version.
pub(crate) fn check(node: &Value, context: &dyn Context, verdict: &mut Verdict) {
    let spec = &node["spec"];
    check_name(node, verdict);
    check_blocks(spec, verdict);
    check_resources(&spec["resources"], verdict);
    network::check(spec, verdict);
    storage::check(spec, verdict);
    pod::check(spec, verdict);
    sidecars::check(spec, verdict);
    horizon_rpc::check(node, context, verdict);
    if spec["nodeType"] == "Validator" && spec["validatorConfig"].is_object() {
        check_validator(node, context, verdict);
    } else {
        exclusivity::check_name(node, context, verdict);
    }
    readable::check(spec, verdict);
}

pub(crate) fn check_change(node: &Value, old: &Value, verdict: &mut Verdict) {
    let (spec, before) = (&node["spec"], &old["spec"]);
    if spec["nodeType"] != before["nodeType"] {
        verdict.error(FieldError::forbidden(
            "spec.nodeType",
            format!(
                "{} cannot become {}: keep it, and create another StellarNode",
                before["nodeType"], spec["nodeType"]
            ),
        ));
    }
    let network = |spec: &Value| spec["network"].as_str().map(Network::parse);
    if let (Some(new), Some(was)) = (network(spec), network(before))
        && new != was
    {
        verdict.error(FieldError::forbidden(
            "spec.network",
            format!(
                "{} cannot become {}: keep it, and create another StellarNode",
                was.display_name(),
                new.display_name()
            ),
        ));
    }
    check_downgrade(spec, before, verdict);
    storage::check_change(spec, before, verdict);
}

/// Warns of a downgrade: stellar-core refuses a database that a newer version has upgraded, and cannot downgrade it.
fn check_downgrade(spec: &Value, before: &Value, verdict: &mut Verdict) {
    let (Some(new), Some(was)) = (spec["version"].as_str(), before["version"].as_str()) else {
        return;
    };
    if spec["nodeType"] == "Validator"
        && let (Some(now), Some(then)) = (core_config::release(new), core_config::release(was))
        && now < then
    {
        verdict.warn(format!(
            "spec.version: {new} is older than {was}, and an older stellar-core does not start with a database that a newer \
             one has upgraded: go on only if {was} has never run, or with a new volume"
        ));
    }
}

fn check_name(node: &Value, verdict: &mut Verdict) {
    let Some(name) = node["metadata"]["name"].as_str() else {
        return;
    };
    let starts_with_letter = name.starts_with(|first: char| first.is_ascii_lowercase());
    if name.len() > NAME_LIMIT || !is_dns_label(name) || !starts_with_letter {
        verdict.error(FieldError::invalid(
            "metadata.name",
            format!(
                "{name:?} ({} characters) cannot name a Service and pods: write at most {NAME_LIMIT} of a-z, 0-9 and -, \
                 first a letter, last no -",
                name.len()
            ),
        ));
    }
}

fn check_blocks(spec: &Value, verdict: &mut Verdict) {
    let found = spec["nodeType"].as_str().unwrap_or_default();
    let Some((_, wanted)) = BLOCKS.iter().find(|(node_type, _)| *node_type == found) else {
        let field = "spec.nodeType";
        let known = "write Validator, Horizon or SorobanRpc";
        verdict.error(if found.is_empty() {
            FieldError::required(field, format!("absent: {known}"))
        } else {
            FieldError::invalid(field, format!("{found:?} is not a type of node: {known}"))
        });
        return;
    };
    for (_, block) in BLOCKS {
        let given = !spec[block].is_null();
        if block == *wanted && !given {
            verdict.error(FieldError::required(
                format!("spec.{block}"),
                format!("absent: a node of type {found} needs it"),
            ));
        } else if block != *wanted && given {
            verdict.error(FieldError::forbidden(
                format!("spec.{block}"),
                format!("a node of type {found} has no such block: remove it, or write the settings in spec.{wanted}"),
            ));
        }
    }
    let replicas = spec["replicas"].as_i64().unwrap_or(1);
    if found == "Validator" && replicas != 1 {
        verdict.error(FieldError::invalid(
            "spec.replicas",
            if replicas == 0 {
                "0 is not how a validator is stopped: write 1, and suspended: true".to_owned()
            } else {
                format!("{replicas} pods would run with one seed, which harms consensus: write 1")
            },
        ));
    }
}

fn check_resources(resources: &Value, verdict: &mut Verdict) {
    let empty = Map::new();
    let part = |name: &str| resources[name].as_object().unwrap_or(&empty);
    let (requests, limits) = (part("requests"), part("limits"));
    for (part, amounts) in [("requests", requests), ("limits", limits)] {
        for (name, amount) in amounts {
            if !is_resource(name) {
                verdict.error(FieldError::invalid(
                    format!("spec.resources.{part}.{name}"),
                    "no container has that: write cpu, memory, ephemeral-storage, hugepages-SIZE, or domain/name of a device",
                ));
            }
            if amount_of(amount).is_none() {
                verdict.error(FieldError::invalid(
                    format!("spec.resources.{part}.{name}"),
                    format!("{amount} is not a quantity: write for example 500m or 2 (cpu), 4Gi (memory)"),
                ));
            }
        }
    }
    for (name, request) in requests {
        let limit = limits.get(name);
        if let (Some(asked), Some(most)) = (amount_of(request), limit.and_then(amount_of))
            && asked > most
        {
            verdict.error(FieldError::invalid(
                format!("spec.resources.requests.{name}"),
                format!(
                    "{request} is more than the limit {}: ask for no more than the limit",
                    limit.unwrap_or(&Value::Null)
                ),
            ));
        }
    }
}

/// Whether a container can request this resource (`ValidateContainerResourceName` in `pkg/apis/core/validation`).
fn is_resource(name: &str) -> bool {
    let standard = ["cpu", "memory", "ephemeral-storage"].contains(&name) || name.starts_with("hugepages-");
    is_qualified(name) && (standard || name.contains('/'))
}

/// Parses a quantity: a string or, in YAML without quotes, a number.
pub(crate) fn amount_of(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        _ => None,
    }
}

fn check_validator(node: &Value, context: &dyn Context, verdict: &mut Verdict) {
    let config = &node["spec"]["validatorConfig"];
    let field = |name: &str| format!("spec.validatorConfig.{name}");
    if !config["peerPort"].is_null() {
        let written = &config["peerPort"];
        port::check(&field("peerPort"), written.as_i64(), &written.to_string(), verdict);
        if written == labels::HEALTH_PORT {
            verdict.error(FieldError::invalid(
                field("peerPort"),
                format!(
                    "{written} is the port of the container {:?} in the same pod: write another, for example 11625",
                    labels::HEALTH_CONTAINER
                ),
            ));
        }
    }
    let seed = config["seedSecretRef"].as_str().unwrap_or_default();
    if config["keySource"] == "KMS" {
        // The operator ignores seedSecretRef then.
    } else if seed.is_empty() {
        verdict.error(FieldError::required(
            field("seedSecretRef"),
            format!(
                "absent: write the name of the Secret whose key {} holds the seed",
                labels::SEED_KEY
            ),
        ));
    } else if !is_subdomain(seed) {
        verdict.error(FieldError::invalid(field("seedSecretRef"), not_a_name(seed, "Secret")));
    }
    key_source::check(config, verdict);
    check_known_peers_ref(node, verdict);
    check_peer_group(node, verdict);
    if config["enableHistoryArchive"] == true && config["historyArchiveUrls"].as_array().is_none_or(Vec::is_empty) {
        verdict.warn(format!(
            "{}: history archives are enabled and none is named: write their URLs, or enableHistoryArchive: false",
            field("historyArchiveUrls")
        ));
    }
    exclusivity::check(node, context, verdict);
    check_core_settings(node, verdict);
}

fn check_known_peers_ref(node: &Value, verdict: &mut Verdict) {
    let reference = &node["spec"]["validatorConfig"]["knownPeersRef"];
    if let Some(key) = reference["key"].as_str().filter(|key| *key != labels::KNOWN_PEERS) {
        verdict.error(FieldError::invalid(
            "spec.validatorConfig.knownPeersRef.key",
            format!("{key:?} is not written by the operator: write {}", labels::KNOWN_PEERS),
        ));
    }
    let Some(name) = reference["name"].as_str() else {
        return;
    };
    let field = "spec.validatorConfig.knownPeersRef.name";
    if !is_subdomain(name) {
        verdict.error(FieldError::invalid(field, not_a_name(name, "ConfigMap")));
    } else if node["metadata"]["name"]
        .as_str()
        .is_some_and(|node| labels::config_map_name(node) == name)
    {
        verdict.error(FieldError::invalid(
            field,
            format!(
                "{name:?} is the ConfigMap with this node's own config: write another, for example {}",
                labels::DEFAULT_PEERS_CONFIG_MAP
            ),
        ));
    }
}

/// Checks the namespaces of a group: each must be the valid name of another namespace.
fn check_peer_group(node: &Value, verdict: &mut Verdict) {
    let Some(namespaces) = node["spec"]["validatorConfig"]["peerGroup"]["namespaces"].as_array() else {
        return;
    };
    for (place, namespace) in namespaces.iter().enumerate() {
        let Some(name) = namespace.as_str() else { continue };
        let field = format!("spec.validatorConfig.peerGroup.namespaces[{place}]");
        if !is_dns_label(name) {
            verdict.error(FieldError::invalid(
                field,
                format!("{name:?} cannot be the name of a namespace: write a-z, 0-9 and - only, first and last no -"),
            ));
        } else if node["metadata"]["namespace"] == *name {
            verdict.warn(format!(
                "{field}: {name:?} is this namespace: name the others of the group"
            ));
        }
    }
}

/// Checks the settings by the rules of stellar-core.
fn check_core_settings(node: &Value, verdict: &mut Verdict) {
    let spec = &node["spec"];
    let network = Network::parse(spec["network"].as_str().unwrap_or_default());
    if spec["validatorConfig"]["quorumSet"].is_null() && !network.is_testnet() {
        verdict.warn(format!(
            "spec.validatorConfig.quorumSet: absent, and {} has no default, so this validator will not start: name the validators \
             that it trusts",
            network.display_name()
        ));
    }
    // Other rules check these fields. Invalid here, they would hide all further errors.
    let mut config = spec["validatorConfig"].clone();
    if let Some(fields) = config.as_object_mut() {
        fields.remove("peerPort");
        fields.remove("knownPeersRef");
    }
    // `readable` reports a field that does not parse.
    if let Ok(config) = serde_json::from_value::<ValidatorConfig>(config) {
        let keys = Keys::of(spec["version"].as_str().unwrap_or_default());
        let problems = core_config::check_validator(&config, keys);
        // Without a text from the author, the config is entirely the operator's own.
        let has_text = config.quorum_set.is_some() || config.core_config.is_some();
        if problems.is_empty() && has_text {
            check_whole_config(spec, &config, verdict);
        }
        for problem in problems {
            verdict.error(FieldError::invalid(problem.field, problem.message));
        }
        if let Some(text) = &config.core_config {
            for warning in core_config::key_warnings(text, keys) {
                verdict.warn(format!("spec.validatorConfig.coreConfig: {warning}"));
            }
        }
        history::check(spec, &config, verdict);
        for warning in core_config::quorum_warnings(&config) {
            verdict.warn(format!("spec.validatorConfig.quorumSet: {warning}"));
        }
    }
}

/// Checks the complete config; each setting in it is valid on its own.
fn check_whole_config(spec: &Value, config: &ValidatorConfig, verdict: &mut Verdict) {
    let text = |field: &str| spec[field].as_str().unwrap_or_default();
    let Err(ConfigError::Refused(problems)) = core_config::config_of(config, text("network"), text("version")) else {
        // A missing quorum set is reported above.
        return;
    };
    for problem in problems {
        let field = match &problem {
            problem if problem == core_config::NONE_READABLE => "history",
            problem if problem.contains("homeDomain") => "homeDomain",
            _ => "coreConfig",
        };
        verdict.error(FieldError::invalid(format!("spec.validatorConfig.{field}"), problem));
    }
}
