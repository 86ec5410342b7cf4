//! The rules for data: on a volume or in the pod, in SQLite or in an external database.

use serde_json::Value;

use super::stellar_node::amount_of;
use crate::admission::validate::Verdict;
use crate::kubernetes::field_error::FieldError;
use crate::kubernetes::names::{SUBDOMAIN_LIMIT, is_subdomain, not_a_name};
use crate::kubernetes::quantity::Quantity;

pub(crate) fn check(spec: &Value, verdict: &mut Verdict) {
    check_size(&spec["storage"], verdict);
    if in_pod(spec) {
        check_empty_dir(spec, verdict);
    }
    check_database(&spec["validatorConfig"]["database"], verdict);
}

/// Checks an update: the operator never moves a database.
pub(crate) fn check_change(spec: &Value, before: &Value, verdict: &mut Verdict) {
    check_volume(spec, before, verdict);
    if spec["nodeType"] != "Validator" {
        return;
    }
    if in_pod(spec) != in_pod(before) {
        let keep = if in_pod(before) { "EmptyDir" } else { "PersistentVolume" };
        verdict.error(FieldError::forbidden(
            "spec.storage.mode",
            format!("where a validator keeps its data never changes: write {keep}, or create another StellarNode"),
        ));
    }
    let given = |spec: &Value| spec["validatorConfig"]["database"].is_object();
    if spec["validatorConfig"].is_object() && before["validatorConfig"].is_object() && given(spec) != given(before) {
        let keep = if given(before) { "keep it" } else { "leave it out" };
        verdict.error(FieldError::forbidden(
            "spec.validatorConfig.database",
            format!("a validator's database is not moved: {keep}, or create another StellarNode"),
        ));
    }
}

/// Whether the data is in the pod and lost with it, even with `storage` given.
pub(crate) fn in_pod(spec: &Value) -> bool {
    spec["storage"]["mode"] == "EmptyDir"
}

fn check_empty_dir(spec: &Value, verdict: &mut Verdict) {
    if spec["nodeType"] == "Validator" {
        verdict.warn(
            "spec.storage.mode: with EmptyDir a validator loses its ledger with every pod, catches up after each restart, \
             and does not vote meanwhile: write PersistentVolume if that matters",
        );
    }
    let storage = &spec["storage"];
    let mut without_effect = Vec::new();
    for field in ["storageClass", "annotations"] {
        if !storage[field].is_null() {
            without_effect.push(field);
        }
    }
    if !without_effect.is_empty() {
        verdict.warn(format!(
            "spec.storage: with mode EmptyDir there is no volume claim, so {} has no effect: remove it",
            without_effect.join(", ")
        ));
    }
}

fn check_database(database: &Value, verdict: &mut Verdict) {
    let reference = &database["secretKeyRef"];
    let field = |name: &str| format!("spec.validatorConfig.database.secretKeyRef.{name}");
    if let Some(name) = reference["name"].as_str().filter(|name| !is_subdomain(name)) {
        verdict.error(FieldError::invalid(field("name"), not_a_name(name, "Secret")));
    }
    let fits = |key: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        !key.is_empty() && key.len() <= SUBDOMAIN_LIMIT && key.bytes().all(plain)
    };
    if let Some(key) = reference["key"].as_str().filter(|key| !fits(key)) {
        verdict.error(FieldError::invalid(
            field("key"),
            format!("{key:?} cannot be a key of a Secret: write letters, digits, -, _ and . only"),
        ));
    }
}

fn check_size(storage: &Value, verdict: &mut Verdict) {
    let Some(size) = storage.get("size") else {
        return;
    };
    if amount_of(size).is_none_or(Quantity::is_zero) {
        verdict.error(FieldError::invalid(
            "spec.storage.size",
            format!("{size} is not a size of a volume: write for example 100Gi"),
        ));
    }
}

fn check_volume(spec: &Value, before: &Value, verdict: &mut Verdict) {
    // Without `storage`, a validator has a volume of the default size and other nodes have none.
    let has_volume = spec["nodeType"] == "Validator" || before["storage"].is_object() && spec["storage"].is_object();
    if !has_volume {
        return;
    }
    let size = |spec: &Value| Quantity::parse(spec["storage"]["size"].as_str().unwrap_or("100Gi"));
    if let (Some(new), Some(was)) = (size(spec), size(before))
        && new < was
    {
        verdict.error(FieldError::forbidden(
            "spec.storage.size",
            format!(
                "a volume cannot shrink to {}: write {} or more",
                spec["storage"]["size"].as_str().unwrap_or("100Gi"),
                before["storage"]["size"].as_str().unwrap_or("100Gi")
            ),
        ));
    }
    let (class, was) = (&spec["storage"]["storageClass"], &before["storage"]["storageClass"]);
    if class != was {
        let (field, keep) = ("spec.storage.storageClass", "the class of a volume never changes");
        verdict.error(match was.as_str() {
            Some(was) => FieldError::forbidden(field, format!("{keep}: write {was:?}")),
            None => FieldError::forbidden(field, format!("{keep}: leave it out, as before")),
        });
    }
}
