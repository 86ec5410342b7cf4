//! The errors of the schema; every keyword in it is implemented.

use serde_json::json;

use crate::admission::fixtures::{horizon, validator, with};
use crate::commands::check::schema::*;

fn refused(object: &Value) -> Vec<(String, String)> {
    let schema = crate::crd::schema().expect("the CRD has a schema");
    let mut object = object.clone();
    prune(&schema, &mut object);
    let errors = check(&schema, &object).into_iter();
    errors.map(|error| (error.field, error.message)).collect()
}

#[test]
fn sound_objects_pass() {
    for object in [
        validator("v1"),
        horizon(),
        with(
            validator("v1"),
            "/spec/storage",
            &json!({ "size": "1Gi", "storageClass": null }),
        ),
        with(validator("v1"), "/spec/image", &Value::Null),
        with(validator("v1"), "/spec/replicas", &json!(1.0)),
        with(validator("v1"), "/spec/podAnnotations", &json!({ "a": "b" })),
        with(
            validator("v1"),
            "/spec/resources",
            &json!({ "limits": { "cpu": 2, "memory": "4Gi" } }),
        ),
        with(validator("v1"), "/spec/validatorConfig/peerPort", &json!(65535)),
        with(
            validator("v1"),
            "/spec/sidecars",
            &json!([{ "name": "a", "image": "b", "fieldOfTomorrow": null }]),
        ),
        with(validator("v1"), "/spec/affinity", &json!({ "fieldOfTomorrow": 1 })),
        with(validator("v1"), "/metadata/anything", &json!([1])),
        with(validator("v1"), "/status", &json!({ "replicas": "x" })),
    ] {
        assert_eq!(refused(&object), [], "{object}");
    }
}

#[test]
fn a_null_is_removed_where_the_schema_allows_none() {
    let schema = crate::crd::schema().expect("the CRD has a schema");
    let object = with(validator("v1"), "/spec/replicas", &Value::Null);
    let object = with(object, "/spec/validatorConfig/knownPeers", &Value::Null);
    let object = with(object, "/spec/resources", &json!({ "limits": null }));
    let mut object = with(object, "/spec/image", &Value::Null);
    object["spec"]["unknown"] = Value::Null;
    prune(&schema, &mut object);
    let expected = with(validator("v1"), "/spec/resources", &json!({}));
    let mut expected = with(expected, "/spec/image", &Value::Null);
    expected["spec"]["unknown"] = Value::Null;
    assert_eq!(object, expected);
}

