//! Test objects and caches for the rules.

use proptest::prelude::ProptestConfig;
use serde_json::{Value, json};

use super::context::Context;
use crate::crd::StellarNode;

/// Number of cases per property: `PROPTEST_CASES` for long runs, otherwise enough for daily use.
pub(crate) fn cases() -> ProptestConfig {
    if std::env::var_os("PROPTEST_CASES").is_some() {
        ProptestConfig::default()
    } else {
        ProptestConfig::with_cases(4000)
    }
}

/// A valid validator.
pub(crate) fn validator(name: &str) -> Value {
    json!({
        "apiVersion": "stellar.org/v1alpha1",
        "kind": "StellarNode",
        "metadata": { "name": name, "namespace": "stellar" },
        "spec": {
            "nodeType": "Validator",
            "network": "testnet",
            "version": "26.0.1",
            "validatorConfig": { "seedSecretRef": format!("{name}-seed") },
        },
    })
}

/// A valid Horizon server.
pub(crate) fn horizon() -> Value {
    json!({
        "apiVersion": "stellar.org/v1alpha1",
        "kind": "StellarNode",
        "metadata": { "name": "api", "namespace": "stellar" },
        "spec": {
            "nodeType": "Horizon",
            "network": "testnet",
            "version": "26.0.1",
            "horizonConfig": { "databaseSecretRef": "db", "stellarCoreUrl": "http://core:11626" },
        },
    })
}

/// A validator's StatefulSet as a person would write it, with these containers.
pub(crate) fn stateful_set(containers: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": "v1",
            "namespace": "stellar",
            "labels": {
                "app.kubernetes.io/name": "stellar-node",
                "app.kubernetes.io/component": "validator",
                "app.kubernetes.io/instance": "v1",
            },
        },
        "spec": {
            "replicas": 1,
            "fieldOfTomorrow": { "kept": [1.50, null] },
            "template": { "spec": { "containers": containers } },
        },
    })
}

/// The object with `value` at `pointer`.
pub(crate) fn with(mut object: Value, pointer: &str, value: &Value) -> Value {
    let mut place = &mut object;
    for token in pointer.split('/').skip(1) {
        place = match token.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[token.replace("~1", "/")],
        };
    }
    *place = value.clone();
    object
}

/// A context with these StellarNodes, all in one namespace.
pub(super) struct Known(pub(super) Vec<Value>);

impl Known {
    fn nodes(&self) -> impl Iterator<Item = StellarNode> {
        self.0
            .iter()
            .map(|node| serde_json::from_value(node.clone()).expect("a StellarNode"))
    }
}

impl Context for Known {
    fn node(&self, _namespace: &str, name: &str) -> Option<StellarNode> {
        self.nodes().find(|node| node.metadata.name.as_deref() == Some(name))
    }

    fn each_validator(&self, _namespace: &str, visit: &mut dyn FnMut(&StellarNode)) {
        self.nodes()
            .filter(|node| node.spec.validator_config.is_some())
            .for_each(|node| visit(&node));
    }
}
