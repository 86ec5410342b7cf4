//! The rules for a seed in a file: keySource KMS requires a path.

use serde_json::Value;

use crate::admission::validate::Verdict;
use crate::core_config::pod_paths;
use crate::kubernetes::field_error::FieldError;
use crate::kubernetes::names::{is_subdomain, not_a_name};

/// Longest name of a CSI driver (`storage/v1`, `CSIDriver`).
const DRIVER_LIMIT: usize = 63;

pub(crate) fn check(config: &Value, verdict: &mut Verdict) {
    if config["keySource"] != "KMS" {
        return;
    }
    let field = "spec.validatorConfig.kmsConfig.seedPath";
    let example = "for example /mnt/secrets/seed";
    let csi = &config["kmsConfig"]["csi"];
    match config["kmsConfig"]["seedPath"].as_str().filter(|path| !path.is_empty()) {
        None => verdict.error(FieldError::required(
            field,
            format!("absent: with keySource KMS write the path of the file that holds the seed, {example}"),
        )),
        Some(path) if !path.starts_with('/') => verdict.error(FieldError::invalid(
            field,
            format!("{path:?} is not an absolute path: write one that starts with /, {example}"),
        )),
        Some(path) if !csi.is_null() => {
            if let Err(problem) = pod_paths::seed_dir(path) {
                verdict.error(FieldError::invalid(field, problem));
            }
        }
        Some(_) => {}
    }
    if !csi.is_null() {
        check_driver(csi, verdict);
    }
}

fn check_driver(csi: &Value, verdict: &mut Verdict) {
    let field = |name: &str| format!("spec.validatorConfig.kmsConfig.csi.{name}");
    let driver = csi["driver"].as_str().unwrap_or_default();
    if driver.is_empty() {
        verdict.error(FieldError::required(
            field("driver"),
            "absent: write the name of the CSI driver, for example secrets-store.csi.k8s.io",
        ));
    } else if !is_subdomain(&driver.to_ascii_lowercase()) || driver.len() > DRIVER_LIMIT {
        verdict.error(FieldError::invalid(
            field("driver"),
            format!("{driver:?} cannot be the name of a CSI driver: write at most {DRIVER_LIMIT} of letters, digits, - and ."),
        ));
    }
    let secret = &csi["nodePublishSecretRef"];
    let name = secret["name"].as_str().unwrap_or_default();
    if !secret.is_null() && !is_subdomain(name) {
        verdict.error(FieldError::invalid(
            field("nodePublishSecretRef.name"),
            not_a_name(name, "Secret"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_problem_has_its_field() {
        let kms = |path: &str, csi: Value| json!({ "keySource": "KMS", "kmsConfig": { "seedPath": path, "csi": csi } });
        let good = json!({ "driver": "secrets-store.csi.k8s.io", "nodePublishSecretRef": { "name": "a" } });
        for (config, expected) in [
            (kms("/mnt/secrets/seed", good.clone()), None),
            (kms("/seed", Value::Null), None),
            (json!({ "keySource": "KMS" }), Some("seedPath")),
            (kms("seed", Value::Null), Some("seedPath")),
            (kms("/seed", good.clone()), Some("seedPath")),
            (kms("/config/seed", good.clone()), Some("seedPath")),
            (kms("/mnt/a", json!({})), Some("csi.driver")),
            (kms("/mnt/a", json!({ "driver": "a b" })), Some("csi.driver")),
            (kms("/mnt/a", json!({ "driver": "a".repeat(64) })), Some("csi.driver")),
            (
                kms("/mnt/a", json!({ "driver": "a", "nodePublishSecretRef": {} })),
                Some("csi.nodePublishSecretRef.name"),
            ),
            (json!({ "kmsConfig": { "csi": {} } }), None),
        ] {
            let mut verdict = Verdict::default();
            check(&config, &mut verdict);
            let fields: Vec<&str> = verdict.errors.iter().map(|error| error.field.as_str()).collect();
            let expected = expected.map(|field| format!("spec.validatorConfig.kmsConfig.{field}"));
            assert_eq!(fields, Vec::from_iter(expected.as_deref()), "{config}");
        }
    }
}
