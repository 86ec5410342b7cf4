//! Valid objects, into which a case can write its values.

use serde_json::{Value, json};
use test_kit::Validators;

/// A suspended validator of testnet with its own seed. `spec` is merged into its spec; null removes a field.
pub(super) fn validator(name: &str, spec: Value) -> Value {
    let object = json!({
        "apiVersion": "stellar.org/v1alpha1",
        "kind": "StellarNode",
        "metadata": { "name": name },
        "spec": {
            "nodeType": "Validator",
            "network": "testnet",
            "version": "26.0.1-3109.e78c97ed0.jammy",
            // Suspended, because the cases need no pod.
            "suspended": true,
            "validatorConfig": { "seedSecretRef": format!("{name}-seed") },
        },
    });
    with(object, json!({ "spec": spec }))
}

/// The same validator with `config` merged into `spec.validatorConfig`.
pub(super) fn configured(name: &str, config: Value) -> Value {
    validator(name, json!({ "validatorConfig": config }))
}

/// The same validator on a private network with its own list, and so not in the group of the testnet validators.
pub(super) fn private(name: &str, config: Value) -> Value {
    let apart = configured(name, json!({ "knownPeersRef": { "name": format!("{name}-peers") } }));
    let network = format!("Private network of {name} ; 2026");
    with(
        apart,
        json!({ "spec": { "network": network, "validatorConfig": config } }),
    )
}

/// A quorum set of this many equal validators.
pub(super) fn quorum_set(validators: usize) -> String {
    let group = Validators::new(validators);
    let keys: Vec<&str> = (1..=validators).map(|number| group.public_key(number)).collect();
    format!("[QUORUM_SET]\nTHRESHOLD_PERCENT=67\nVALIDATORS={keys:?}\n")
}

/// A quorum set of this many organisations with one validator each.
pub(super) fn organisations(number: usize) -> String {
    let group = Validators::new(number);
    let organisation = |number: usize| {
        let domain = format!("HOME_DOMAIN=\"{number}.example.org\"\n");
        let key = group.public_key(number);
        format!(
            "[[HOME_DOMAINS]]\n{domain}QUALITY=\"MEDIUM\"\n[[VALIDATORS]]\n{domain}NAME=\"of-{number}\"\nPUBLIC_KEY={key:?}\n"
        )
    };
    let unsafe_quorum = "UNSAFE_QUORUM=true\n".to_owned();
    [unsafe_quorum]
        .into_iter()
        .chain((1..=number).map(organisation))
        .collect()
}

/// A running validator of testnet with this seed Secret.
pub(super) fn running(name: &str, seed: &str) -> Value {
    validator(
        name,
        json!({ "suspended": false, "validatorConfig": { "seedSecretRef": seed } }),
    )
}

/// A Stellar RPC server.
pub(super) fn rpc(name: &str, spec: Value) -> Value {
    let node = json!({
        "apiVersion": "stellar.org/v1alpha1",
        "kind": "StellarNode",
        "metadata": { "name": name },
        "spec": { "nodeType": "SorobanRpc", "network": "testnet", "version": "23.0.4", "sorobanConfig": {} },
    });
    with(node, json!({ "spec": spec }))
}

/// A Horizon server.
pub(super) fn horizon(name: &str) -> Value {
    json!({
        "apiVersion": "stellar.org/v1alpha1",
        "kind": "StellarNode",
        "metadata": { "name": name },
        "spec": {
            "nodeType": "Horizon",
            "network": "testnet",
            "version": "26.0.0",
            "suspended": true,
            "horizonConfig": { "databaseSecretRef": "db", "stellarCoreUrl": "http://core:11626" },
        },
    })
}

/// The labels that identify a validator's StatefulSet.
pub(super) fn labels() -> Value {
    json!({ "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/component": "validator" })
}

/// A validator's StatefulSet that the operator did not build, without pods. Each container meets the pod security
/// standard of the namespace.
pub(super) fn stateful_set(name: &str, containers: &[Value]) -> Value {
    with(
        unlabelled(name, containers),
        json!({ "metadata": { "labels": labels() } }),
    )
}

/// The same StatefulSet with an annotation for its port.
pub(super) fn annotated(name: &str, port: &str, containers: &[Value]) -> Value {
    with(stateful_set(name, containers), port_annotation(port))
}

/// The patch that writes the port annotation.
pub(super) fn port_annotation(port: &str) -> Value {
    json!({ "metadata": { "annotations": { "stellar.org/peer-port": port } } })
}

/// A StatefulSet without the labels of a validator.
pub(super) fn unlabelled(name: &str, containers: &[Value]) -> Value {
    let containers: Vec<Value> = containers.iter().cloned().map(restricted).collect();
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": name },
        "spec": {
            "replicas": 0,
            "serviceName": name,
            "selector": { "matchLabels": { "app": name } },
            "template": { "metadata": { "labels": { "app": name } }, "spec": { "containers": containers } },
        },
    })
}

/// A container that meets the pod security standard `restricted`.
pub(super) fn restricted(container: Value) -> Value {
    let context = json!({
        "runAsNonRoot": true,
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    with(container, json!({ "image": "core:1", "securityContext": context }))
}

/// Applies a merge patch to an object.
pub(super) fn with(mut object: Value, patch: Value) -> Value {
    json_patch::merge(&mut object, &patch);
    object
}
