//! The shipped rights are exactly those that the operator uses.
//!
//! This test reads the records that `tests/rights/record` makes of the API servers' audit logs, so it runs after the
//! other tests (`make cluster-tests`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use serde_json::Value;

const SHIPPED: [&str; 4] = [
    include_str!("../../manifests/base/rbac-cluster.yaml"),
    include_str!("../../manifests/base/rbac-own-namespace.yaml"),
    include_str!("../../manifests/base/rbac-watched-namespace.yaml"),
    // For installs that manage all namespaces.
    include_str!("../../manifests/install.yaml"),
];
/// Rights that Kubernetes gives to every ServiceAccount (ClusterRole `system:basic-user` and `system:discovery`).
const OF_EVERY_ACCOUNT: [&str; 1] = ["selfsubjectreviews"];

/// A verb and the resource it is for, as `apps statefulsets patch`.
type Right = (String, String, String);

fn shipped() -> BTreeSet<Right> {
    SHIPPED.iter().flat_map(|text| rights_in(text)).collect()
}

/// The rights of those roles in one file that the same file binds to the operator's account.
fn rights_in(text: &str) -> BTreeSet<Right> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
    let is_bound = |role: &Value| {
        let mut subjects = documents
            .iter()
            .filter(|binding| {
                binding["roleRef"]["kind"] == role["kind"] && binding["roleRef"]["name"] == role["metadata"]["name"]
            })
            .flat_map(|binding| binding["subjects"].as_array().into_iter().flatten());
        subjects.any(|subject| subject["kind"] == "ServiceAccount" && subject["name"] == "stellar-operator")
    };
    let roles = documents.iter().filter(|document| {
        document["kind"]
            .as_str()
            .is_some_and(|kind| kind == "Role" || kind == "ClusterRole")
    });
    roles
        .filter(|role| is_bound(role))
        .flat_map(|role| role["rules"].as_array().expect("rules").iter().flat_map(rights_of))
        .collect()
}

fn rights_of(rule: &Value) -> Vec<Right> {
    let words = |field: &str| -> Vec<String> {
        let words = rule[field].as_array().expect("a list").iter();
        words.map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let mut rights = Vec::new();
    for group in words("apiGroups") {
        for resource in words("resources") {
            rights.extend(
                words("verbs")
                    .into_iter()
                    .map(|verb| (group.clone(), resource.clone(), verb)),
            );
        }
    }
    rights
}

/// The records, one file for each cluster.
fn records() -> Vec<PathBuf> {
    let directory = std::env::var_os("STELLAR_TEST_CALLS").expect("run it with: make cluster-tests");
    let records = std::fs::read_dir(directory).expect("the records");
    records.map(|entry| entry.expect("a file").path()).collect()
}

/// One call of an operator.
struct Call {
    right: Right,
    namespace: String,
    code: u64,
}

fn calls() -> Vec<Call> {
    let lines = records().into_iter().flat_map(|record| {
        let file = std::fs::File::open(record).expect("a record");
        BufReader::new(file).lines().map(|line| line.expect("UTF-8"))
    });
    lines
        .filter_map(|line| call(&serde_json::from_str(&line).ok()?))
        .collect()
}

fn call(event: &Value) -> Option<Call> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let user = event["user"]["username"].as_str()?;
    if !user.starts_with("system:serviceaccount:") || !user.ends_with(":stellar-operator") {
        return None;
    }
    // Skip calls that a test made in the operator's name.
    if event.get("impersonatedUser").is_some() {
        return None;
    }
    let object = event.get("objectRef")?;
    let mut resource = word(&object["resource"]);
    if let Some(part) = object["subresource"].as_str() {
        resource = format!("{resource}/{part}");
    }
    Some(Call {
        right: (word(&object["apiGroup"]), resource, word(&event["verb"])),
        namespace: word(&object["namespace"]),
        code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
    })
}

#[test]
fn used_rights_equal_shipped_rights() {
    let mut used: BTreeMap<Right, usize> = BTreeMap::new();
    let mut refused: BTreeMap<(Right, String), usize> = BTreeMap::new();
    for Call { right, namespace, code } in calls() {
        if OF_EVERY_ACCOUNT.contains(&right.1.as_str()) {
            continue;
        }
        if code == 403 {
            *refused.entry((right, namespace)).or_default() += 1;
            continue;
        }
        // A server-side apply that creates needs both.
        if right.2 == "patch" && code == 201 {
            *used
                .entry((right.0.clone(), right.1.clone(), "create".to_owned()))
                .or_default() += 1;
        }
        *used.entry(right).or_default() += 1;
    }
    let all: usize = used.values().sum();
    assert!(all > 1000, "the records have too few calls: {all}");
    let shipped = shipped();
    let used: BTreeSet<Right> = used.into_keys().collect();
    let unused: Vec<&Right> = shipped.difference(&used).collect();
    assert!(unused.is_empty(), "shipped but never used: {unused:#?}");
    let more: Vec<&Right> = used.difference(&shipped).collect();
    assert!(more.is_empty(), "used but not shipped: {more:#?}");
    println!(
        "{all} calls of {} rights; refused after a namespace or its rights were removed: {refused:#?}",
        used.len()
    );
}
