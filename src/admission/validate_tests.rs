//! One case for each rule that refuses an object or warns about it.

use serde_json::{Value, json};

use super::context::NoContext;
use super::fixtures::{horizon, stateful_set, validator, with};
use super::validate::{Verdict, validate};
use crate::kubernetes::field_error::FieldError;
use crate::labels;

pub(super) fn config(field: &str, value: &Value) -> Value {
    with(validator("v1"), &format!("/spec/validatorConfig/{field}"), value)
}

fn core(ports: &Value) -> Value {
    stateful_set(&json!([{ "name": "stellar-core", "ports": ports }]))
}

fn annotated(object: Value, port: &str) -> Value {
    with(
        object,
        "/metadata/annotations",
        &json!({ "stellar.org/peer-port": port }),
    )
}

pub(super) fn fields(verdict: &Verdict) -> Vec<&str> {
    verdict.errors.iter().map(|error| error.field.as_str()).collect()
}

/// Asserts that the object is refused only for this field, with these words in the message.
#[track_caller]
fn refused(object: &Value, field: &str, words: &[&str]) {
    let verdict = validate(object, None, &NoContext);
    assert_eq!(fields(&verdict), [field], "{verdict:?}");
    for word in words {
        assert!(verdict.errors[0].message.contains(word), "{word:?} in {verdict:?}");
    }
}

#[track_caller]
fn accepted(object: &Value) {
    let verdict = validate(object, None, &NoContext);
    assert!(verdict.passes() && verdict.warnings.is_empty(), "{verdict:?}");
}

#[track_caller]
fn warned(object: &Value, words: &str) {
    let verdict = validate(object, None, &NoContext);
    assert!(verdict.passes(), "{verdict:?}");
    assert!(
        verdict.warnings.iter().any(|warning| warning.contains(words)),
        "{words:?} in {verdict:?}"
    );
}

#[test]
fn sound_objects_pass_in_silence() {
    accepted(&validator("v1"));
    accepted(&horizon());
    accepted(&config("peerPort", &json!(1024)));
    accepted(&config("peerPort", &json!(65535)));
    accepted(&core(
        &json!([{ "name": "peer", "containerPort": 11625 }, { "name": "http", "containerPort": 11626 }]),
    ));
    accepted(&annotated(core(&json!([])), "11625"));
    accepted(&validator(&"a".repeat(52)));
    accepted(&with(
        config("keySource", &json!("KMS")),
        "/spec/validatorConfig/kmsConfig",
        &json!({ "seedPath": "/mnt/seed" }),
    ));
    accepted(&json!({ "apiVersion": "v1", "kind": "Pod" }));
    let unlabelled = with(annotated(core(&json!([])), "70000"), "/metadata/labels", &json!({}));
    accepted(&unlabelled);
}

#[test]
fn a_bad_peer_port_is_refused() {
    let field = "spec.validatorConfig.peerPort";
    for (port, words) in [
        (json!(0), ["0 is not a port", "1 to 65535"]),
        (json!(65536), ["65536 is not a port", "1 to 65535"]),
        (json!(-1), ["-1 is not a port", "1 to 65535"]),
        (json!(1.5), ["1.5 is not a port", "whole number"]),
        (json!("11625"), ["\"11625\" is not a port", "whole number"]),
        (json!(11626), ["stellar-core's HTTP port", "11625"]),
        (json!(11628), ["container \"health\"", "11625"]),
    ] {
        refused(&config("peerPort", &port), field, &words);
    }
    warned(&config("peerPort", &json!(1023)), "below 1024");
    warned(&annotated(core(&json!([])), "80"), "below 1024");
}

