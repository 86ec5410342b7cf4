//! Tests: the objects built from a spec.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::controller::resources::ClaimStep;
use crate::controller::resources::horizon_rpc::*;

fn node(spec: &Value) -> StellarNode {
    serde_json::from_value(json!({
        "apiVersion": labels::API_VERSION,
        "kind": labels::KIND,
        "metadata": { "name": "api", "namespace": "stellar", "uid": "uid-1" },
        "spec": spec,
    }))
    .unwrap()
}

fn horizon(more: &Value) -> StellarNode {
    let mut spec = json!({
        "nodeType": "Horizon", "network": "testnet", "version": "23.0.0", "replicas": 2,
        "horizonConfig": { "databaseSecretRef": "db" },
    });
    json_patch::merge(&mut spec, more);
    node(&spec)
}

fn rpc(more: &Value) -> StellarNode {
    let mut spec = json!({ "nodeType": "SorobanRpc", "network": "testnet", "version": "23.0.4", "sorobanConfig": {} });
    json_patch::merge(&mut spec, more);
    node(&spec)
}

/// The environment variables with a literal value.
fn environment(objects: &HorizonRpcObjects) -> BTreeMap<String, String> {
    let env = objects
        .deployment
        .pointer("/spec/template/spec/containers/0/env")
        .unwrap();
    let all = env.as_array().unwrap().iter();
    all.filter_map(|one| Some((one["name"].as_str()?.to_owned(), one["value"].as_str()?.to_owned())))
        .collect()
}

fn pod(objects: &HorizonRpcObjects) -> &Value {
    objects.deployment.pointer("/spec/template/spec").unwrap()
}

#[track_caller]
fn assert_env(objects: &HorizonRpcObjects, expected: &[(&str, &str)]) {
    let expected: BTreeMap<String, String> = expected
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(environment(objects), expected);
}

const TESTNET: (&str, &str) = ("NETWORK_PASSPHRASE", "Test SDF Network ; September 2015");
const ARCHIVES: (&str, &str) = (
    "HISTORY_ARCHIVE_URLS",
    "https://history.stellar.org/prd/core-testnet/core_testnet_001,\
     https://history.stellar.org/prd/core-testnet/core_testnet_002,\
     https://history.stellar.org/prd/core-testnet/core_testnet_003",
);
const CAPTIVE: [(&str, &str); 3] = [
    ("CAPTIVE_CORE_CONFIG_PATH", "/etc/stellar/captive-core.cfg"),
    ("CAPTIVE_CORE_STORAGE_PATH", "/data"),
    ("STELLAR_CORE_BINARY_PATH", "/usr/bin/stellar-core"),
];

#[test]
fn the_environment_of_horizon() {
    let own = [("PORT", "8000"), ("ADMIN_PORT", "6061"), TESTNET, ARCHIVES];
    let objects = build(&horizon(&json!({}))).unwrap();
    let core = ("STELLAR_CORE_URL", "http://localhost:11626");
    let ingesting = [core, ("INGEST", "true"), ("APPLY_MIGRATIONS", "true")];
    assert_env(&objects, &[&own[..], &CAPTIVE, &ingesting].concat());
    let url = &pod(&objects)["containers"][0]["env"][0];
    let reference = json!({ "secretKeyRef": { "name": "db", "key": "DATABASE_URL" } });
    assert_eq!(*url, json!({ "name": "DATABASE_URL", "valueFrom": reference }));

    let more = json!({ "horizonConfig": { "stellarCoreUrl": "http://core:11626", "autoMigration": false } });
    let objects = build(&horizon(&more)).unwrap();
    let core = ("STELLAR_CORE_URL", "http://core:11626");
    let ingesting = [core, ("INGEST", "true"), ("APPLY_MIGRATIONS", "false")];
    assert_env(&objects, &[&own[..], &CAPTIVE, &ingesting].concat());

    // It exits if a captive core is configured and it does not ingest.
    let more = json!({ "horizonConfig": { "stellarCoreUrl": "http://core:11626", "enableIngest": false } });
    let objects = build(&horizon(&more)).unwrap();
    let serving = [core, ("INGEST", "false"), ("APPLY_MIGRATIONS", "false")];
    assert_env(&objects, &[&own[..], &serving].concat());
    assert_eq!(objects.config_map, None);
    assert!(!pod(&objects).to_string().contains("configMap"));
}

