//! The most expensive reviews that the author of a StellarNode can make, each of any size.
//!
//! Their cost must grow linearly: twice the size may take little more than twice the instructions.

use std::fmt::Write as _;

use serde_json::{Value, json};
use stellar_strkey::ed25519::PublicKey;

/// A kind of review.
pub(crate) struct Worst {
    pub(crate) name: &'static str,
    /// The smaller of the two compared sizes.
    pub(crate) size: usize,
    /// The StellarNode for a size.
    pub(crate) node: fn(usize) -> Value,
}

pub(crate) const WORST: [Worst; 18] = [
    Worst {
        name: "quorum-domains",
        size: 250,
        node: |size| quorum(&domains(size)),
    },
    Worst {
        name: "quorum-one-domain",
        size: 250,
        node: one_domain,
    },
    Worst {
        name: "quorum-names",
        size: 250,
        node: |size| quorum(&names(size)),
    },
    Worst {
        name: "quorum-inner-sets",
        size: 500,
        node: |size| quorum(&inner_sets(size)),
    },
    Worst {
        name: "quorum-long-name",
        size: 2000,
        node: |size| quorum(&long_name(size)),
    },
    Worst {
        name: "quorum-deep",
        size: 4000,
        node: |size| quorum(&format!("QUORUM_SET{}=1", ".a".repeat(size))),
    },
    Worst {
        name: "core-long-key",
        size: 50_000,
        node: |size| core(&format!("{}=1", "A".repeat(size))),
    },
    Worst {
        name: "core-keys",
        size: 200,
        node: |size| core(&lines(size, |i| format!("NEW_KEY_OF_TOMORROW_NUMBER_{i}=1"))),
    },
    Worst {
        name: "core-patterns",
        size: 16,
        node: |size| {
            core(&format!(
                "INVARIANT_CHECKS=[{}]",
                lines(size, |i| format!("'(?!B)(?!C)[A-Z]{{{i}}}\\w?.*',"))
            ))
        },
    },
    Worst {
        name: "core-operations",
        size: 2000,
        node: |size| {
            core(&format!(
                "EXCLUDE_TRANSACTIONS_CONTAINING_OPERATION_TYPE=[{}]",
                lines(size, |i| format!("'payment operation {i}',"))
            ))
        },
    },
    Worst {
        name: "core-archives",
        size: 1000,
        node: |size| {
            core(&lines(size, |i| {
                format!("[HISTORY.archive-{i}]\nput='a {{'\nother='b'\n")
            }))
        },
    },
    Worst {
        name: "archives-twice",
        size: 250,
        node: archives_twice,
    },
    Worst {
        name: "archive-urls",
        size: 2000,
        node: |size| validator("historyArchiveUrls", &strings(size, |i| format!("ftp://archive-{i}"))),
    },
    Worst {
        name: "known-peers",
        size: 2000,
        node: |size| validator("knownPeers", &strings(size, |i| format!("10.0.0.{i}:1:1"))),
    },
    Worst {
        name: "sidecars",
        size: 500,
        node: |size| {
            spec(
                "sidecars",
                (0..size)
                    .map(|i| json!({"name": format!("c-{i}"), "image": "a", "ports": [{"containerPort": 10_000 + i}]}))
                    .collect(),
            )
        },
    },
    Worst {
        name: "empty-sidecars",
        size: 4000,
        node: |size| spec("sidecars", (0..size).map(|_| json!({})).collect()),
    },
    Worst {
        name: "annotations",
        size: 2000,
        node: |size| {
            annotated(
                (0..size)
                    .map(|i| (format!("stellar.org/restart-approval-{i}"), json!("a")))
                    .collect(),
            )
        },
    },
    Worst {
        name: "long-annotation",
        size: 50_000,
        node: |size| annotated(std::iter::once((format!("stellar.org/{}", "a".repeat(size)), json!("a"))).collect()),
    },
];

/// The review of an update without changes, which runs every rule twice.
pub(crate) fn review(node: &Value) -> Vec<u8> {
    let mut before = node.clone();
    before["spec"]["version"] = json!("26.0.0");
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": { "group": "stellar.org", "version": "v1alpha1", "kind": "StellarNode" },
            "operation": "UPDATE",
            "namespace": "stellar",
            "name": "worst",
            "object": node,
            "oldObject": before,
        },
    });
    review.to_string().into_bytes()
}

