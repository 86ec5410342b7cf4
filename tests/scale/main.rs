//! Many validators on one control plane: the latency to the ConfigMap, and the API calls, memory and CPU at rest.
//!
//! `make scale` prints the figures and stores them with plots; no time is asserted. The test asserts that every
//! validator is in the list and that nothing is listed or written at rest. `SCALE_VALIDATORS` (10) and `SCALE_CHANGES`
//! (100) set the size, `SCALE_RESULTS` the directory for the figures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod changes;
mod plot;
mod results;
mod ten;
mod usage;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_kit::{Audit, Options, TestEnv, Validators, wait_for};

use changes::Changes;
use results::Figures;
use usage::Usage;

/// Pods on one simulated node, with room for terminating ones.
const PODS_A_NODE: usize = 50;
/// The length of the measurement at rest.
const REST: Duration = Duration::from_secs(60);
/// Time limit until all work for the last change is done.
const PATIENCE: Duration = Duration::from_secs(1200);

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Creates nodes for this many pods; they stay as long as the cluster.
fn nodes(env: &TestEnv, validators: usize) {
    let node = |number: usize| {
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": format!("scale-{number}"),
                "annotations": { "kwok.x-k8s.io/node": "fake" },
                "labels": { "kubernetes.io/hostname": format!("scale-{number}"), "kubernetes.io/os": "linux" },
            },
        })
    };
    let items: Vec<Value> = (0..validators.div_ceil(PODS_A_NODE)).map(node).collect();
    env.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string());
}

/// Validators whose quorum sets have only the first four: a quorum set of a thousand would dominate the measurement.
fn manifests(count: usize) -> String {
    let all = Validators::new(count);
    let keys: Vec<&str> = (1..=4).map(|number| all.public_key(number)).collect();
    let quorum_set = format!("[QUORUM_SET]\nTHRESHOLD_PERCENT=67\nVALIDATORS={keys:?}\n");
    let items: Vec<Value> = (1..=count)
        .flat_map(|number| {
            let mut node = all.node(number);
            node["spec"]["validatorConfig"]["quorumSet"] = json!(quorum_set);
            [all.secret(number), node]
        })
        .collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn figures() {
    let count = number("SCALE_VALIDATORS", 10);
    let options = Options::as_shipped().with("--restart", "never");
    let env = TestEnv::installed("scale").await;
    let operator = env.ready_replica(&options).await;
    let audit = Audit::of(&env);
    nodes(&env, count);
    println!("| {count} validators | |\n|---|---|");
    println!("| memory before | {} |", Usage::of(&operator).memory());

    let start = Instant::now();
    env.kubectl_with(&["create", "-f", "-"], &manifests(count)).ok("create");
    println!(
        "| creating them (kubectl, one by one) | {:.1} s |",
        start.elapsed().as_secs_f64()
    );
    wait_for("all validators to be in the list", PATIENCE, async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        (env.peers().len() == count).then_some(())
    })
    .await;
    println!(
        "| from the first one to all in the list | {:.1} s |",
        start.elapsed().as_secs_f64()
    );
    wait_for("all to be at rest", PATIENCE, async || {
        let before = audit.writes();
        tokio::time::sleep(Duration::from_secs(5)).await;
        (audit.writes() == before).then_some(())
    })
    .await;
    let resting = Usage::of(&operator);
    println!(
        "| from the first one to rest | {:.1} s |",
        start.elapsed().as_secs_f64()
    );
    println!("| CPU until then | {:.2} s |", resting.cpu);
    println!("| memory then, and the most so far | {} |", resting.memory());

    let (calls, usage) = (audit.calls(), Usage::of(&operator));
    // The calls during this rest are measured, so there is no condition to wait for.
    tokio::time::sleep(REST).await;
    let rest = audit.calls().since(&calls);
    let idle_cpu = Usage::of(&operator).cpu - usage.cpu;
    println!("| API calls in {} s of rest | {rest} |", REST.as_secs());
    println!("| CPU in {} s of rest | {idle_cpu:.2} s |", REST.as_secs());
    assert_eq!(rest.count("list"), 0, "nothing is listed at rest: {rest}");
    assert_eq!(
        rest.writes(),
        0,
        "nothing is written at rest but the leader's Lease: {rest}"
    );

    let (calls, usage) = (audit.calls(), Usage::of(&operator));
    let wanted = number("SCALE_CHANGES", 100);
    let changes = Changes::of_addresses(&env, count, wanted).await;
    let end = Usage::of(&operator);
    let cpu = end.cpu - usage.cpu;
    println!("| a pod's new address to the ConfigMap, {changes} |");
    println!("| API calls for these | {} |", audit.calls().since(&calls));
    println!("| CPU for these | {cpu:.2} s |");
    println!("| memory at the end, and the most | {} |", end.memory());
    assert_eq!(env.peers().len(), count, "the list has all validators");
    let figures = Figures {
        validators: count,
        changes: wanted,
        p50: changes.percentile(50),
        p99: changes.percentile(99),
        idle_calls: rest.total(),
        idle_cpu,
        at_rest: resting.resident,
        most: end.most,
        cpu_of_1000_changes: cpu * 1000.0 / wanted as f64,
    };
    figures.record();
}
