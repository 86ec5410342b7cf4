//! Horizon and Stellar RPC: the operator builds a Deployment behind a Service and the objects that it needs, and no
//! others.

use serde_json::{Value, json};
use test_kit::{Options, SOON, TestEnv, reason_of, wait_for};

const HORIZON: &str = include_str!("../../../manifests/samples/horizon.yaml");
const RPC: &str = include_str!("../../../manifests/samples/soroban-rpc.yaml");

/// The reasons of Ready, Progressing and Degraded, in this order, if they belong to the current spec. Reads the object
/// once, because a second read could return another spec or status.
fn reasons(env: &TestEnv, node: &str) -> Option<[String; 3]> {
    let node = env.get(&format!("stellarnode/{node}"))?;
    let reason = |condition| reason_of(&node, condition);
    let is_current = node["status"]["observedGeneration"] == node["metadata"]["generation"];
    let reasons = [reason("Ready")?, reason("Progressing")?, reason("Degraded")?];
    is_current.then_some(reasons)
}

async fn has_reasons(env: &TestEnv, node: &str, expected: [&str; 3]) {
    let what = format!("{node} to have the reasons {expected:?}");
    wait_for(&what, SOON, async || (reasons(env, node)? == expected).then_some(())).await;
}

async fn serves(env: &TestEnv, node: &str) {
    has_reasons(env, node, ["PodsReady", "RolloutComplete", "AsExpected"]).await;
}

fn patch(env: &TestEnv, node: &str, spec: &Value) {
    let patch = json!({ "spec": spec }).to_string();
    env.kubectl(&["patch", &format!("stellarnode/{node}"), "--type=merge", "-p", &patch])
        .ok("patch");
}

async fn comes(env: &TestEnv, object: &str, is_right: impl Fn(&Value) -> bool) -> Value {
    wait_for(&format!("{object} to be correct"), SOON, async || {
        env.get(object).filter(|found| is_right(found))
    })
    .await
}

async fn goes(env: &TestEnv, object: &str) {
    wait_for(&format!("{object} to be gone"), SOON, async || {
        env.get(object).is_none().then_some(())
    })
    .await;
}

