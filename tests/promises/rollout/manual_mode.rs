//! With `--restart manual` each restart waits until a person approves that exact change.

use std::time::Duration;

use serde_json::json;
use test_kit::{Options, SOON, THREE, TestEnv, Validators, wait_for};

/// Longer than every wait of the operator in this test except the fuse.
const CALM: Duration = Duration::from_secs(6);

/// The hash of a validator's pending change.
fn pending(env: &TestEnv, name: &str) -> Option<String> {
    let node = env.get(&format!("stellarnode/{name}"))?;
    let peers = &node["status"]["peers"];
    let waits = peers["pendingRestart"] == "PeersChanged";
    peers["pendingHash"].as_str().filter(|_| waits).map(str::to_owned)
}

fn approve(env: &TestEnv, name: &str, hash: &str) {
    let patch = json!({ "metadata": { "annotations": { "stellar.org/approve-restart": hash } } });
    let node = format!("stellarnode/{name}");
    env.kubectl(&["patch", &node, "--type=merge", "-p", &patch.to_string()])
        .ok("approve");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_approved_validator_restarts() {
    let env = TestEnv::start("manual", Options::default().with("--restart", "manual")).await;
    let validators = Validators::new(4);
    env.apply(&validators.manifests([1]));
    let voting = async |names: &[&str]| {
        wait_for("all to vote", SOON, async || {
            let voting = env.recorder().history().voting();
            names.iter().all(|name| voting.contains(*name)).then_some(())
        })
        .await;
    };
    voting(&THREE[..1]).await;
    env.apply(&validators.manifests([2, 3]));
    voting(&THREE).await;
    let hash = wait_for("a change to be pending", SOON, async || {
        (env.peers().len() == 3).then(|| pending(&env, "validator-1")).flatten()
    })
    .await;
    approve(&env, "validator-1", "another-hash");
    // Nothing may happen in this time, so there is no condition to wait for.
    tokio::time::sleep(CALM).await;
    let before = env.recorder().history().lives();
    assert!(
        before.values().all(|lives| *lives == 1),
        "no validator was restarted: {before:?}"
    );

    approve(&env, "validator-1", &hash);
    wait_for("the approved restart", SOON, async || {
        let status = pending(&env, "validator-1");
        let lives = env.recorder().history().lives();
        (status.is_none() && lives["validator-1"] == 2).then_some(())
    })
    .await;
    voting(&THREE).await;
    env.all_slots_free().await;
    let after = env.recorder().history().lives();
    assert_eq!(
        after.values().sum::<usize>(),
        4,
        "only that one was restarted: {after:?}"
    );
}
