//! `docs/migration.md` names refused settings of existing StellarNodes and their alternatives. `check` must agree.

use std::process::Command;

use serde_json::{Value, json};

use crate::{code, read, rows, section};

/// Runs `check` on a validator with this part of a spec: whether it passes, and the output.
fn check(part: &str) -> (bool, String) {
    let mut spec = json!({
        "nodeType": "Validator", "network": "testnet", "version": "26.0.1-3109.e78c97ed0.jammy",
        "validatorConfig": { "seedSecretRef": "validator-1-seed" },
    });
    let part: Value = serde_saphyr::from_str(part).unwrap_or_else(|error| panic!("{part}: {error}"));
    for (field, value) in part.as_object().expect("fields") {
        match (spec[field].as_object_mut(), value.as_object()) {
            (Some(present), Some(more)) => present.extend(more.clone()),
            _ => spec[field] = value.clone(),
        }
    }
    let node = json!({
        "apiVersion": "stellar.org/v1alpha1", "kind": "StellarNode", "metadata": { "name": "validator-1" }, "spec": spec,
    });
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("node.yaml");
    std::fs::write(&file, node.to_string()).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_stellar-operator"))
        .arg("check")
        .arg(&file)
        .output()
        .expect("it runs");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn documented_refusals_are_refused_and_their_alternatives_pass() {
    let migration = read("docs/migration.md");
    let table = rows(section(&migration, "## StellarNodes in use"));
    assert!(table.len() > 8, "{table:?}");
    for row in table.into_iter().skip(1) {
        let [before, why, after] = row.as_slice() else {
            panic!("{row:?}")
        };
        let [before, field, after] = [before, why, after].map(|cell| code(cell).into_iter().next().expect("code"));
        let (passes, said) = check(&before);
        let named = said.lines().any(|line| line.contains(&format!("error: {field}: ")));
        assert!(!passes && named, "{before}: the refusal names {field}: {said}");
        let (passes, said) = check(&after);
        assert!(passes, "{after}: {said}");
    }
}

#[test]
fn fields_of_unsupported_features_are_unknown() {
    let migration = read("docs/migration.md");
    let last = section(&migration, "## StellarNodes in use")
        .split("Fields for what this operator does not do")
        .nth(1)
        .expect("a paragraph");
    let fields: Vec<String> = code(last).into_iter().filter(|word| !word.contains(' ')).collect();
    assert!(fields.len() > 8, "{fields:?}");
    for field in fields {
        let (passes, said) = check(&format!("{field}: {{}}"));
        let named = said.contains(&format!("error: spec.{field}: unknown field"));
        assert!(!passes && named, "{field}: {said}");
    }
}