fn node() -> Value {
    json!({
        "apiVersion": "stellar.org/v1alpha1",
        "kind": "StellarNode",
        "metadata": { "name": "worst", "namespace": "stellar" },
        "spec": {
            "nodeType": "Validator",
            "network": "A private network",
            "version": "latest",
            "validatorConfig": { "seedSecretRef": "seed" },
        },
    })
}

fn validator(field: &str, value: &Value) -> Value {
    let mut node = node();
    node["spec"]["validatorConfig"][field] = value.clone();
    node
}

fn spec(field: &str, value: Value) -> Value {
    let mut node = node();
    node["spec"][field] = value;
    node
}

fn annotated(annotations: serde_json::Map<String, Value>) -> Value {
    let mut node = node();
    node["metadata"]["annotations"] = Value::Object(annotations);
    node
}

fn quorum(text: &str) -> Value {
    validator("quorumSet", &json!(text))
}

fn core(text: &str) -> Value {
    validator("coreConfig", &json!(text))
}

fn strings(count: usize, write: impl Fn(usize) -> String) -> Value {
    (0..count).map(|number| json!(write(number))).collect()
}

fn lines(count: usize, write: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        text.push_str(&write(number));
        text.push('\n');
        text
    })
}

fn key(number: usize) -> String {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    PublicKey(bytes).to_string().as_str().to_owned()
}

fn entry(number: usize, domain: &str, more: &str) -> String {
    format!(
        "[[VALIDATORS]]\nNAME='v{number}'\nHOME_DOMAIN='{domain}'\nPUBLIC_KEY='{}'\n{more}",
        key(number)
    )
}

/// The validator has no home domain and fits into none of the listed ones.
fn domains(size: usize) -> String {
    let mut text = lines(size, |i| {
        format!("[[HOME_DOMAINS]]\nHOME_DOMAIN='d{i}'\nQUALITY='HIGH'")
    });
    for number in 0..size {
        text.push_str(&entry(number, &format!("d{number}"), "HISTORY='curl {0} {1}'\n"));
    }
    text
}

/// The validator could be any of these, and the set is refused for each of them.
fn one_domain(size: usize) -> Value {
    let mut text = "FAILURE_SAFETY=999\n[[HOME_DOMAINS]]\nHOME_DOMAIN='d'\nQUALITY='MEDIUM'\n".to_owned();
    for number in 0..size {
        text.push_str(&entry(number, "d", ""));
    }
    let mut node = quorum(&text);
    node["spec"]["validatorConfig"]["homeDomain"] = json!("d");
    node
}

/// Names first, and then sets of one validator each that use them.
fn names(size: usize) -> String {
    let mut text = format!(
        "NODE_NAMES=[{}]\n[QUORUM_SET]\nVALIDATORS=['{}']\n",
        lines(size, |i| format!("'{} n{i}',", key(i))),
        key(size)
    );
    for number in 0..size {
        let _ = write!(
            text,
            "[QUORUM_SET.a{number}]\nVALIDATORS=['$n{number}','$nobody{number}']\n"
        );
    }
    text
}

fn inner_sets(size: usize) -> String {
    "[QUORUM_SET]\nTHRESHOLD_PERCENT=51\n".to_owned()
        + &lines(size, |i| {
            format!("[QUORUM_SET.a.b.c.d{i}]\nVALIDATORS=['{}']\n", key(i))
        })
}

/// A long name that every problem below it repeats.
fn long_name(size: usize) -> String {
    format!(
        "[QUORUM_SET.{}]\n{}",
        "a".repeat(20 * size),
        lines(size, |i| format!("K{i}=1"))
    )
}

/// Archives with the names of validators.
fn archives_twice(size: usize) -> Value {
    let mut text = "[[HOME_DOMAINS]]\nHOME_DOMAIN='d'\nQUALITY='MEDIUM'\n".to_owned();
    for number in 0..size {
        text.push_str(&entry(number, "d", "HISTORY='curl {0} {1}'\n"));
    }
    let mut node = quorum(&text);
    node["spec"]["validatorConfig"]["homeDomain"] = json!("d");
    node["spec"]["validatorConfig"]["coreConfig"] =
        json!(lines(size, |i| format!("[HISTORY.v{i}]\nget='curl {{0}} {{1}}'\n")));
    node
}
