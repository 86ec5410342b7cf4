//! The operator is terminated, or paused for longer than its Lease, in the middle of a rollout: another replica
//! continues.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use test_kit::{FOUR, Operator, Options, SOON, TestEnv, Validators, free_port, wait_for};

use crate::four::{Lives, assert_lives, at_rest};

/// Sets a new version for all four validators in one apply.
fn change(env: &TestEnv, validators: &Validators) {
    let nodes: Vec<_> = (1..=4)
        .map(|number| {
            let mut node = validators.node(number);
            node["spec"]["version"] = json!("27.0.0");
            node
        })
        .collect();
    env.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": nodes }).to_string());
}

/// Waits until the first validator is down for the new version.
async fn first_is_down(env: &TestEnv, before: &Lives) {
    wait_for("the first restart", SOON, async || {
        (env.recorder().history().downs().values().sum::<usize>() > downs(before)).then_some(())
    })
    .await;
}

fn downs(lives: &Lives) -> usize {
    lives.values().sum::<usize>() - lives.len()
}

async fn each_once(env: &TestEnv, mut lives: Lives) {
    wait_for("all to have the new version", SOON * 2, async || {
        let new = |name: &&str| {
            let pod = env.get(&format!("pod/{name}-0"));
            pod.is_some_and(|pod| {
                pod["spec"]["containers"][0]["image"]
                    .as_str()
                    .unwrap_or_default()
                    .ends_with(":27.0.0")
            })
        };
        FOUR.iter().all(new).then_some(())
    })
    .await;
    lives.values_mut().for_each(|count| *count += 1);
    assert_lives(env, &lives).await;
}

fn signal(operator: &Operator, signal: &str) {
    let pid = operator.pid().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &pid])
            .status()
            .expect("kill")
            .success()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn terminated_in_the_middle_of_a_rollout() {
    let env = TestEnv::installed("term").await;
    let first = env.ready_replica(&Options::default()).await;
    let (validators, lives) = at_rest(&env).await;
    change(&env, &validators);
    first_is_down(&env, &lives).await;
    first.terminate().await;
    let _second = env.ready_replica(&Options::default()).await;
    each_once(&env, lives).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_for_longer_than_its_lease() {
    let env = TestEnv::installed("stopped").await;
    let options = Options::default().with("--lease-duration", "3s");
    let first = env.ready_replica(&options).await;
    let (validators, lives) = at_rest(&env).await;
    let second = env.replica(&options, free_port());
    change(&env, &validators);
    first_is_down(&env, &lives).await;
    // The API server calls the webhook of the first operator, so the test creates nothing while that is paused.
    signal(&first, "-STOP");
    wait_for("the second to lead", SOON, async || second.leads().await.then_some(())).await;
    // The first operator resumes in the middle of the second one's work and believes to lead until its Lease write
    // fails.
    tokio::time::sleep(Duration::from_secs(1)).await;
    signal(&first, "-CONT");
    each_once(&env, lives).await;
    wait_for("the first to stop leading", SOON, async || {
        (!first.leads().await).then_some(())
    })
    .await;
}