#[test]
fn a_stateful_set_with_one_seed_has_one_pod() {
    let set = stateful_set(&json!([{ "name": "stellar-core" }]));
    let own = with(
        set.clone(),
        "/metadata/labels/app.kubernetes.io~1managed-by",
        &json!(labels::OPERATOR),
    );
    let selector = json!({ "matchLabels": { labels::NAME: labels::STELLAR_NODE, labels::INSTANCE: "a" } });
    let owner = json!([{ "apiVersion": labels::API_VERSION, "kind": labels::KIND, "name": "a", "uid": "1" }]);
    for (object, refused) in [
        (set.clone(), false),
        (own.clone(), true),
        (with(set.clone(), "/spec/selector", &selector), true),
        (with(set, "/metadata/ownerReferences", &owner), true),
    ] {
        for (replicas, too_many) in [(json!(0), false), (json!(1), false), (json!(2), true)] {
            let object = with(object.clone(), "/spec/replicas", &replicas);
            let verdict = validate(&object, None, &NoContext);
            assert_eq!(verdict.passes(), !(refused && too_many), "{object} {verdict:?}");
            assert_eq!(
                verdict.warnings.is_empty(),
                refused || !too_many,
                "{object} {verdict:?}"
            );
        }
    }
    // A stored object that violates the rule may be updated and corrected.
    let two = with(own.clone(), "/spec/replicas", &json!(2));
    assert!(validate(&two, Some(&two), &NoContext).passes());
    assert!(!validate(&with(own.clone(), "/spec/replicas", &json!(3)), Some(&two), &NoContext).passes());
    assert!(validate(&own, Some(&two), &NoContext).passes());
}

#[test]
fn a_stateful_set_must_not_contradict_itself() {
    let annotation = "metadata.annotations[stellar.org/peer-port]";
    for text in ["70000", "0", "", "+5", "11625 ", "peer"] {
        refused(
            &annotated(core(&json!([])), text),
            annotation,
            &["is not a port", "1 to 65535"],
        );
    }
    refused(&annotated(core(&json!([])), "11626"), annotation, &["HTTP port"]);
    let number = "spec.template.spec.containers[0].ports[0].containerPort";
    let peer = |port: u32| core(&json!([{ "name": "core-peer", "containerPort": port }]));
    refused(&peer(11626), number, &["HTTP port"]);
    refused(&peer(70000), number, &["is not a port"]);
    refused(
        &annotated(peer(11625), "11700"),
        number,
        &["11625 is not the 11700", "same port in both"],
    );
    let two = stateful_set(&json!([
        { "name": "exporter", "ports": [{ "containerPort": 11700 }] },
        { "name": "core", "ports": [{ "containerPort": 11626 }] },
    ]));
    let sidecar = |policy: Value| {
        with(
            core(&json!([{ "name": "peer", "containerPort": 11700 }])),
            "/spec/template/spec/initContainers",
            &json!([{ "name": "health", "restartPolicy": policy, "ports": [{ "containerPort": 11700 }] }]),
        )
    };
    accepted(&sidecar(Value::Null));
    refused(
        &sidecar(json!("Always")),
        "spec.template.spec.containers[0].ports",
        &["container \"health\""],
    );
    refused(
        &annotated(two, "11700"),
        annotation,
        &["container \"exporter\"", "no other container"],
    );
}