#[test]
fn the_environment_of_rpc() {
    let own = [
        ("ENDPOINT", "0.0.0.0:8000"),
        ("ADMIN_ENDPOINT", "0.0.0.0:6061"),
        ("DB_PATH", "/data/stellar-rpc.sqlite"),
    ];
    let objects = build(&rpc(&json!({}))).unwrap();
    let testnet = [
        TESTNET,
        ARCHIVES,
        ("FRIENDBOT_URL", "https://friendbot.stellar.org/"),
        ("MAX_EVENTS_LIMIT", "10000"),
    ];
    assert_env(&objects, &[&own[..], &CAPTIVE, &testnet].concat());

    let more = json!({
        "network": "My network",
        "sorobanConfig": {
            "captiveCoreConfig": "[QUORUM_SET]\nVALIDATORS=['a']\n",
            "historyArchiveUrls": ["http://a/1", "http://a/2"],
            "stellarCoreUrl": "http://core:11626",
            "maxEventsPerRequest": 50,
        },
    });
    let objects = build(&rpc(&more)).unwrap();
    let private = [
        ("NETWORK_PASSPHRASE", "My network"),
        ("HISTORY_ARCHIVE_URLS", "http://a/1,http://a/2"),
        ("STELLAR_CORE_URL", "http://core:11626"),
        ("MAX_EVENTS_LIMIT", "50"),
        // A default above the maximum is refused.
        ("DEFAULT_EVENTS_LIMIT", "50"),
    ];
    assert_env(&objects, &[&own[..], &CAPTIVE, &private].concat());
    let config = &objects.config_map.unwrap()["data"]["captive-core.cfg"];
    assert_eq!(config, "[QUORUM_SET]\nVALIDATORS=['a']\n");
}

#[test]
fn a_network_without_defaults_needs_validators_and_archives() {
    for network in ["mainnet", "futurenet", "My network"] {
        let error = build(&rpc(&json!({ "network": network }))).unwrap_err();
        assert!(matches!(error, BuildError::Config(_)), "{network}: {error}");
    }
    let quorum = json!({ "captiveCoreConfig": "[QUORUM_SET]\nVALIDATORS=['a']\n" });
    let error = build(&rpc(&json!({ "network": "My network", "sorobanConfig": quorum }))).unwrap_err();
    assert!(matches!(error, BuildError::NoArchives(_)), "{error}");
    assert!(build(&rpc(&json!({ "network": "mainnet", "sorobanConfig": quorum }))).is_ok());
}

#[test]
fn replicas_and_suspension() {
    for (more, replicas) in [
        (json!({}), 2),
        (json!({ "replicas": 0 }), 0),
        (json!({ "suspended": true }), 0),
    ] {
        let objects = build(&horizon(&more)).unwrap();
        assert_eq!(objects.replicas, replicas);
        assert_eq!(objects.deployment["spec"]["replicas"], json!(replicas));
        assert_eq!(objects.deployment_kept["spec"], json!({ "replicas": replicas }));
        assert_eq!(objects.endpoint, "http://api.stellar.svc:8000");
    }
}

#[test]
fn a_budget_exists_only_on_request() {
    for (more, expected) in [
        (json!({}), None),
        (json!({ "minAvailable": 1 }), Some(("minAvailable", json!(1)))),
        (
            json!({ "maxUnavailable": "50%" }),
            Some(("maxUnavailable", json!("50%"))),
        ),
    ] {
        for node in [horizon(&more), rpc(&more)] {
            let budget = build(&node).unwrap().disruption_budget;
            let Some((field, value)) = &expected else {
                assert_eq!(budget, None);
                continue;
            };
            let spec = &budget.unwrap()["spec"];
            assert_eq!(&spec[field], value);
            let given = ["minAvailable", "maxUnavailable"]
                .iter()
                .filter(|name| !spec[**name].is_null());
            assert_eq!(given.count(), 1);
        }
    }
    assert!(build(&rpc(&json!({ "minAvailable": 1, "maxUnavailable": 1 }))).is_err());
}

#[test]
fn storage() {
    let storage = json!({ "storage": { "size": "10Gi", "storageClass": "fast", "retentionPolicy": "Delete" } });
    let none = build(&rpc(&json!({}))).unwrap();
    assert_eq!(none.claim, None);
    assert_eq!(pod(&none)["volumes"][0], json!({ "name": "data", "emptyDir": {} }));
    assert_eq!(none.deployment["spec"]["strategy"]["type"], "RollingUpdate");

    let claimed = build(&rpc(&storage)).unwrap();
    let volume = &pod(&claimed)["volumes"][0];
    assert_eq!(volume["persistentVolumeClaim"]["claimName"], "api-data");
    assert_eq!(claimed.deployment["spec"]["strategy"], json!({ "type": "Recreate" }));
    let claim = claimed.claim.unwrap();
    assert_eq!(claim["metadata"]["ownerReferences"][0]["uid"], "uid-1");
    assert_eq!(claim["spec"]["storageClassName"], "fast");

    let retained = json!({ "storage": { "size": "10Gi" } });
    let claim = build(&rpc(&retained)).unwrap().claim.unwrap();
    assert_eq!(claim["metadata"]["ownerReferences"], json!([]));
    assert!(claim["spec"].get("storageClassName").is_none(), "the cluster's default");

    // Each pod of a Horizon has its own volume.
    let objects = build(&horizon(&storage)).unwrap();
    assert_eq!(objects.claim, None);
    let size = "/volumes/0/ephemeral/volumeClaimTemplate/spec/resources/requests/storage";
    assert_eq!(pod(&objects).pointer(size), Some(&json!("10Gi")));
    assert_eq!(objects.deployment["spec"]["strategy"]["type"], "RollingUpdate");
}

