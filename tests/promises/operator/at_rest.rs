//! Nodes of all types at rest cause no API calls, and the operator's own status writes cause no reconcile. A change by
//! others that needs no action causes a reconcile without a write.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use test_kit::{Fate, Options, Proxy, SOON, TestEnv, Validators, wait_for};

/// Nothing may happen in this time, so there is no condition to wait for.
const CALM: Duration = Duration::from_secs(5);
const HORIZON: &str = include_str!("../../../manifests/samples/horizon.yaml");
const RPC: &str = include_str!("../../../manifests/samples/soroban-rpc.yaml");
/// The watched resources. The operator reads them from its caches.
const WATCHED: [&str; 8] = [
    "/stellarnodes",
    "/statefulsets",
    "/deployments",
    "/services",
    "/configmaps",
    "/persistentvolumeclaims",
    "/poddisruptionbudgets",
    "/events?",
];

#[tokio::test(flavor = "multi_thread")]
async fn idle_operator_makes_no_calls_and_ignores_its_own_status_writes() {
    let env = TestEnv::installed("at-rest").await;
    let proxy = Proxy::start(env.cluster()).await;
    let mut operator = env.replica_behind(&Options::default(), &proxy);
    wait_for("the operator to be ready", SOON, async || {
        operator.is_ready().await.then_some(())
    })
    .await;
    env.apply(&format!("{HORIZON}---\n{RPC}"));
    env.create_at_rest(&Validators::new(4), 4).await;
    for node in ["horizon", "rpc"] {
        wait_for("the others to serve", SOON, async || {
            (env.reason(node, "Ready")? == "PodsReady" && env.reason(node, "Progressing")? == "RolloutComplete")
                .then_some(())
        })
        .await;
    }
    let calls: Arc<Mutex<Vec<(bool, String)>>> = Arc::default();
    let heard = Arc::clone(&calls);
    proxy.judge(move |call| {
        heard.lock().unwrap().push((call.is_write(), call.to_string()));
        Fate::Pass
    });
    let take = || std::mem::take(&mut *calls.lock().unwrap());
    let of_consequence = |(is_write, call): &(bool, String)| {
        let asks = WATCHED.iter().any(|kind| call.contains(kind)) && !call.contains("watch=");
        *is_write || asks
    };
    let nothing = || {
        let calls: Vec<_> = take().into_iter().filter(of_consequence).collect();
        assert_eq!(calls, []);
    };
    // The last of the operator's own writes may still cause a reconcile.
    tokio::time::sleep(CALM).await;
    take();
    tokio::time::sleep(2 * CALM).await;
    nothing();

    // A change of the status alone, like the operator's own.
    for node in ["validator-1", "horizon", "rpc"] {
        let node = format!("stellarnode/{node}");
        let conditions = env.get(&node).expect("it is there")["status"]["conditions"].clone();
        let mut more = conditions.as_array().expect("conditions").clone();
        more.push(json!({ "type": "Test", "status": "True", "reason": "Test", "message": "Test" }));
        let patch = json!({ "status": { "conditions": more } }).to_string();
        env.kubectl(&["patch", &node, "--subresource=status", "--type=merge", "-p", &patch])
            .ok("a status");
    }
    tokio::time::sleep(CALM).await;
    nothing();

    // Each node is reconciled again without a write.
    for node in ["horizon", "rpc"] {
        env.kubectl(&["annotate", &format!("stellarnode/{node}"), "note=look"])
            .ok("annotate");
        // Use a label here: an annotation raises the generation of a Deployment, and the status reports that until it
        // is observed.
        env.kubectl(&["label", &format!("deployment/{node}"), "note=look"])
            .ok("label");
    }
    tokio::time::sleep(CALM).await;
    let calls = take();
    let looked = calls.iter().filter(|(_, call)| call.contains("/deployments/")).count();
    assert!(looked >= 4, "each change causes a reconcile: {calls:?}");
    let written: Vec<_> = calls.iter().filter(|(is_write, _)| *is_write).collect();
    assert_eq!(written, [] as [&(bool, String); 0]);

    // The operator does react to a change that matters.
    env.kubectl(&[
        "label",
        "service/validator-1-headless",
        "app.kubernetes.io/component=other",
        "--overwrite",
    ])
    .ok("label");
    wait_for("the operator to restore it", SOON, async || {
        let service = env.get("service/validator-1-headless")?;
        (service["metadata"]["labels"]["app.kubernetes.io/component"] == "validator").then_some(())
    })
    .await;
    assert!(take().iter().any(of_consequence));
}