#[test]
fn what_cannot_work_is_refused_with_the_fix() {
    let spec = |field: &str, value: Value| with(validator("v1"), &format!("/spec/{field}"), &value);
    for (object, field, word) in [
        (validator("v.1"), "metadata.name", "52"),
        (validator("1v"), "metadata.name", "first a letter"),
        (validator("v-"), "metadata.name", "last no -"),
        (validator(&"a".repeat(53)), "metadata.name", "53 characters"),
        (
            spec("nodeType", json!("Core")),
            "spec.nodeType",
            "Validator, Horizon or SorobanRpc",
        ),
        (spec("replicas", json!(2)), "spec.replicas", "write 1"),
        (spec("replicas", json!(0)), "spec.replicas", "suspended: true"),
        (spec("horizonConfig", json!({})), "spec.horizonConfig", "remove it"),
        (spec("validatorConfig", Value::Null), "spec.validatorConfig", "needs it"),
        (
            with(horizon(), "/spec/validatorConfig", &json!({})),
            "spec.validatorConfig",
            "spec.horizonConfig",
        ),
        (
            with(horizon(), "/spec/horizonConfig/stellarCoreUrl", &json!("core:1")),
            "spec.horizonConfig.stellarCoreUrl",
            "http://",
        ),
        (
            config("seedSecretRef", &json!("")),
            "spec.validatorConfig.seedSecretRef",
            "Secret",
        ),
        (
            config("seedSecretRef", &json!("My_Seed")),
            "spec.validatorConfig.seedSecretRef",
            "a-z",
        ),
        (
            config("knownPeersRef", &json!({ "name": "v1-config" })),
            "spec.validatorConfig.knownPeersRef.name",
            "stellar-peers",
        ),
        (
            config("knownPeersRef", &json!({ "name": "A b" })),
            "spec.validatorConfig.knownPeersRef.name",
            "ConfigMap",
        ),
        (
            config(
                "peerGroup",
                &json!({ "name": "all", "namespaces": ["stellar-b", "A.b"] }),
            ),
            "spec.validatorConfig.peerGroup.namespaces[1]",
            "namespace",
        ),
        (
            config("knownPeersRef", &json!({ "key": "peers" })),
            "spec.validatorConfig.knownPeersRef.key",
            "KNOWN_PEERS",
        ),
        (
            config("keySource", &json!("KMS")),
            "spec.validatorConfig.kmsConfig.seedPath",
            "absent",
        ),
        (
            with(
                config("keySource", &json!("KMS")),
                "/spec/validatorConfig/kmsConfig",
                &json!({ "seedPath": "seed" }),
            ),
            "spec.validatorConfig.kmsConfig.seedPath",
            "starts with /",
        ),
        (
            config("keySource", &json!("Vault")),
            "spec.validatorConfig.keySource",
            "Vault",
        ),
        (
            spec("resources", json!({ "requests": { "cpu": "two" } })),
            "spec.resources.requests.cpu",
            "500m",
        ),
        (
            spec(
                "resources",
                json!({ "requests": { "cpu": "2" }, "limits": { "cpu": "1500m" } }),
            ),
            "spec.resources.requests.cpu",
            "no more than the limit",
        ),
        (
            spec("storage", json!({ "size": "100GB" })),
            "spec.storage.size",
            "100Gi",
        ),
        (spec("storage", json!({ "size": "0" })), "spec.storage.size", "100Gi"),
    ] {
        refused(&object, field, &[word]);
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let mut object = config("peerPort", &json!(11626));
    object["spec"]["replicas"] = json!(3);
    object["spec"]["storage"] = json!({ "size": "much" });
    object["spec"]["validatorConfig"]["seedSecretRef"] = Value::Null;
    let verdict = validate(&object, None, &NoContext);
    for field in [
        "spec.validatorConfig.peerPort",
        "spec.replicas",
        "spec.storage.size",
        "spec.validatorConfig.seedSecretRef",
    ] {
        assert!(fields(&verdict).contains(&field), "{field} in {verdict:?}");
    }
}

#[test]
fn what_works_and_is_unwise_is_told() {
    warned(&config("enableHistoryArchive", &json!(true)), "none is named");
    warned(
        &with(validator("v1"), "/spec/network", &json!("My Network ; 2026")),
        "quorumSet: absent",
    );
    let keys = (1..=3).map(|i| stellar_strkey::ed25519::PublicKey([i; 32]).to_string());
    let keys: Vec<String> = keys.map(|key| key.as_str().to_owned()).collect();
    let three = config("quorumSet", &json!(format!("[QUORUM_SET]\nVALIDATORS={keys:?}\n")));
    warned(
        &with(three, "/spec/validatorConfig/coreConfig", &json!("UNSAFE_QUORUM=true")),
        "tolerates no failure",
    );
    warned(
        &with(
            validator("v1"),
            "/metadata/annotations",
            &json!({ "stellar.org/peer-prot": "1" }),
        ),
        "did you mean stellar.org/peer-port?",
    );
    warned(&with(core(&json!([])), "/spec/replicas", &json!(2)), "one seed");
    accepted(&with(
        validator("v1"),
        "/metadata/annotations",
        &json!({ "stellar.org/pause-restarts": "" }),
    ));
}

#[test]
fn of_very_many_problems_so_many_are_kept_and_the_others_counted() {
    let mut verdict = Verdict::default();
    for _ in 0..1_500 {
        verdict.error(FieldError::invalid("spec", "x"));
        verdict.warn("x");
    }
    assert_eq!((verdict.errors.len(), verdict.warnings.len()), (1_000, 1_000));
    assert!(!verdict.passes());
}
