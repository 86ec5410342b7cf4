//! The rules for Horizon and SorobanRpc nodes, and for the fields that only these have.
//!
//! The input is raw JSON. [`core_config`] defines the valid settings of a captive core.

use axum::http::Uri;
use serde_json::Value;

use super::{disruption, storage, url};
use crate::admission::context::Context;
use crate::admission::validate::Verdict;
use crate::core_config::{self, Keys};
use crate::crd::Network;
use crate::kubernetes::field_error::FieldError;
use crate::kubernetes::names::{is_subdomain, not_a_name};
use crate::labels;

/// Checks the disruption limits of any node, and the block of a Horizon or a SorobanRpc.
pub(crate) fn check(node: &Value, context: &dyn Context, verdict: &mut Verdict) {
    let spec = &node["spec"];
    disruption::check(spec, verdict);
    let block = match spec["nodeType"].as_str() {
        Some("Horizon") => "horizonConfig",
        Some("SorobanRpc") => "sorobanConfig",
        _ => return,
    };
    if !spec[block].is_object() {
        return;
    }
    check_core_url(node, block, context, verdict);
    check_captive_core(spec, block, verdict);
    if block == "horizonConfig" {
        check_horizon(spec, verdict);
    } else {
        check_rpc(spec, verdict);
    }
}

/// Whether a Horizon or a SorobanRpc runs a captive core in its pod.
fn ingests(spec: &Value) -> bool {
    spec["horizonConfig"]["enableIngest"] != false
}

fn check_horizon(spec: &Value, verdict: &mut Verdict) {
    let config = &spec["horizonConfig"];
    let field = "spec.horizonConfig.databaseSecretRef";
    let secret = config["databaseSecretRef"].as_str().unwrap_or_default();
    if secret.is_empty() {
        verdict.error(FieldError::required(
            field,
            format!(
                "absent: write the name of the Secret whose key {} holds the database's URL",
                labels::DATABASE_URL_KEY
            ),
        ));
    } else if !is_subdomain(secret) {
        verdict.error(FieldError::invalid(field, not_a_name(secret, "Secret")));
    }
    if !ingests(spec) && config["stellarCoreUrl"].is_null() {
        verdict.error(FieldError::required(
            "spec.horizonConfig.stellarCoreUrl",
            "absent: a Horizon that does not ingest has no stellar-core of its own; write the URL of one, or enableIngest: true",
        ));
    }
    if !config["ingestWorkers"].is_null() {
        verdict.warn(
            "spec.horizonConfig.ingestWorkers: Horizon has no such setting any more, so it has no effect: remove it",
        );
    }
}

fn check_rpc(spec: &Value, verdict: &mut Verdict) {
    let config = &spec["sorobanConfig"];
    if let Some(problem) = config["friendbotUrl"].as_str().and_then(url::problem) {
        verdict.error(FieldError::invalid("spec.sorobanConfig.friendbotUrl", problem));
    }
    if !config["enablePreflight"].is_null() {
        verdict
            .warn("spec.sorobanConfig.enablePreflight: Stellar RPC always simulates, so it has no effect: remove it");
    }
    let replicas = spec["replicas"].as_i64().unwrap_or(1);
    if replicas > 1 && spec["storage"].is_object() && !storage::in_pod(spec) {
        verdict.error(FieldError::invalid(
            "spec.replicas",
            format!(
                "{replicas} pods cannot share one volume and one database: write 1, create a StellarNode for each, or leave \
                 spec.storage out, so that each pod keeps a database of its own and loses it with the pod"
            ),
        ));
    }
}

fn check_core_url(node: &Value, block: &str, context: &dyn Context, verdict: &mut Verdict) {
    let spec = &node["spec"];
    let Some(text) = spec[block]["stellarCoreUrl"].as_str() else {
        return;
    };
    let field = format!("spec.{block}.stellarCoreUrl");
    if let Some(problem) = url::problem(text) {
        verdict.error(FieldError::invalid(field, problem));
        return;
    }
    let namespace = node["metadata"]["namespace"].as_str().unwrap_or_default();
    if let Some(validator) = validator_named_by(text, namespace, context) {
        let advice = if ingests(spec) {
            "leave stellarCoreUrl out, and the captive core in the same pod is used"
        } else {
            "write the URL of a stellar-core that can be reached, or enableIngest: true"
        };
        verdict.warn(format!(
            "{field}: {text} is the HTTP port of validator {validator}, which is on localhost in its own pod and nowhere else: \
             {advice}"
        ));
    }
}