#[test]
fn what_the_schema_refuses_is_named() {
    let spec = |field: &str, value: Value| with(validator("v1"), &format!("/spec/{field}"), &value);
    for (object, field, word) in [
        (json!({ "kind": "StellarNode" }), "spec", "absent"),
        (spec("network", Value::Null), "spec.network", "absent"),
        (spec("network", json!("")), "spec.network", "empty"),
        (spec("version", json!(26)), "spec.version", "put it in quotes"),
        (spec("suspended", json!("yes")), "spec.suspended", "true or false"),
        (spec("replicas", json!("1")), "spec.replicas", "a whole number"),
        (spec("replicas", json!(1.5)), "spec.replicas", "a whole number"),
        (spec("replicas", json!(-1)), "spec.replicas", "write 0 or more"),
        (
            spec("replicas", json!(1_i64 << 40)),
            "spec.replicas",
            "write 2147483647 or less",
        ),
        (
            spec("nodeType", json!("Core")),
            "spec.nodeType",
            "\"Validator\", \"Horizon\"",
        ),
        (
            spec("podAnnotations", json!({ "a": 1 })),
            "spec.podAnnotations.a",
            "a text",
        ),
        (
            spec("resources", json!({ "limits": { "cpu": true } })),
            "spec.resources.limits.cpu",
            "a text",
        ),
        (spec("storage", json!({ "size": 100 })), "spec.storage.size", "a text"),
        (spec("storage", json!("100Gi")), "spec.storage", "a map"),
        (spec("affinity", json!([])), "spec.affinity", "a map"),
        (
            spec("sidecars", json!([{ "name": "a" }])),
            "spec.sidecars[0].image",
            "absent",
        ),
        (
            spec("tolerations", json!([{ "kye": "a" }])),
            "spec.tolerations[0].kye",
            "unknown field",
        ),
        (
            spec("probes", json!({ "liveness": { "periodSeconds": "5" } })),
            "spec.probes.liveness.periodSeconds",
            "a whole number",
        ),
        (
            spec("storage", json!({ "mode": "Local" })),
            "spec.storage.mode",
            "\"EmptyDir\"",
        ),
        (
            spec("validatorConfig/database", json!({ "secretKeyRef": { "name": "a" } })),
            "spec.validatorConfig.database.secretKeyRef.key",
            "absent",
        ),
        (
            spec("suspendd", json!(true)),
            "spec.suspendd",
            "unknown field: did you mean suspended?",
        ),
        (
            spec("validatorConfig/peerport", json!(1)),
            "spec.validatorConfig.peerport",
            "did you mean peerPort?",
        ),
        (
            spec("peerPort", json!(11625)),
            "spec.peerPort",
            "unknown field in this place: write it as spec.validatorConfig.peerPort",
        ),
        (
            spec("validatorConfig/version", json!("1")),
            "spec.validatorConfig.version",
            "write it as spec.version",
        ),
        (
            spec("whatever", json!(1)),
            "spec.whatever",
            "correct its spelling or remove it",
        ),
        (
            spec("validatorConfig/peerPort", json!(0)),
            "spec.validatorConfig.peerPort",
            "write 1 or more",
        ),
        (
            spec("validatorConfig/peerPort", json!(70000)),
            "spec.validatorConfig.peerPort",
            "write 65535 or less",
        ),
        (
            spec("validatorConfig/knownPeers", json!("a")),
            "spec.validatorConfig.knownPeers",
            "a list",
        ),
        (
            spec("validatorConfig/knownPeers", json!(["a", 1])),
            "spec.validatorConfig.knownPeers[1]",
            "a text",
        ),
        (
            spec("validatorConfig/knownPeersRef", json!({ "key": "k".repeat(254) })),
            "spec.validatorConfig.knownPeersRef.key",
            "253",
        ),
        (
            with(
                horizon(),
                "/spec/horizonConfig",
                &json!({ "stellarCoreUrl": "http://a" }),
            ),
            "spec.horizonConfig.databaseSecretRef",
            "absent",
        ),
        (with(validator("v1"), "/spce", &json!({})), "spce", "unknown field"),
    ] {
        let errors = refused(&object);
        assert_eq!(errors.len(), 1, "{field}: {errors:?}");
        assert_eq!(errors[0].0, field);
        assert!(errors[0].1.contains(word), "{word:?} in {errors:?}");
    }
}

/// Fails for a keyword that [`check_value`] would ignore silently.
#[test]
fn lists_have_neither_too_few_nor_too_many_entries() {
    let field = "/spec/validatorConfig/peerGroup";
    for (count, message) in [
        (0, Some("empty list")),
        (1, None),
        (64, None),
        (65, Some("more than 64")),
    ] {
        let namespaces: Vec<String> = (0..count).map(|number| format!("n{number}")).collect();
        let group = json!({ "name": "all", "namespaces": namespaces });
        let found = refused(&with(validator("v1"), field, &group));
        assert_eq!(found.len(), usize::from(message.is_some()), "{count}: {found:?}");
        assert!(message.is_none_or(|message| found[0].1.contains(message)), "{found:?}");
    }
}

#[test]
fn every_keyword_of_our_schema_is_read() {
    const READ: [&str; 21] = [
        "additionalProperties",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "nullable",
        "properties",
        "required",
        "type",
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
        // The rules of the webhook cover it, or it has no meaning for a single manifest.
        "title",
        "x-kubernetes-list-type",
        "x-kubernetes-validations",
    ];
    const FORMATS: [&str; 3] = ["int32", "int64", "date-time"];
    fn visit(schema: &Value) {
        for (keyword, value) in schema.as_object().expect("a schema") {
            match keyword.as_str() {
                "properties" => value.as_object().expect("properties").values().for_each(visit),
                "items" | "additionalProperties" => visit(value),
                "format" => assert!(FORMATS.contains(&value.as_str().expect("a format")), "{value}"),
                "anyOf" if schema["x-kubernetes-int-or-string"] == true => {}
                "x-kubernetes-list-map-keys" => {}
                other => assert!(READ.contains(&other), "{other}"),
            }
        }
    }
    visit(&serde_json::to_value(crate::crd::schema().expect("a schema")).expect("JSON"));
}
