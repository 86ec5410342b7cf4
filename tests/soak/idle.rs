//! Twenty nodes of all types at rest for a minute: the operator writes and reconciles nothing, and its own status
//! writes cause no reconcile.

use std::time::Duration;

use serde_json::{Value, json};
use stellar_k8s::labels;
use test_kit::{Audit, Options, TestEnv, Validators, wait_for};

const VALIDATORS: usize = 12;
const SERVERS: usize = 4;
/// The reads of every reconcile.
const ASKED: [&str; 3] = ["get statefulsets", "get deployments", "get services"];
const PATIENCE: Duration = Duration::from_secs(900);

fn server(number: usize, node_type: &str, block: &str, settings: &Value) -> Value {
    json!({
        "apiVersion": labels::API_VERSION,
        "kind": labels::KIND,
        "metadata": { "name": format!("{}-{number}", node_type.to_lowercase()) },
        "spec": { "nodeType": node_type, "network": "testnet", "version": "1.0.0", (block): settings },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_rest_costs_no_write_and_no_reconcile() {
    let options = Options::as_shipped().with("--min-ready", "5s");
    let env = TestEnv::start("idle", options).await;
    let audit = Audit::of(&env);
    env.apply(&Validators::new(VALIDATORS).manifests(1..=VALIDATORS));
    let servers: Vec<Value> = (1..=SERVERS)
        .flat_map(|number| {
            [
                server(
                    number,
                    "Horizon",
                    "horizonConfig",
                    &json!({ "databaseSecretRef": "database" }),
                ),
                server(number, "SorobanRpc", "sorobanConfig", &json!({})),
            ]
        })
        .collect();
    env.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": servers }).to_string());
    let names: Vec<String> = (1..=VALIDATORS).map(Validators::name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    env.settled_within(&names, PATIENCE).await;
    env.all_slots_free_within(PATIENCE).await;
    wait_for("twenty nodes to be Ready", PATIENCE, async || {
        let text = env.kubectl(&["get", "stellarnodes", "-o", "json"]).ok("nodes");
        let list: Value = serde_json::from_str(&text).expect("JSON");
        let nodes = list["items"].as_array().expect("a list").clone();
        let is_ready = |node: &Value| {
            let conditions = node["status"]["conditions"].as_array();
            let mut all = conditions.into_iter().flatten();
            all.any(|one| one["type"] == "Ready" && one["status"] == "True")
        };
        (nodes.len() == VALIDATORS + 2 * SERVERS && nodes.iter().all(is_ready)).then_some(())
    })
    .await;
    // All work for the last change is done when nothing was written for a while.
    wait_for("all to be at rest", PATIENCE, async || {
        let before = audit.writes();
        tokio::time::sleep(Duration::from_secs(10)).await;
        (audit.writes() == before).then_some(())
    })
    .await;

    let before = audit.calls();
    // Nothing may happen in this time, so there is no condition to wait for.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let calls = audit.calls().since(&before);
    println!("20 nodes, 60 s: {calls}");
    assert_eq!(calls.writes(), 0, "{calls}");
    assert_eq!(calls.count("list"), 0, "{calls}");
    for asked in ASKED {
        assert_eq!(calls.of(asked), 0, "{calls}");
    }
}
