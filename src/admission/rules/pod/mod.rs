//! The rules for pod settings: the operator's own settings are reserved, and settings that the API server would refuse
//! in a pod are refused here, where their author sees the reason.

#[cfg(test)]
mod refused_settings_tests;
pub(crate) mod scheduling;
#[cfg(test)]
mod settings_tests;
pub(crate) mod sidecars;

use std::collections::HashSet;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::admission::validate::Verdict;
use crate::kubernetes::field_error::FieldError;
use crate::kubernetes::names::{is_label_value, is_qualified, is_subdomain, not_a_name, not_qualified};
use crate::labels::{self, LABEL_LIMIT};

/// Labels by which the operator selects its pods.
const OWN_LABELS: [&str; 4] = [labels::NAME, labels::INSTANCE, labels::COMPONENT, labels::MANAGED_BY];

/// Environment variables that the operator sets for Horizon and Stellar RPC, with the field to use instead.
#[rustfmt::skip]
const SERVERS_ENV: [(&str, &str); 5] = [
    ("NETWORK_PASSPHRASE", "write spec.network"),
    ("HISTORY_ARCHIVE_URLS", "write spec.{block}.historyArchiveUrls"),
    ("CAPTIVE_CORE_CONFIG_PATH", "write spec.{block}.captiveCoreConfig"),
    ("CAPTIVE_CORE_STORAGE_PATH", "write spec.storage"),
    ("STELLAR_CORE_BINARY_PATH", "write spec.image and spec.version"),
];
#[rustfmt::skip]
const HORIZON_ENV: [(&str, &str); 6] = [
    ("DATABASE_URL", "write spec.{block}.databaseSecretRef"),
    ("STELLAR_CORE_URL", "write spec.{block}.stellarCoreUrl"),
    ("INGEST", "write spec.{block}.enableIngest"),
    ("APPLY_MIGRATIONS", "write spec.{block}.autoMigration"),
    ("PORT", "the Service uses it"),
    ("ADMIN_PORT", "it is internal"),
];
#[rustfmt::skip]
const RPC_ENV: [(&str, &str); 7] = [
    ("ENDPOINT", "the Service uses it"),
    ("ADMIN_ENDPOINT", "it is internal"),
    ("DB_PATH", "write spec.storage"),
    ("MAX_EVENTS_LIMIT", "write spec.{block}.maxEventsPerRequest"),
    ("DEFAULT_EVENTS_LIMIT", "write spec.{block}.maxEventsPerRequest"),
    ("FRIENDBOT_URL", "write spec.{block}.friendbotUrl"),
    ("STELLAR_CORE_URL", "write spec.{block}.stellarCoreUrl"),
];

/// Checks all pod settings except the sidecars.
pub(crate) fn check(spec: &Value, verdict: &mut Verdict) {
    check_pod_labels(&spec["podLabels"], verdict);
    check_annotations(&spec["podAnnotations"], verdict);
    check_names(spec, verdict);
    scheduling::check(spec, verdict);
    check_environment(spec, verdict);
    for name in ["liveness", "readiness", "startup"] {
        check_probe(spec, name, verdict);
    }
}

fn check_pod_labels(given: &Value, verdict: &mut Verdict) {
    let names = given.as_object().into_iter().flat_map(|map| map.keys());
    let ours = format!("{}/", labels::GROUP);
    for name in names.filter(|name| OWN_LABELS.contains(&name.as_str()) || name.starts_with(&ours)) {
        verdict.error(FieldError::forbidden(
            format!("spec.podLabels[{name}]"),
            "the operator finds its pods by this label: write another",
        ));
    }
    check_labels(given, "spec.podLabels", verdict);
}

/// Checks names of annotations by the rules of the API server, which accepts capital letters here.
fn check_annotations(given: &Value, verdict: &mut Verdict) {
    let names = given.as_object().into_iter().flat_map(|map| map.keys());
    for name in names.filter(|name| !is_qualified(&name.to_ascii_lowercase())) {
        verdict.error(FieldError::invalid(
            format!("spec.podAnnotations[{name}]"),
            not_qualified(name, "an annotation"),
        ));
    }
}

/// Checks names and values of labels by the rules of the API server.
pub(crate) fn check_labels(given: &Value, field: &str, verdict: &mut Verdict) {
    for (name, value) in given.as_object().into_iter().flatten() {
        if !is_qualified(name) {
            verdict.error(FieldError::invalid(
                format!("{field}[{name}]"),
                not_qualified(name, "a label"),
            ));
        } else if let Some(value) = value.as_str().filter(|value| !is_label_value(value)) {
            verdict.error(FieldError::invalid(
                format!("{field}[{name}]"),
                format!(
                    "{value:?} cannot be the value of a label: write at most {LABEL_LIMIT} letters, digits, -, _ and ., first \
                     and last a letter or digit"
                ),
            ));
        }
    }
}

fn check_names(spec: &Value, verdict: &mut Verdict) {
    let mut judge = |field: String, name: &Value, kind: &str| {
        if let Some(name) = name.as_str().filter(|name| !is_subdomain(name)) {
            verdict.error(FieldError::invalid(field, not_a_name(name, kind)));
        }
    };
    let (account, class) = (&spec["serviceAccountName"], &spec["priorityClassName"]);
    judge("spec.serviceAccountName".to_owned(), account, "ServiceAccount");
    judge("spec.priorityClassName".to_owned(), class, "PriorityClass");
    let secrets = &spec["imagePullSecrets"];
    for (place, secret) in secrets.as_array().into_iter().flatten().enumerate() {
        judge(
            format!("spec.imagePullSecrets[{place}].name"),
            &secret["name"],
            "Secret",
        );
    }
    if let Some(name) = repeated(secrets, |secret| secret["name"].as_str()) {
        verdict.error(FieldError::duplicate(
            "spec.imagePullSecrets",
            format!("{name:?} is given twice: keep one"),
        ));
    }
}