/// The validator whose HTTP port a URL names, by its Services, its pod or its name.
fn validator_named_by(url: &str, namespace: &str, context: &dyn Context) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    if url.port_u16() != Some(labels::HTTP_PORT) {
        return None;
    }
    let parts: Vec<&str> = url.host()?.split('.').collect();
    let find = |place: usize, is_it: &dyn Fn(&str) -> bool| {
        let mut found = None;
        context.each_validator(parts.get(place).unwrap_or(&namespace), &mut |node| {
            if let (None, Some(name)) = (&found, &node.metadata.name)
                && is_it(name)
            {
                found = Some(name.clone());
            }
        });
        found
    };
    let first = *parts.first()?;
    let behind_its_service = |name: &str| {
        first == labels::pod_name(name) && parts.get(1) == Some(&labels::headless_service_name(name).as_str())
    };
    let by_itself =
        |name: &str| first == name || first == labels::pod_name(name) || first == labels::headless_service_name(name);
    find(2, &behind_its_service).or_else(|| find(1, &by_itself))
}

fn check_captive_core(spec: &Value, block: &str, verdict: &mut Verdict) {
    let config = &spec[block];
    let network = Network::parse(spec["network"].as_str().unwrap_or_default());
    let field = |name: &str| format!("spec.{block}.{name}");
    for (index, url) in config["historyArchiveUrls"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        if let Some(problem) = url.as_str().and_then(core_config::archive_problem) {
            let field = format!("{}[{index}]", field("historyArchiveUrls"));
            verdict.error(FieldError::invalid(field, problem));
        }
    }
    let given = config["historyArchiveUrls"]
        .as_array()
        .is_some_and(|urls| !urls.is_empty());
    if !given && core_config::history_archives(&network).is_empty() {
        verdict.warn(format!(
            "{}: absent, and {} has no default, so this node will not start: write the URLs of its history archives",
            field("historyArchiveUrls"),
            network.display_name()
        ));
    }
    match config["captiveCoreConfig"].as_str() {
        Some(text) => {
            for problem in core_config::check_captive_core(text, &network) {
                verdict.error(FieldError::invalid(field("captiveCoreConfig"), problem));
            }
            // The image tag does not show the version of its stellar-core, nor which settings the program passes to it.
            for warning in core_config::key_warnings(text, Keys::PerhapsMore)
                .into_iter()
                .chain(core_config::unlisted_keys(text))
            {
                verdict.warn(format!("{}: {warning}", field("captiveCoreConfig")));
            }
        }
        None if ingests(spec) && !network.is_testnet() => verdict.warn(format!(
            "{}: absent, and {} has no default, so this node will not start: name the validators that its captive core trusts",
            field("captiveCoreConfig"),
            network.display_name()
        )),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::context::NoContext;
    use crate::admission::fixtures::{Known, horizon, validator, with};
    use crate::admission::validate::validate;

    fn rpc() -> Value {
        json!({
            "apiVersion": "stellar.org/v1alpha1",
            "kind": "StellarNode",
            "metadata": { "name": "rpc", "namespace": "stellar" },
            "spec": { "nodeType": "SorobanRpc", "network": "testnet", "version": "23.0.4", "sorobanConfig": {} },
        })
    }

    fn fields(object: &Value) -> Vec<String> {
        let verdict = validate(object, None, &NoContext);
        assert_eq!(verdict.warnings, [] as [&str; 0], "{object}");
        verdict.errors.into_iter().map(|error| error.field).collect()
    }

    fn warnings(object: &Value, context: &dyn Context) -> Vec<String> {
        let verdict = validate(object, None, context);
        assert_eq!(verdict.errors, [], "{object}");
        verdict.warnings
    }

    #[test]
    fn what_is_refused() {
        let (h, s) = ("spec.horizonConfig", "spec.sorobanConfig");
        for (object, pointer, value, field) in [
            (
                horizon(),
                "/horizonConfig/databaseSecretRef",
                json!(""),
                format!("{h}.databaseSecretRef"),
            ),
            (
                horizon(),
                "/horizonConfig/databaseSecretRef",
                json!("A b"),
                format!("{h}.databaseSecretRef"),
            ),
            (
                horizon(),
                "/horizonConfig/stellarCoreUrl",
                json!("core"),
                format!("{h}.stellarCoreUrl"),
            ),
            (
                horizon(),
                "/horizonConfig",
                json!({ "databaseSecretRef": "db", "enableIngest": false }),
                format!("{h}.stellarCoreUrl"),
            ),
            (
                horizon(),
                "/horizonConfig/captiveCoreConfig",
                json!("A"),
                format!("{h}.captiveCoreConfig"),
            ),
            (
                rpc(),
                "/sorobanConfig/captiveCoreConfig",
                json!(""),
                format!("{s}.captiveCoreConfig"),
            ),
            (
                rpc(),
                "/sorobanConfig/historyArchiveUrls",
                json!(["http://a", "http://a b"]),
                format!("{s}.historyArchiveUrls[1]"),
            ),
            (
                rpc(),
                "/sorobanConfig/friendbotUrl",
                json!("bot"),
                format!("{s}.friendbotUrl"),
            ),
            (rpc(), "/minAvailable", json!("1"), "spec.minAvailable".to_owned()),
            (rpc(), "/minAvailable", json!("101%"), "spec.minAvailable".to_owned()),
            (rpc(), "/maxUnavailable", json!(-1), "spec.maxUnavailable".to_owned()),
            (rpc(), "/maxUnavailable", json!("+5%"), "spec.maxUnavailable".to_owned()),
        ] {
            let object = with(object, &format!("/spec{pointer}"), &value);
            assert_eq!(fields(&object), [field], "{object}");
        }
        let both = with(rpc(), "/spec/minAvailable", &json!(0));
        assert_eq!(
            fields(&with(both, "/spec/maxUnavailable", &json!(1))),
            ["spec.maxUnavailable"]
        );
        let shared = with(rpc(), "/spec/storage", &json!({ "size": "1Gi" }));
        assert_eq!(fields(&with(shared, "/spec/replicas", &json!(2))), ["spec.replicas"]);
    }

    #[test]
    fn what_is_fine() {
        for (object, pointer, value) in [
            (horizon(), "/replicas", json!(3)),
            (horizon(), "/storage", json!({ "size": "10Gi" })),
            (horizon(), "/horizonConfig", json!({ "databaseSecretRef": "db" })),
            (horizon(), "/horizonConfig/enableIngest", json!(false)),
            (
                rpc(),
                "/storage",
                json!({ "size": "10Gi", "retentionPolicy": "Retain" }),
            ),
            (rpc(), "/sorobanConfig/maxEventsPerRequest", json!(10)),
            (rpc(), "/maxUnavailable", json!("50%")),
            (rpc(), "/minAvailable", json!(0)),
        ] {
            let object = with(object, &format!("/spec{pointer}"), &value);
            assert_eq!(fields(&object), [] as [&str; 0], "{object}");
        }
    }

    #[test]
    fn what_is_told() {
        for (object, pointer, value, word) in [
            (horizon(), "/horizonConfig/ingestWorkers", json!(4), "ingestWorkers"),
            (rpc(), "/sorobanConfig/enablePreflight", json!(true), "enablePreflight"),
            (rpc(), "/network", json!("mainnet"), "captiveCoreConfig: absent"),
            (rpc(), "/minAvailable", json!(1), "evicted"),
            (rpc(), "/minAvailable", json!("100%"), "evicted"),
            (rpc(), "/maxUnavailable", json!("0%"), "evicted"),
            (validator("v1"), "/maxUnavailable", json!(1), "no effect"),
        ] {
            let object = with(object, &format!("/spec{pointer}"), &value);
            let warnings = warnings(&object, &NoContext);
            assert_eq!(warnings.len(), 1, "{object}: {warnings:?}");
            assert!(warnings[0].contains(word), "{word}: {warnings:?}");
        }
        let private = with(horizon(), "/spec/network", &json!("My network"));
        let said = warnings(&private, &NoContext).join("\n");
        assert!(
            said.contains("historyArchiveUrls: absent") && said.contains("captiveCoreConfig: absent"),
            "{said}"
        );
    }

    #[test]
    fn the_http_port_of_a_validator_is_told() {
        let known = Known(vec![validator("v1")]);
        let told = |url: &str| {
            let object = with(horizon(), "/spec/horizonConfig/stellarCoreUrl", &json!(url));
            warnings(&object, &known).iter().any(|said| said.contains("localhost"))
        };
        for url in [
            "http://v1:11626",
            "http://v1-headless:11626",
            "http://v1-headless.stellar.svc:11626/",
            "http://v1-0.v1-headless.stellar.svc.cluster.local:11626",
        ] {
            assert!(told(url), "{url}");
        }
        for url in [
            "http://v1:8080",
            "http://v1",
            "http://v10:11626",
            "http://core:11626",
            "http://localhost:11626",
        ] {
            assert!(!told(url), "{url}");
        }
    }

    #[test]
    fn the_samples_pass_in_silence() {
        for (file, sample) in [
            ("horizon.yaml", include_str!("../../../manifests/samples/horizon.yaml")),
            (
                "soroban-rpc.yaml",
                include_str!("../../../manifests/samples/soroban-rpc.yaml"),
            ),
            (
                "validator.yaml",
                include_str!("../../../manifests/samples/validator.yaml"),
            ),
        ] {
            let reports = crate::commands::check::check(&[(file.to_owned(), sample.to_owned())]).0;
            let [report] = &reports[..] else {
                panic!("{file} is one object");
            };
            assert!(report.judged, "{file}");
            assert_eq!((&report.errors[..], &report.warnings[..]), (&[][..], &[][..]), "{file}");
        }
    }
}
