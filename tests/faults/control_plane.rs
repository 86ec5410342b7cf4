//! The control plane hangs, or dies and comes back: nothing is removed, nobody is restarted, and what came meanwhile is done.

use std::time::Duration;

use crate::common::{Options, TestEnv, wait_for};
use crate::component::Component;
use crate::four::{FOUR, SOON, a_fifth_joins, assert_lives, at_rest, lose};

const A_MINUTE: Duration = Duration::from_secs(60);

async fn answers(env: &TestEnv) {
    wait_for("the API server to answer", SOON, async || {
        env.kubectl(&["get", "--raw", "/readyz", "--request-timeout=2s"])
            .success
            .then_some(())
    })
    .await;
}

/// Four are at rest, something happens to the control plane, one pod is lost after it, and a fifth joins.
async fn through(name: &str, fault: impl AsyncFnOnce(&TestEnv)) {
    let env = TestEnv::start(name, Options::default().with("--lease-duration", "5s")).await;
    let (validators, mut lives) = at_rest(&env).await;
    let list = env.peers();
    fault(&env).await;
    answers(&env).await;
    assert_eq!(env.peers(), list, "nobody was removed");
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
        // The time itself is the fault.
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
