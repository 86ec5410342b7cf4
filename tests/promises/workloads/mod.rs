//! The objects that the StellarNode controller builds: StatefulSets, Deployments, volumes, pods.

mod adoption;
mod horizon_rpc;
mod invalid_stored_spec;
mod name_conflicts_and_quota;
mod no_node_controller;
mod one_pod;
mod pod_blocked;
mod pod_settings;
mod volumes;

use serde_json::json;
use test_kit::{SOON, TestEnv, wait_for};

/// Allows so many objects of this resource in the namespace, and waits until that is enforced.
async fn allow(env: &TestEnv, resource: &str, count: &str) {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "few" },
        "spec": { "hard": { resource: count } },
    });
    env.apply(&quota.to_string());
    wait_for("the quota to be enforced", SOON, async || {
        let quota = env.get("resourcequota/few")?;
        (quota["status"]["hard"][resource] == count && quota["status"]["used"].is_object()).then_some(())
    })
    .await;
}
