//! Pods that Kubernetes evicts, by the eviction API or by the kubelet, return with new addresses: the list follows, and
//! the operator restarts no validator.

use serde_json::json;
use test_kit::{FOUR, SOON, TWO, TestEnv, Validators, wait_for};

use super::peers_list::PeersList;
use super::{four_linked, linked, unlinked, with_more};

#[tokio::test(flavor = "multi_thread")]
async fn list_follows_evicted_pods_and_no_validator_is_restarted() {
    let env = TestEnv::start("evicted", unlinked()).await;
    let downs = four_linked(&env, &Validators::new(4)).await;
    let restarts = env.restarts(&FOUR);
    let list = PeersList::watch(&env).await;

    let drained = env.pod_ip("validator-1");
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "name": "validator-1-0", "namespace": env.namespace() },
    });
    let path = format!("/api/v1/namespaces/{}/pods/validator-1-0/eviction", env.namespace());
    env.kubectl_with(&["create", "--raw", &path, "-f", "-"], &eviction.to_string())
        .ok("evict");
    followed(&env, "validator-1", drained.as_deref()).await;

    // The kubelet writes this status when a machine runs out of memory or disk.
    let failed = env.pod_ip("validator-2");
    let status =
        json!({ "status": { "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource" } });
    let patch = status.to_string();
    env.kubectl(&[
        "patch",
        "pod/validator-2-0",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ])
    .ok("fail");
    followed(&env, "validator-2", failed.as_deref()).await;

    linked(&env).await;
    env.all_slots_free().await;
    let history = env.recorder().history();
    let expected = with_more(&downs, &TWO, 1);
    assert_eq!(history.downs(), expected, "{history}");
    assert_eq!(env.restarts(&FOUR), restarts, "the operator restarted no validator");
    list.assert_at_least(4);
}

/// Waits until a validator has a new address and the list has it.
async fn followed(env: &TestEnv, name: &str, before: Option<&str>) {
    wait_for("the list to follow the pod", SOON, async || {
        let now = env.pod_ip(name)?;
        let listed = env.peers().contains(&format!("{now}:11625"));
        (Some(now.as_str()) != before && listed).then_some(())
    })
    .await;
}
