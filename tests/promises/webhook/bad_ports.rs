//! Ports that cannot work are refused with the name of the field: by the schema if possible, otherwise by the webhook.

use serde_json::{Value, json};
use test_kit::{Options, Output, TestEnv, Validators};

const FIELD: &str = "spec.validatorConfig.peerPort";

fn create(env: &TestEnv, object: &Value) -> Output {
    env.kubectl_with(&["create", "-f", "-"], &object.to_string())
}

fn with_port(port: i64) -> Value {
    let mut node = Validators::new(1).node(1);
    node["spec"]["validatorConfig"]["peerPort"] = json!(port);
    node
}

/// The API server's whole answer to a create, as client libraries see it; kubectl prints only the causes.
async fn answer(env: &TestEnv, resource: &str, object: &Value) -> (u16, Value) {
    let client = test_kit::Cluster::connect().client().await;
    let path = format!(
        "/apis/{}/namespaces/{}/{resource}",
        object["apiVersion"].as_str().unwrap(),
        env.namespace()
    );
    let request = axum::http::Request::post(path)
        .header("content-type", "application/json")
        .body(object.to_string().into_bytes())
        .unwrap();
    match client.request::<Value>(request).await {
        Ok(_) => panic!("it was accepted: {object}"),
        Err(kube::Error::Api(status)) => (status.code, serde_json::to_value(&*status).unwrap()),
        Err(error) => panic!("{error}"),
    }
}

fn fields(status: &Value) -> Vec<&str> {
    let causes = status["details"]["causes"].as_array().into_iter().flatten();
    causes.filter_map(|cause| cause["field"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_refuses_a_port_out_of_range() {
    let env = TestEnv::start("bad-ports-schema", Options::default()).await;
    for port in [0, 70000] {
        let (code, status) = answer(&env, "stellarnodes", &with_port(port)).await;
        assert_eq!((code, &status["reason"]), (422, &json!("Invalid")), "{port}: {status}");
        assert!(fields(&status).contains(&FIELD), "{port}: {status}");
        assert!(
            !status["message"].as_str().unwrap().contains("admission webhook"),
            "{port}: {status}"
        );
        let refused = create(&env, &with_port(port));
        assert!(
            !refused.success && refused.stderr.contains(FIELD),
            "{port}: {}",
            refused.stderr
        );
    }
    assert!(env.get("stellarnode/validator-1").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_refuses_the_http_port_of_stellar_core() {
    let env = TestEnv::start("bad-ports-http", Options::default()).await;
    let (code, status) = answer(&env, "stellarnodes", &with_port(11626)).await;
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")), "{status}");
    assert_eq!(fields(&status), [FIELD], "{status}");
    let message = status["message"].as_str().unwrap();
    for part in [
        "admission webhook \"stellarnodes.validate.stellar.org\"",
        FIELD,
        "11626",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let refused = create(&env, &with_port(11626));
    assert!(!refused.success && refused.stderr.contains(FIELD), "{}", refused.stderr);
    assert!(env.get("stellarnode/validator-1").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_refuses_a_bad_port_annotation_of_a_stateful_set() {
    let env = TestEnv::start("bad-ports-annotation", Options::default()).await;
    let object = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": "core",
            "labels": { "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/component": "validator" },
            "annotations": { "stellar.org/peer-port": "70000" },
        },
        "spec": {
            "replicas": 0,
            "serviceName": "core",
            "selector": { "matchLabels": { "app": "core" } },
            "template": {
                "metadata": { "labels": { "app": "core" } },
                "spec": { "containers": [{ "name": "core", "image": "core:1" }] },
            },
        },
    });
    let (code, status) = answer(&env, "statefulsets", &object).await;
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")), "{status}");
    let message = status["message"].as_str().unwrap();
    for part in [
        "admission webhook \"statefulsets.validate.stellar.org\"",
        "stellar.org/peer-port",
        "70000",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(
        fields(&status)
            .iter()
            .any(|field| field.contains("stellar.org/peer-port")),
        "{status}"
    );
    let mut good = object;
    good["metadata"]["annotations"]["stellar.org/peer-port"] = json!("21625");
    create(&env, &good).ok("a port that works");
    let annotate = [
        "annotate",
        "--overwrite",
        "statefulset/core",
        "stellar.org/peer-port=70000",
    ];
    let refused = env.kubectl(&annotate);
    assert!(
        !refused.success && refused.stderr.contains("stellar.org/peer-port"),
        "{}",
        refused.stderr
    );
}