fn check_environment(spec: &Value, verdict: &mut Verdict) {
    let env = &spec["env"];
    let (own, block): (Vec<_>, _) = match spec["nodeType"].as_str() {
        Some("Horizon") => (HORIZON_ENV.iter().chain(&SERVERS_ENV).collect(), "horizonConfig"),
        Some("SorobanRpc") => (RPC_ENV.iter().chain(&SERVERS_ENV).collect(), "sorobanConfig"),
        _ => (Vec::new(), ""),
    };
    for (place, variable) in env.as_array().into_iter().flatten().enumerate() {
        let field = format!("spec.env[{place}].name");
        let name = variable["name"].as_str().unwrap_or_default();
        if name.is_empty() || name.contains('=') {
            verdict.error(FieldError::invalid(
                field,
                format!("{name:?} cannot name a variable: write for example LOG_LEVEL"),
            ));
        } else if let Some((_, instead)) = own.iter().find(|(taken, _)| *taken == name) {
            let instead = instead.replace("{block}", block);
            verdict.error(FieldError::forbidden(
                field,
                format!("{name} is set by the operator: remove it here; {instead}"),
            ));
        } else if spec["nodeType"] == "Validator" && name == labels::KNOWN_PEERS {
            verdict.warn(format!(
                "{field}: stellar-core reads no {name} from its environment: list your own peers in \
                 spec.validatorConfig.knownPeers"
            ));
        }
        if !variable["value"].is_null() && !variable["valueFrom"].is_null() {
            verdict.error(FieldError::invalid(
                format!("spec.env[{place}].valueFrom"),
                "value is given too: keep one of the two",
            ));
        }
    }
    if let Some(name) = repeated(env, |variable| variable["name"].as_str()) {
        verdict.error(FieldError::duplicate(
            "spec.env",
            format!("{name} is given twice: keep one"),
        ));
    }
}

fn check_probe(spec: &Value, name: &str, verdict: &mut Verdict) {
    let probe = &spec["probes"][name];
    let Some(given) = probe.as_object() else {
        return;
    };
    let field = format!("spec.probes.{name}");
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
    let handlers: Vec<&str> = handlers.into_iter().filter(|one| !probe[*one].is_null()).collect();
    let [handler] = handlers[..] else {
        verdict.error(FieldError::invalid(
            field,
            format!(
                "{} ways to probe are given: write exactly one of exec, httpGet, tcpSocket and grpc",
                handlers.len()
            ),
        ));
        return;
    };
    if name != "readiness" && given.get("successThreshold").is_some_and(|times| *times != 1) {
        verdict.error(FieldError::invalid(
            format!("{field}.successThreshold"),
            "it is 1 for a probe of liveness or of the start: leave it out",
        ));
    }
    if spec["nodeType"] != "Validator" {
        return;
    }
    if probe[handler]["port"] == labels::HTTP_PORT {
        verdict.warn(format!(
            "{field}.{handler}.port: stellar-core's HTTP port is on localhost in its pod, so this probe always fails: write \
             tcpSocket with port {}",
            labels::PEER_PORT_NAME
        ));
    } else if name == "readiness" {
        verdict.warn(format!(
            "{field}: the lists of peers, and the order of restarts, depend on which validators are Ready: the pod is Ready \
             only while this probe passes and container {:?} sees the validator vote",
            labels::HEALTH_CONTAINER
        ));
    } else if name == "liveness" && handler != "tcpSocket" {
        verdict.warn(format!(
            "{field}: if it depends on consensus, a halted network restarts all its validators at once, and none of them can \
             vote: write tcpSocket with port {}, or leave it out",
            labels::PEER_PORT_NAME
        ));
    }
}

/// The first key that two entries of a list share.
pub(crate) fn repeated<'a, K: Clone + Eq + Hash>(list: &'a Value, key: impl Fn(&'a Value) -> Option<K>) -> Option<K> {
    let mut seen = HashSet::new();
    let mut keys = list.as_array().into_iter().flatten().filter_map(key);
    keys.find(|key| !seen.insert(key.clone()))
}

/// Checks an object without a schema in the CRD against the type of Kubernetes. An unknown field is only a warning: a
/// newer API server may know it.
pub(crate) fn check_shape<T: DeserializeOwned + Serialize>(
    given: &Value,
    field: &str,
    what: &str,
    verdict: &mut Verdict,
) {
    let read = serde_json::from_value::<T>(given.clone());
    match read.and_then(|read| serde_json::to_value(read)) {
        Err(error) => verdict.error(FieldError::invalid(
            field,
            format!("cannot be read as a {what}: {error}; see kubectl explain pod.spec"),
        )),
        Ok(known) => {
            if let Some(unknown) = lost(given, &known, field) {
                verdict.warn(format!(
                    "{unknown}: not known to this version of the operator: where the API server does not know it either, it \
                     refuses the pods; check its spelling"
                ));
            }
        }
    }
}

/// The path of the first field that `known` lacks.
fn lost(given: &Value, known: &Value, path: &str) -> Option<String> {
    match (given, known) {
        (Value::Object(given), known) => {
            given
                .iter()
                .filter(|(_, value)| !value.is_null())
                .find_map(|(name, value)| {
                    let path = format!("{path}.{name}");
                    match known.get(name) {
                        Some(known) => lost(value, known, &path),
                        None => Some(path),
                    }
                })
        }
        (Value::Array(given), Value::Array(known)) => given
            .iter()
            .zip(known)
            .enumerate()
            .find_map(|(place, (given, known))| lost(given, known, &format!("{path}[{place}]"))),
        _ => None,
    }
}
