//! The table of rights in `docs/security.md` equals the rights in the manifests.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{code, read, rows, section};

/// The place, the resource and the verb.
type Right = (String, String, String);

fn granted(place: &str, file: &str, role: &str) -> BTreeSet<Right> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&read(file)).expect("YAML");
    let role = documents.iter().find(|document| {
        let kind = document["kind"].as_str().unwrap_or_default();
        kind.ends_with("Role") && document["metadata"]["name"] == role
    });
    let rules = role.unwrap_or_else(|| panic!("{file}: {role:?}"))["rules"]
        .as_array()
        .expect("rules");
    let words = |value: &Value| -> Vec<String> {
        let words = value.as_array().expect("words").iter();
        words.map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in rules {
        for resource in words(&rule["resources"]) {
            let verbs = words(&rule["verbs"]).into_iter();
            rights.extend(verbs.map(|verb| (place.to_owned(), resource.clone(), verb)));
        }
    }
    rights
}

#[test]
fn table_equals_the_granted_rights() {
    let security = read("docs/security.md");
    let mut documented = BTreeSet::new();
    let mut place = String::new();
    for row in rows(section(&security, "## Rights")).into_iter().skip(1) {
        if !row[0].is_empty() {
            place.clone_from(&row[0]);
        }
        let resources = code(row[1].split(':').next().expect("a part"));
        for resource in resources {
            documented.extend(
                row[2]
                    .split(", ")
                    .map(|verb| (place.clone(), resource.clone(), verb.to_owned())),
            );
        }
    }
    let watched = "each watched namespace";
    let all = [
        granted(
            watched,
            "manifests/base/rbac-watched-namespace.yaml",
            "stellar-operator-nodes",
        ),
        granted(watched, "manifests/install.yaml", "stellar-operator-nodes"),
        granted(
            "the operator's namespace",
            "manifests/base/rbac-own-namespace.yaml",
            "stellar-operator",
        ),
        granted("the cluster", "manifests/base/rbac-cluster.yaml", "stellar-operator"),
    ];
    let granted: BTreeSet<Right> = all.into_iter().flatten().collect();
    assert_eq!(documented, granted);
}

#[test]
fn documentation_states_the_rights_of_view() {
    let security = read("docs/security.md");
    let granted = granted("", "manifests/base/rbac-view.yaml", "stellar-operator-view");
    let verbs: BTreeSet<&str> = granted.iter().map(|(_, _, verb)| verb.as_str()).collect();
    assert_eq!(verbs, BTreeSet::from(["get", "list", "watch"]));
    for (_, resource, _) in &granted {
        let said = section(&security, "## Rights")
            .split("stellar-operator-view")
            .nth(1)
            .expect("a paragraph");
        assert!(code(&format!("`{said}")).contains(resource), "{resource}: {said}");
    }
}
