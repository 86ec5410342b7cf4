//! While machines are drained, at most one validator of a group is evicted at a time.

use serde_json::json;
use test_kit::{FOUR, Options, Output, SOON, TestEnv, Validators, wait_for};

const BUDGET: &str = "poddisruptionbudget/stellar-peers";

/// Evicts a pod as `kubectl drain` does.
fn evict(env: &TestEnv, validator: &str) -> Output {
    let pod = format!("{validator}-0");
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", env.namespace());
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod } });
    env.kubectl_with(&["create", "--raw", &path, "-f", "-"], &eviction.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_validator_of_a_group_can_be_evicted_at_a_time() {
    let env = TestEnv::start("budgets", Options::default()).await;
    env.create_at_rest(&Validators::new(4), 4).await;
    let allowed = async |wanted: i64| {
        wait_for("the budget to count its validators", SOON, async || {
            (env.get(BUDGET)?["status"]["disruptionsAllowed"] == wanted).then_some(())
        })
        .await;
    };
    allowed(1).await;
    let budget = env.get(BUDGET).expect("a budget");
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    assert_eq!(budget["status"]["expectedPods"], 4);

    evict(&env, "validator-1").ok("the first goes");
    let second = evict(&env, "validator-2");
    assert!(!second.success, "the second stays");
    assert!(second.stderr.contains("disruption budget"), "{}", second.stderr);
    env.settled(&FOUR).await;

    // The operator restores a deleted or changed budget.
    env.kubectl(&["delete", BUDGET]).ok("delete");
    allowed(1).await;
    let loosened = r#"{"spec":{"maxUnavailable":4}}"#;
    env.kubectl(&["patch", BUDGET, "--type=merge", "-p", loosened])
        .ok("patch");
    wait_for("the budget to be restored", SOON, async || {
        (env.get(BUDGET)?["spec"]["maxUnavailable"] == 1).then_some(())
    })
    .await;

    env.kubectl(&["delete", "stellarnode", "--all"]).ok("delete");
    wait_for("the budget to go with its group", SOON, async || {
        env.get(BUDGET).is_none().then_some(())
    })
    .await;
}
