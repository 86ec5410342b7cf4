//! The control plane hangs, or is killed and restarted. The operator removes no address, restarts no validator, and
//! handles later changes.

use std::time::Duration;

use serde_json::Value;
use test_kit::{FOUR, Options, SOON, TestEnv, wait_for};

use crate::component::Component;
use crate::four::{a_fifth_joins, assert_lives, at_rest, lose};

const A_MINUTE: Duration = Duration::from_secs(60);
const LEASES_OF_NODES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// Waits until the API server answers and the simulated kubelets have renewed the Leases of their nodes. They renew
/// them every 50 s; the faults of several tests in a row could exceed the 200 s after which a node counts as lost.
pub(crate) async fn answers(env: &TestEnv) {
    wait_for("the API server to answer", SOON, async || {
        env.kubectl(&["get", "--raw", "/readyz", "--request-timeout=2s"])
            .success
            .then_some(())
    })
    .await;
    let before = renewals(env).expect("it answers");
    wait_for("the kubelets to renew their leases", SOON * 2, async || {
        let now = renewals(env)?;
        now.iter().all(|renewal| !before.contains(renewal)).then_some(())
    })
    .await;
}

/// When each node renewed its Lease.
fn renewals(env: &TestEnv) -> Option<Vec<Value>> {
    let leases = env.kubectl(&["get", "--raw", LEASES_OF_NODES]);
    let leases: Value = serde_json::from_str(&leases.stdout).ok()?;
    let leases = leases["items"].as_array()?.iter();
    Some(leases.map(|lease| lease["spec"]["renewTime"].clone()).collect())
}

/// Four validators are at rest, the control plane fails, then one pod is lost and a fifth validator joins.
async fn through(name: &str, fault: impl AsyncFnOnce(&TestEnv)) {
    let env = TestEnv::start(name, Options::default().with("--lease-duration", "5s")).await;
    let (validators, mut lives) = at_rest(&env).await;
    let list = env.peers();
    fault(&env).await;
    answers(&env).await;
    assert_eq!(env.peers(), list, "no address was removed");
    assert_lives(&env, &lives).await;
    lose(&env, FOUR[0], &mut lives).await;
    assert_lives(&env, &lives).await;
    a_fifth_joins(&env, &validators, lives).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_is_killed_and_started_again() {
    through("api-killed", async |env| {
        env.recorder().may_break_off();
        Component::of_cluster("kube-apiserver").kill_and_start();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_hangs_for_a_minute() {
    through("api-hangs", async |_| {
        let component = Component::of_cluster("kube-apiserver");
        component.stop();
        // The duration is part of the fault.
        tokio::time::sleep(A_MINUTE).await;
        component.go_on();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_hangs() {
    through("etcd-hangs", async |_| {
        let component = Component::of_cluster("etcd");
        component.stop();
        tokio::time::sleep(A_MINUTE / 2).await;
        component.go_on();
    })
    .await;
}
