//! Nodes of all types at rest cost nothing: nothing is written, nothing is asked, and what we write into a status wakes
//! nobody; what others change of them is looked at, and writes nothing either.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use test_kit::{Fate, Options, Proxy, SOON, TestEnv, Validators, wait_for};

/// That nothing happens is what is promised: there is nothing to wait for.
const CALM: Duration = Duration::from_secs(5);
const HORIZON: &str = include_str!("../../../manifests/samples/horizon.yaml");
const RPC: &str = include_str!("../../../manifests/samples/soroban-rpc.yaml");
/// What is watched, so that nobody has to ask for it.
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
async fn nothing_is_written_or_asked_and_a_status_wakes_nobody() {
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
    // The last of its own writes may still wake it.
    tokio::time::sleep(CALM).await;
    take();
    tokio::time::sleep(2 * CALM).await;
    nothing();

    // As ours are: only the status changes.
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

    // Looked at again, each has nothing to write.
    for node in ["horizon", "rpc"] {
        env.kubectl(&["annotate", &format!("stellarnode/{node}"), "note=look"])
            .ok("annotate");
        // An annotation would be a new generation of a Deployment, which is told until it is observed.
        env.kubectl(&["label", &format!("deployment/{node}"), "note=look"])
            .ok("label");
    }
    tokio::time::sleep(CALM).await;
    let calls = take();
    let looked = calls.iter().filter(|(_, call)| call.contains("/deployments/")).count();
    assert!(looked >= 4, "each change is looked at: {calls:?}");
    let written: Vec<_> = calls.iter().filter(|(is_write, _)| *is_write).collect();
    assert_eq!(written, [] as [&(bool, String); 0]);

    // It does hear what is of consequence.
    env.kubectl(&[
        "label",
        "service/validator-1-headless",
        "app.kubernetes.io/component=other",
        "--overwrite",
    ])
    .ok("label");
    wait_for("it to be put right", SOON, async || {
        let service = env.get("service/validator-1-headless")?;
        (service["metadata"]["labels"]["app.kubernetes.io/component"] == "validator").then_some(())
    })
    .await;
    assert!(take().iter().any(of_consequence));
}
