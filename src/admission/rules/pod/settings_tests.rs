//! What may be said of the pods of a node, and what is refused or told.

use serde_json::{Value, json};

use crate::admission::context::NoContext;
use crate::admission::fixtures::{horizon, validator, with};
use crate::admission::validate::{Verdict, validate};

fn rpc() -> Value {
    let spec = json!({ "nodeType": "SorobanRpc", "network": "testnet", "version": "23.0.4", "sorobanConfig": {} });
    with(horizon(), "/spec", &spec)
}

fn judged(node: Value, field: &str, value: &Value) -> Verdict {
    validate(&with(node, &format!("/spec/{field}"), value), None, &NoContext)
}

fn sidecar(more: &Value) -> Value {
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
    // The port that is another validator's choice is free in this one.
    let moved = with(v, "/spec/validatorConfig/peerPort", &json!(11700));
    assert!(judged(moved.clone(), "sidecars", &port(11625)).passes());
    assert!(!judged(moved, "sidecars", &port(11700)).passes());
}

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

#[test]
fn a_validators_data_is_never_moved() {
    let database = json!({ "secretKeyRef": { "name": "db", "key": "url" } });
    let other = json!({ "secretKeyRef": { "name": "other", "key": "url" } });
    let none = validator("v1");
    let changed = |field: &str, value: &Value| with(none.clone(), &format!("/spec/{field}"), value);
    let mode = |mode: &str| changed("storage", &json!({ "mode": mode }));
    for (before, after, refused) in [
        (&none, mode("PersistentVolume"), None),
        (&mode("PersistentVolume"), none.clone(), None),
        (&none, mode("EmptyDir"), Some("spec.storage.mode")),
        (&mode("EmptyDir"), none.clone(), Some("spec.storage.mode")),
        (
            &none,
            changed("validatorConfig/database", &database),
            Some("spec.validatorConfig.database"),
        ),
        (
            &changed("validatorConfig/database", &database),
            none.clone(),
            Some("spec.validatorConfig.database"),
        ),
        (
            &changed("validatorConfig/database", &database),
            changed("validatorConfig/database", &other),
            None,
        ),
        (&none, changed("validatorConfig/peersAs", &json!("Preferred")), None),
    ] {
        let verdict = validate(&after, Some(before), &NoContext);
        let fields: Vec<&str> = verdict.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, refused.as_slice(), "{verdict:?}");
    }
}
