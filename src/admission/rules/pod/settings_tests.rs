//! Pod settings: valid, reserved and risky ones.

use serde_json::{Value, json};

use crate::admission::context::NoContext;
use crate::admission::fixtures::{horizon, validator, with};
use crate::admission::validate::{Verdict, validate};

pub(super) fn rpc() -> Value {
    let spec = json!({ "nodeType": "SorobanRpc", "network": "testnet", "version": "23.0.4", "sorobanConfig": {} });
    with(horizon(), "/spec", &spec)
}

pub(super) fn judged(node: Value, field: &str, value: &Value) -> Verdict {
    validate(&with(node, &format!("/spec/{field}"), value), None, &NoContext)
}

pub(super) fn sidecar(more: &Value) -> Value {
    let restricted = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    let mut sidecar = json!({ "name": "exporter", "image": "exporter:1", "securityContext": restricted });
    json_patch::merge(&mut sidecar, more);
    json!([sidecar])
}

#[test]
fn what_is_fine_passes_in_silence() {
    let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "a", "operator": "Exists" }] }],
    } } });
    let spread = json!([{
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": { "app.kubernetes.io/name": "stellar-node" } },
    }]);
    let env = json!([{ "name": "A", "value": "1" }, { "name": "B", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
    let sidecars = sidecar(&json!({
        "resources": { "limits": { "cpu": 2, "memory": "1Gi" } },
        "ports": [{ "containerPort": 9100 }, { "containerPort": 11625, "protocol": "UDP" }],
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
    }));
    for node in [validator("v1"), horizon(), rpc()] {
        for (field, value) in [
            ("podLabels", json!({ "team": "a", "example.com/tier": "" })),
            ("podAnnotations", json!({ "a": "b c" })),
            ("nodeSelector", json!({ "kubernetes.io/arch": "amd64" })),
            ("tolerations", json!([{ "operator": "Exists" }])),
            (
                "tolerations",
                json!([{ "key": "example.org/core", "value": "a", "effect": "NoExecute", "tolerationSeconds": 60 }]),
            ),
            ("podAnnotations", json!({ "Example.org/Scrape": "yes" })),
            (
                "resources",
                json!({ "requests": { "ephemeral-storage": "1Gi", "hugepages-2Mi": "2Mi", "example.org/device": 1 } }),
            ),
            ("affinity", json!({})),
            ("affinity", affinity.clone()),
            ("topologySpreadConstraints", spread.clone()),
            ("priorityClassName", json!("system-cluster-critical")),
            ("imagePullSecrets", json!([{ "name": "a" }, { "name": "b" }])),
            ("serviceAccountName", json!("node")),
            ("env", env.clone()),
            (
                "probes",
                json!({ "startup": { "tcpSocket": { "port": 1 }, "failureThreshold": 99 } }),
            ),
            ("probes", json!({ "liveness": { "tcpSocket": { "port": 1 } } })),
            ("sidecars", sidecars.clone()),
            (
                "storage",
                json!({ "mode": "PersistentVolume", "annotations": { "a": "b" } }),
            ),
        ] {
            let verdict = judged(node.clone(), field, &value);
            assert_eq!(
                verdict,
                Verdict::default(),
                "{} {field} {value}",
                node["spec"]["nodeType"]
            );
        }
    }
    let database = json!({ "secretKeyRef": { "name": "db", "key": "url" } });
    let more = with(validator("v1"), "/spec/validatorConfig/peersAs", &json!("Preferred"));
    assert_eq!(judged(more, "validatorConfig/database", &database), Verdict::default());
}

#[test]
fn what_the_operator_needs_stays_its_own() {
    let (v, h, r) = (validator("v1"), horizon(), rpc());
    let port = |number: u16| sidecar(&json!({ "ports": [{ "containerPort": number }] }));
    let port_field = "spec.sidecars[0].ports[0].containerPort";
    for (node, field, value, refused, words) in [
        (
            &v,
            "podLabels",
            json!({ "app.kubernetes.io/name": "a" }),
            "spec.podLabels[app.kubernetes.io/name]",
            "write another",
        ),
        (
            &h,
            "podLabels",
            json!({ "app.kubernetes.io/managed-by": "a" }),
            "spec.podLabels[app.kubernetes.io/managed-by]",
            "write another",
        ),
        (
            &v,
            "podLabels",
            json!({ "stellar.org/member": "a" }),
            "spec.podLabels[stellar.org/member]",
            "write another",
        ),
        (
            &h,
            "env",
            json!([{ "name": "PORT", "value": "1" }]),
            "spec.env[0].name",
            "remove it",
        ),
        (
            &h,
            "env",
            json!([{ "name": "INGEST", "value": "1" }]),
            "spec.env[0].name",
            "spec.horizonConfig.enableIngest",
        ),
        (
            &r,
            "env",
            json!([{ "name": "HISTORY_ARCHIVE_URLS", "value": "1" }]),
            "spec.env[0].name",
            "spec.sorobanConfig.historyArchiveUrls",
        ),
        (
            &v,
            "sidecars",
            sidecar(&json!({ "name": "health" })),
            "spec.sidecars[0].name",
            "write another",
        ),
        (
            &v,
            "sidecars",
            sidecar(&json!({ "name": "core" })),
            "spec.sidecars[0].name",
            "write another",
        ),
        (
            &h,
            "sidecars",
            sidecar(&json!({ "name": "horizon" })),
            "spec.sidecars[0].name",
            "write another",
        ),
        (
            &r,
            "sidecars",
            sidecar(&json!({ "name": "stellar-rpc" })),
            "spec.sidecars[0].name",
            "write another",
        ),
        (&v, "sidecars", port(11625), port_field, "the peer port"),
        (&v, "sidecars", port(11626), port_field, "HTTP port"),
        (&v, "sidecars", port(11628), port_field, "\"health\""),
        (&h, "sidecars", port(8000), port_field, "the API"),
        (&r, "sidecars", port(6061), port_field, "the admin port"),
        (&r, "sidecars", port(11626), port_field, "HTTP port"),
    ] {
        let verdict = judged(node.clone(), field, &value);
        assert_eq!(verdict.errors.len(), 1, "{field} {value}: {verdict:?}");
        assert_eq!(verdict.errors[0].field, refused, "{verdict:?}");
        assert!(verdict.errors[0].message.contains(words), "{words}: {verdict:?}");
    }
    // With another peerPort, the default peer port is free for a sidecar.
    let moved = with(v, "/spec/validatorConfig/peerPort", &json!(11700));
    assert!(judged(moved.clone(), "sidecars", &port(11625)).passes());
    assert!(!judged(moved, "sidecars", &port(11700)).passes());
}

#[test]
fn what_is_unwise_is_told() {
    let (v, h) = (validator("v1"), horizon());
    let spread = json!([{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule" }]);
    for (node, field, value, words) in [
        (
            &v,
            "env",
            json!([{ "name": "KNOWN_PEERS", "value": "a" }]),
            "spec.validatorConfig.knownPeers",
        ),
        (
            &v,
            "probes",
            json!({ "liveness": { "exec": { "command": ["a"] } } }),
            "depends on consensus",
        ),
        (
            &v,
            "probes",
            json!({ "liveness": { "httpGet": { "port": 11628 } } }),
            "depends on consensus",
        ),
        (
            &v,
            "probes",
            json!({ "readiness": { "tcpSocket": { "port": "peer" } } }),
            "lists of peers",
        ),
        (
            &v,
            "probes",
            json!({ "startup": { "httpGet": { "port": 11626 } } }),
            "always fails",
        ),
        (
            &h,
            "sidecars",
            sidecar(&json!({ "securityContext": { "capabilities": null } })),
            "drop: [ALL]",
        ),
        (
            &v,
            "sidecars",
            sidecar(&json!({ "readinessProbe": {} })),
            "does not vote",
        ),
        (
            &v,
            "sidecars",
            sidecar(&json!({ "volumeMounts": [{ "name": "config", "mountPath": "/c" }] })),
            "seed",
        ),
        (&h, "sidecars", sidecar(&json!({ "argz": [] })), "spec.sidecars[0].argz"),
        (
            &h,
            "sidecars",
            sidecar(&json!({ "ports": [{ "containerPort": 1, "nmae": "a" }] })),
            "ports[0].nmae",
        ),
        (&h, "affinity", json!({ "podAfinity": {} }), "spec.affinity.podAfinity"),
        (&h, "topologySpreadConstraints", spread, "labelSelector: absent"),
        (&v, "storage", json!({ "mode": "EmptyDir" }), "loses its ledger"),
        (
            &h,
            "storage",
            json!({ "mode": "EmptyDir", "storageClass": "a", "retentionPolicy": "Retain" }),
            "storageClass",
        ),
    ] {
        let verdict = judged(node.clone(), field, &value);
        assert!(verdict.passes(), "{verdict:?}");
        assert_eq!(verdict.warnings.len(), 1, "{field} {value}: {verdict:?}");
        assert!(verdict.warnings[0].contains(words), "{words}: {verdict:?}");
    }
    let in_pods = with(rpc(), "/spec/storage", &json!({ "mode": "EmptyDir" }));
    assert!(judged(in_pods, "replicas", &json!(3)).passes(), "each has its own");
}
