//! With `OrderedReady`, the default of StatefulSets not built by the operator, Kubernetes never replaces a pod that is
//! not Ready. The operator deletes such a pod in the validator's slot and reports it in an Event.

use serde_json::json;
use test_kit::{Options, SOON, TestEnv, Validators, wait_for};

const SET: &str = "statefulset/validator-1";

fn voting_after(env: &TestEnv, delay: Option<&str>) {
    let patch = json!({ "spec": { "podAnnotations": { "test.stellar.org/voting-after": delay } } }).to_string();
    env.kubectl(&["patch", "stellarnode/validator-1", "--type=merge", "-p", &patch])
        .ok("patch");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_replaces_a_pod_that_is_not_ready_in_its_slot() {
    let mut env = TestEnv::start("ordered-ready", Options::default()).await;
    env.create_at_rest(&Validators::new(2), 2).await;

    // The same StatefulSet with Kubernetes' default policy.
    env.kill_operator();
    let mut set = env.get(SET).expect("it is there");
    set["spec"]["podManagementPolicy"] = json!("OrderedReady");
    set["status"] = json!(null);
    for field in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "managedFields",
    ] {
        set["metadata"][field] = json!(null);
    }
    env.kubectl(&["delete", SET, "--cascade=orphan"]).ok("delete");
    env.kubectl_with(&["create", "-f", "-"], &set.to_string()).ok("create");
    wait_for("the StatefulSet to adopt its pod", SOON, async || {
        let set = env.get(SET)?;
        (set["status"]["readyReplicas"] == 1).then_some(())
    })
    .await;
    let operator = env.ready_replica(&Options::default()).await;

    voting_after(&env, Some("never"));
    let is_down = async || {
        let pod = env.get("pod/validator-1-0")?;
        let new = pod["metadata"]["annotations"]["test.stellar.org/voting-after"] == "never";
        (new && pod["status"]["phase"] == "Running").then_some(pod["metadata"]["uid"].clone())
    };
    let broken = wait_for("it to be down with its new pod", SOON, is_down).await;
    env.wait_for_event("validator-1", "Restarting", "its spec changed")
        .await;
    let deleted = env.events("validator-1", "PodDeleted");
    assert!(deleted.is_empty(), "Kubernetes replaced the first: {deleted:?}");

    voting_after(&env, None);
    wait_for("it to vote again", SOON, async || {
        let pod = env.get("pod/validator-1-0")?;
        let is_voting = env.recorder().history().voting().contains("validator-1");
        (pod["metadata"]["uid"] != broken && is_voting).then_some(())
    })
    .await;
    assert_eq!(
        env.get(SET).expect("it is there")["spec"]["podManagementPolicy"],
        "OrderedReady"
    );
    env.wait_for_event("validator-1", "PodDeleted", "pod validator-1-0 is not Ready")
        .await;
    drop(operator);
}
