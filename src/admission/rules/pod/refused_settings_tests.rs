//! Pod settings that the API server would refuse.

use serde_json::json;

use super::settings_tests::{judged, rpc, sidecar};
use crate::admission::fixtures::{horizon, validator, with};

#[test]
fn what_the_api_server_would_refuse_of_a_pod_is_refused_here() {
    let twice = json!([{ "name": "a" }, { "name": "a" }]);
    let spread = json!({
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {},
    });
    for (field, value, refused) in [
        ("podLabels", json!({ "a b": "c" }), "spec.podLabels[a b]"),
        ("podLabels", json!({ "a": "-" }), "spec.podLabels[a]"),
        ("nodeSelector", json!({ "a": "b".repeat(64) }), "spec.nodeSelector[a]"),
        ("nodeSelector", json!({ "A_/a": "b" }), "spec.nodeSelector[A_/a]"),
        ("serviceAccountName", json!("A"), "spec.serviceAccountName"),
        ("priorityClassName", json!(""), "spec.priorityClassName"),
        (
            "imagePullSecrets",
            json!([{ "name": "a b" }]),
            "spec.imagePullSecrets[0].name",
        ),
        ("imagePullSecrets", twice.clone(), "spec.imagePullSecrets"),
        (
            "topologySpreadConstraints",
            json!([spread, spread]),
            "spec.topologySpreadConstraints",
        ),
        (
            "topologySpreadConstraints",
            json!([{ "maxSkew": 0, "topologyKey": "a", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {} }]),
            "spec.topologySpreadConstraints[0].maxSkew",
        ),
        (
            "topologySpreadConstraints",
            json!([{ "maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "Never", "labelSelector": {} }]),
            "spec.topologySpreadConstraints[0].whenUnsatisfiable",
        ),
        ("affinity", json!({ "nodeAffinity": [] }), "spec.affinity"),
        ("podAnnotations", json!({ "a b": "" }), "spec.podAnnotations[a b]"),
        ("podAnnotations", json!({ "a/b/c": "" }), "spec.podAnnotations[a/b/c]"),
        (
            "tolerations",
            json!([{ "key": "a", "operator": "Equals" }]),
            "spec.tolerations[0].operator",
        ),
        ("tolerations", json!([{ "value": "a" }]), "spec.tolerations[0].operator"),
        (
            "tolerations",
            json!([{ "key": "a b", "operator": "Exists" }]),
            "spec.tolerations[0].key",
        ),
        (
            "tolerations",
            json!([{ "operator": "Exists" }, { "key": "a", "operator": "Exists", "value": "b" }]),
            "spec.tolerations[1].value",
        ),
        (
            "tolerations",
            json!([{ "key": "a", "value": "b c" }]),
            "spec.tolerations[0].value",
        ),
        (
            "tolerations",
            json!([{ "key": "a", "effect": "NoSchedul" }]),
            "spec.tolerations[0].effect",
        ),
        (
            "tolerations",
            json!([{ "key": "a", "tolerationSeconds": 1 }]),
            "spec.tolerations[0].effect",
        ),
        (
            "resources",
            json!({ "requests": { "memroy": "4Gi" } }),
            "spec.resources.requests.memroy",
        ),
        (
            "resources",
            json!({ "limits": { "example.org/a b": "1" } }),
            "spec.resources.limits.example.org/a b",
        ),
        ("env", json!([{ "name": "" }]), "spec.env[0].name"),
        (
            "env",
            json!([{ "name": "A", "value": "1", "valueFrom": {} }]),
            "spec.env[0].valueFrom",
        ),
        ("env", twice.clone(), "spec.env"),
        ("probes", json!({ "startup": {} }), "spec.probes.startup"),
        (
            "probes",
            json!({ "startup": { "exec": {}, "grpc": { "port": 1 } } }),
            "spec.probes.startup",
        ),
        (
            "probes",
            json!({ "liveness": { "tcpSocket": { "port": 1 }, "successThreshold": 2 } }),
            "spec.probes.liveness.successThreshold",
        ),
        ("sidecars", json!([{ "image": "a" }]), "spec.sidecars[0].name"),
        ("sidecars", json!([{ "name": "a" }]), "spec.sidecars[0].image"),
        ("sidecars", sidecar(&json!({ "name": "A" })), "spec.sidecars[0].name"),
        ("sidecars", sidecar(&json!({ "args": "a" })), "spec.sidecars[0]"),
        ("sidecars", sidecar(&json!({ "env": twice })), "spec.sidecars[0].env"),
        (
            "sidecars",
            json!([{ "name": "a", "image": "a" }, { "name": "a", "image": "a" }]),
            "spec.sidecars[1].name",
        ),
        (
            "sidecars",
            sidecar(&json!({ "ports": [{ "containerPort": 1 }, { "containerPort": 1 }] })),
            "spec.sidecars[0].ports[1].containerPort",
        ),
    ] {
        for node in [validator("v1"), horizon(), rpc()] {
            let verdict = judged(node, field, &value);
            let fields: Vec<&str> = verdict.errors.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(fields, [refused], "{field} {value}: {verdict:?}");
        }
    }
    let mounts = json!([{ "name": "data", "mountPath": "/a" }, { "name": "mine", "mountPath": "/b" }]);
    for node in [validator("v1"), horizon(), rpc()] {
        let is_validator = node["spec"]["nodeType"] == "Validator";
        let verdict = judged(node, "sidecars", &sidecar(&json!({ "volumeMounts": mounts })));
        let told = verdict
            .warnings
            .iter()
            .any(|told| told.starts_with("spec.sidecars[0].volumeMounts[1].name"));
        assert_eq!(
            (verdict.errors.is_empty(), told),
            (is_validator, is_validator),
            "{verdict:?}"
        );
    }
    for (name, key, refused) in [("A", "k", "name"), ("a", "", "key"), ("a", "k k", "key")] {
        let database = json!({ "secretKeyRef": { "name": name, "key": key } });
        let verdict = judged(validator("v1"), "validatorConfig/database", &database);
        assert_eq!(verdict.errors.len(), 1, "{verdict:?}");
        assert!(
            verdict.errors[0].field.ends_with(&format!("secretKeyRef.{refused}")),
            "{verdict:?}"
        );
    }
    let preferred = with(validator("v1"), "/spec/validatorConfig/peersAs", &json!("Preferred"));
    let core = json!("PREFERRED_PEERS=['a']");
    assert!(judged(validator("v1"), "validatorConfig/coreConfig", &core).passes());
    assert!(!judged(preferred, "validatorConfig/coreConfig", &core).passes());
}