/// How many addresses a Service has.
fn addresses(env: &TestEnv, service: &str) -> usize {
    let label = format!("kubernetes.io/service-name={service}");
    let text = env
        .kubectl(&["get", "endpointslices", "-l", &label, "-o", "json"])
        .ok("slices");
    let slices: Value = serde_json::from_str(&text).expect("JSON");
    let slices = slices["items"].as_array().expect("a list").iter();
    let endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    endpoints
        .filter(|endpoint| endpoint["conditions"]["ready"] == true)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_serve_and_can_be_suspended_resumed_and_deleted() {
    let mut env = TestEnv::start("api-servers", Options::default()).await;
    env.apply(&format!("{HORIZON}---\n{RPC}"));
    for (node, replicas) in [("horizon", 2), ("rpc", 1)] {
        serves(&env, node).await;
        let status = env.get(&format!("stellarnode/{node}")).expect("it is there")["status"].clone();
        assert_eq!(
            (&status["replicas"], &status["readyReplicas"]),
            (&json!(replicas), &json!(replicas))
        );
        let endpoint = format!("http://{node}.{}.svc:8000", env.namespace());
        assert_eq!(status["endpoint"], json!(endpoint));
        wait_for("its Service to have its pods", SOON, async || {
            (addresses(&env, node) == replicas).then_some(())
        })
        .await;
    }
    comes(&env, "poddisruptionbudget/horizon", |budget| {
        budget["status"]["currentHealthy"] == 2
    })
    .await;
    assert!(env.get("poddisruptionbudget/rpc").is_none(), "the sample has no budget");
    assert!(env.get("persistentvolumeclaim/horizon-data").is_none());

    patch(&env, "rpc", &json!({ "suspended": true }));
    has_reasons(&env, "rpc", ["Suspended", "RolloutComplete", "AsExpected"]).await;
    assert_eq!(env.get("deployment/rpc").expect("it stays")["spec"]["replicas"], 0);
    for object in ["service/rpc", "persistentvolumeclaim/rpc-data", "configmap/rpc-config"] {
        assert!(env.get(object).is_some(), "{object} stays");
    }
    patch(&env, "rpc", &json!({ "suspended": false }));
    serves(&env, "rpc").await;

    // Deleting the node deletes the volume that it owns and keeps the retained one, even while no operator runs.
    let second = RPC.replace("name: rpc", "name: rpc-2").replace("Retain", "Delete");
    env.apply(&second);
    serves(&env, "rpc-2").await;
    env.kill_operator();
    env.kubectl(&["delete", "stellarnode", "--all"]).ok("delete");
    for node in ["horizon", "rpc", "rpc-2"] {
        goes(&env, &format!("deployment/{node}")).await;
        goes(&env, &format!("service/{node}")).await;
        goes(&env, &format!("configmap/{node}-config")).await;
    }
    goes(&env, "poddisruptionbudget/horizon").await;
    goes(&env, "persistentvolumeclaim/rpc-2-data").await;
    let retained = env.get("persistentvolumeclaim/rpc-data").expect("it stays");
    assert!(retained["metadata"]["deletionTimestamp"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_or_changed_objects_are_restored() {
    let env = TestEnv::start("api-repaired", Options::default()).await;
    env.apply(&format!("{HORIZON}---\n{RPC}"));
    serves(&env, "horizon").await;
    serves(&env, "rpc").await;

    // Without pods, only a watch of the claim shows that it is gone: it is retained and has no owner.
    patch(&env, "rpc", &json!({ "suspended": true }));
    has_reasons(&env, "rpc", ["Suspended", "RolloutComplete", "AsExpected"]).await;
    for object in [
        "deployment/horizon",
        "service/horizon",
        "configmap/horizon-config",
        "poddisruptionbudget/horizon",
        "persistentvolumeclaim/rpc-data",
    ] {
        let uid = env.get(object).expect(object)["metadata"]["uid"].clone();
        env.kubectl(&["delete", object, "--wait=false"]).ok(object);
        comes(&env, object, |found| found["metadata"]["uid"] != uid).await;
    }
    patch(&env, "rpc", &json!({ "suspended": false }));
    env.kubectl(&["scale", "deployment/horizon", "--replicas=5"])
        .ok("scale");
    env.kubectl(&[
        "label",
        "deployment/horizon",
        "app.kubernetes.io/component=other",
        "--overwrite",
    ])
    .ok("label");
    let relabel = r#"{"spec":{"ports":[{"name":"http","port":8000,"targetPort":9999}]}}"#;
    env.kubectl(&["patch", "service/horizon", "-p", relabel]).ok("patch");
    comes(&env, "deployment/horizon", |deployment| {
        deployment["spec"]["replicas"] == 2
            && deployment["metadata"]["labels"]["app.kubernetes.io/component"] == "horizon"
    })
    .await;
    comes(&env, "service/horizon", |service| {
        service["spec"]["ports"][0]["targetPort"] == "http"
    })
    .await;
    serves(&env, "horizon").await;
    serves(&env, "rpc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_spec_updates_its_objects_and_deletes_obsolete_ones() {
    let env = TestEnv::start("api-changed", Options::default()).await;
    env.apply(&format!("{HORIZON}---\n{RPC}"));
    serves(&env, "horizon").await;
    serves(&env, "rpc").await;
    let template = |node: &str| env.get(&format!("deployment/{node}")).expect(node)["spec"]["template"].clone();
    let (horizon, rpc) = (template("horizon"), template("rpc"));

    // The budget is added, changes its type and is removed without a new pod.
    for (change, kind) in [
        (
            json!({ "minAvailable": null, "maxUnavailable": "50%" }),
            "maxUnavailable",
        ),
        (json!({ "minAvailable": 1, "maxUnavailable": null }), "minAvailable"),
    ] {
        patch(&env, "horizon", &change);
        comes(&env, "poddisruptionbudget/horizon", |budget| {
            let given = budget["spec"].as_object().into_iter().flat_map(|spec| spec.keys());
            given.filter(|key| key.ends_with("vailable")).eq([kind])
        })
        .await;
    }
    patch(&env, "horizon", &json!({ "minAvailable": null, "replicas": 3 }));
    goes(&env, "poddisruptionbudget/horizon").await;
    serves(&env, "horizon").await;
    assert_eq!(
        template("horizon"),
        horizon,
        "the number of replicas does not change the pod template"
    );

    // A volume grows under the running pod. A volume that is lost with the pod needs no claim.
    patch(
        &env,
        "rpc",
        &json!({ "storage": { "size": "200Gi", "retentionPolicy": "Delete" } }),
    );
    let claim = comes(&env, "persistentvolumeclaim/rpc-data", |claim| {
        claim["spec"]["resources"]["requests"]["storage"] == "200Gi"
    })
    .await;
    assert_eq!(claim["metadata"]["ownerReferences"][0]["kind"], "StellarNode");
    patch(&env, "rpc", &json!({ "storage": { "retentionPolicy": "Retain" } }));
    comes(&env, "persistentvolumeclaim/rpc-data", |claim| {
        claim["metadata"]["ownerReferences"].is_null()
    })
    .await;
    serves(&env, "rpc").await;
    assert_eq!(
        template("rpc"),
        rpc,
        "the volume's size does not change the pod template"
    );
    patch(&env, "rpc", &json!({ "storage": null }));
    comes(&env, "deployment/rpc", |deployment| {
        deployment["spec"]["strategy"]["type"] == "RollingUpdate"
            && deployment["spec"]["template"]["spec"]["volumes"][0]["emptyDir"].is_object()
    })
    .await;
    serves(&env, "rpc").await;
    patch(&env, "rpc", &json!({ "storage": { "size": "1Gi" } }));
    comes(&env, "deployment/rpc", |deployment| {
        deployment["spec"]["strategy"] == json!({ "type": "Recreate" })
    })
    .await;
    serves(&env, "rpc").await;
    let size = "/spec/resources/requests/storage";
    let claim = env.get("persistentvolumeclaim/rpc-data").expect("its data was kept");
    assert_eq!(claim.pointer(size), Some(&json!("200Gi")), "and it never shrinks");

    // Horizon without ingestion has no captive core. Each pod of an ingesting Horizon has a volume if the spec asks for
    // it.
    patch(
        &env,
        "horizon",
        &json!({ "version": "23.0.1", "storage": { "size": "1Gi" } }),
    );
    serves(&env, "horizon").await;
    let text = env
        .kubectl(&["get", "persistentvolumeclaims", "-o", "name"])
        .ok("claims");
    assert_eq!(
        text.lines().filter(|line| line.contains("/horizon-")).count(),
        3,
        "{text}"
    );
    let change = json!({ "horizonConfig": { "enableIngest": false, "stellarCoreUrl": "http://core:11626" } });
    patch(&env, "horizon", &change);
    goes(&env, "configmap/horizon-config").await;
    serves(&env, "horizon").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_reports_what_cannot_be_built_and_objects_of_others_are_left_alone() {
    let env = TestEnv::start("api-told", Options::default().with("--look-again", "1s")).await;
    let theirs = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "horizon" },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": { "app": "theirs" } },
            "template": {
                "metadata": { "labels": { "app": "theirs" } },
                "spec": { "containers": [{ "name": "theirs", "image": "theirs:1" }] },
            },
        },
    });
    env.apply(&theirs.to_string());
    let before = env.get("deployment/horizon").expect("it is there")["metadata"]["generation"].clone();
    env.apply(HORIZON);
    has_reasons(&env, "horizon", ["Degraded", "Stopped", "NotOurs"]).await;
    let after = env.get("deployment/horizon").expect("it stays");
    assert_eq!(after["metadata"]["generation"], before);
    assert!(after["metadata"]["ownerReferences"].is_null());
    env.kubectl(&["delete", "deployment/horizon"]).ok("delete");
    serves(&env, "horizon").await;

    env.apply(&RPC.replace("testnet", "A network of its own"));
    wait_for("the rpc to report the missing config", SOON, async || {
        (env.reason("rpc", "ConfigInvalid")? == "Refused").then_some(())
    })
    .await;
    assert_eq!(env.reason("rpc", "Ready").as_deref(), Some("ConfigInvalid"));
    assert!(env.get("deployment/rpc").is_none(), "nothing is started");

    // A running server keeps running when its spec becomes invalid, and can still be suspended.
    let config = json!({
        "captiveCoreConfig": "[QUORUM_SET]\nTHRESHOLD_PERCENT=67\nVALIDATORS=[\"GDKXE2OZMJIPOSLNA6N6F2BVCI3O777I2OOC4BV7VOYUEHYX7RTRYA7Y\"]\n",
        "historyArchiveUrls": ["http://archive"],
    });
    patch(&env, "rpc", &json!({ "sorobanConfig": config }));
    serves(&env, "rpc").await;
    patch(&env, "rpc", &json!({ "sorobanConfig": { "captiveCoreConfig": null } }));
    wait_for("the rpc to report the invalid spec", SOON, async || {
        (env.reason("rpc", "ConfigInvalid")? == "Refused").then_some(())
    })
    .await;
    let status = env.get("stellarnode/rpc").expect("it is there")["status"].clone();
    assert_eq!((&status["replicas"], &status["readyReplicas"]), (&json!(1), &json!(1)));
    patch(&env, "rpc", &json!({ "suspended": true }));
    comes(&env, "deployment/rpc", |deployment| deployment["spec"]["replicas"] == 0).await;

    // The status also reports a refusal by the API server: the quota allows no claims.
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "none" },
        "spec": { "hard": { "persistentvolumeclaims": "0" } },
    });
    env.apply(&quota.to_string());
    wait_for("the quota to be enforced", SOON, async || {
        env.get("resourcequota/none")
            .filter(|quota| quota["status"]["used"].is_object())
    })
    .await;
    env.apply(&RPC.replace("name: rpc", "name: rpc-2"));
    has_reasons(&env, "rpc-2", ["Degraded", "Stopped", "Refused"]).await;
}