#[test]
fn a_claim_is_written_only_to_grow_or_to_change_its_owner() {
    let claim = |size: &str, policy: &str| {
        let node = rpc(&json!({ "storage": { "size": size, "retentionPolicy": policy } }));
        build(&node).unwrap().claim.unwrap()
    };
    let stored: PersistentVolumeClaim = {
        let mut stored = claim("10Gi", "Delete");
        stored["spec"]["storageClassName"] = json!("the-default");
        serde_json::from_value(stored).unwrap()
    };
    let step = |desired: &Value| ClaimStep::of(&stored, desired, "uid-1");
    for same in ["10Gi", "10240Mi", "5Gi"] {
        assert_eq!(step(&claim(same, "Delete")), ClaimStep::None, "{same}");
    }
    let larger = claim("20Gi", "Delete");
    assert_eq!(step(&larger), ClaimStep::Grow(larger));
    let ClaimStep::Update(kept) = step(&claim("5Gi", "Retain")) else {
        panic!("it changes hands");
    };
    assert_eq!(kept["metadata"]["ownerReferences"], json!([]));
    assert_eq!(kept["spec"]["resources"]["requests"]["storage"], "10Gi");
    assert_ne!(
        ClaimStep::of(&stored, &claim("10Gi", "Delete"), "uid-2"),
        ClaimStep::None
    );
}

#[test]
fn pods_have_no_rights_that_they_do_not_need() {
    let budget = json!({ "minAvailable": 1, "storage": { "size": "1Gi" }, "podAnnotations": { "a": "b" } });
    let resources = json!({ "image": "mirror/it", "resources": { "limits": { "memory": "4Gi" } } });
    for node in [horizon(&budget), rpc(&budget), horizon(&resources), rpc(&resources)] {
        let objects = build(&node).unwrap();
        let pod = pod(&objects);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["containers"].as_array().map(Vec::len), Some(1));
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
            assert!(container[probe].is_object(), "{probe}");
        }
        let image = node.spec.image.as_deref();
        let expected = image.unwrap_or(match node.spec.node_type {
            NodeType::Horizon => "stellar/stellar-horizon",
            _ => "stellar/stellar-rpc",
        });
        assert_eq!(container["image"], format!("{expected}:{}", node.spec.version));
        assert_eq!(container["resources"].is_object(), node.spec.resources.is_some());
    }
}

#[test]
fn every_object_has_the_shape_of_its_kind_the_labels_and_the_owner() {
    let more = json!({ "minAvailable": 1, "storage": { "size": "1Gi", "retentionPolicy": "Delete" } });
    for (node, component) in [(horizon(&more), "horizon"), (rpc(&more), "sorobanrpc")] {
        let objects = build(&node).unwrap();
        let shape = |value: &Value, kind: &str| {
            let read = match kind {
                "Deployment" => serde_json::from_value::<Deployment>(value.clone()).map(|read| json!(read)),
                "Service" => serde_json::from_value::<Service>(value.clone()).map(|read| json!(read)),
                "ConfigMap" => serde_json::from_value::<ConfigMap>(value.clone()).map(|read| json!(read)),
                "PersistentVolumeClaim" => {
                    serde_json::from_value::<PersistentVolumeClaim>(value.clone()).map(|read| json!(read))
                }
                _ => serde_json::from_value::<PodDisruptionBudget>(value.clone()).map(|read| json!(read)),
            };
            assert!(crate::controller::resources::holds(&read.unwrap(), value), "{value}");
        };
        let all = [
            Some(&objects.service),
            Some(&objects.deployment),
            objects.config_map.as_ref(),
        ];
        let all = all
            .into_iter()
            .chain([objects.claim.as_ref(), objects.disruption_budget.as_ref()]);
        for object in all.flatten() {
            shape(object, object["kind"].as_str().unwrap());
            let expected = json!({
                "app.kubernetes.io/name": "stellar-node",
                "app.kubernetes.io/instance": "api",
                "app.kubernetes.io/component": component,
                "app.kubernetes.io/managed-by": "stellar-operator",
            });
            assert_eq!(object["metadata"]["labels"], expected, "{}", object["kind"]);
            assert_eq!(
                object["metadata"]["ownerReferences"][0]["uid"], "uid-1",
                "{}",
                object["kind"]
            );
        }
    }
}
