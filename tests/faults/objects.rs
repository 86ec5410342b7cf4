//! A user deletes objects of the operator: it recreates them and restarts no validator.

use crate::four::{a_fifth_joins, assert_lives, at_rest, is_reviewed};
use test_kit::{Options, SOON, TestEnv, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn deleted_objects_are_restored() {
    let env = TestEnv::start("deleted", Options::default()).await;
    let (_, lives) = at_rest(&env).await;
    for object in [
        "service/validator-1-headless",
        "configmap/validator-1-config",
        "poddisruptionbudget/stellar-peers",
        "configmap/stellar-peers",
    ] {
        let before = env.get(object).unwrap_or_else(|| panic!("there is no {object}"))["metadata"]["uid"].clone();
        env.kubectl(&["delete", object]).ok(object);
        wait_for(&format!("another {object}"), SOON, async || {
            (env.get(object)?["metadata"]["uid"] != before).then_some(())
        })
        .await;
    }
    assert_lives(&env, &lives).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_certificate_secret_is_replaced() {
    let env = TestEnv::start("secret-deleted", Options::default()).await;
    let (validators, lives) = at_rest(&env).await;
    let secret = "secret/stellar-operator-webhook-cert";
    let before = env.get(secret).expect("it is there")["metadata"]["uid"].clone();
    env.kubectl(&["delete", secret]).ok("delete");
    wait_for("another", SOON, async || {
        (env.get(secret)?["metadata"]["uid"] != before).then_some(())
    })
    .await;
    is_reviewed(&env, &validators).await;
    a_fifth_joins(&env, &validators, lives).await;
}
