//! The library functions of the original guide. Another program calls each of them; no operator runs.

use std::time::Duration;

use stellar_k8s::controller::{discover_peers, ensure_peers_config_map, trigger_rolling_update, watch_peers};
use test_kit::{Options, THREE, TestEnv, Validators, wait_for};

const LIST: &str = "configmap/stellar-peers";

#[tokio::test(flavor = "multi_thread")]
async fn each_library_function_works_without_an_operator() {
    let mut env = TestEnv::start("public-names", Options::default()).await;
    env.create_at_rest(&Validators::new(4), 4).await;
    env.delete_validating_webhook();
    env.kill_operator();
    let client = env.cluster().client().await;
    let namespace = env.namespace().to_owned();

    let found = discover_peers(&client, &namespace, None).await.expect("found");
    assert_eq!((found.active_validator_count, found.changed), (4, false));
    assert!(found.peers.iter().eq(&env.peers()), "sorted, and those of the list");
    let config = found.to_stellar_config();
    assert!(found.peers.iter().all(|peer| config.contains(peer)), "{config}");
    let others = discover_peers(&client, &namespace, Some("validator-2"))
        .await
        .expect("found");
    assert_eq!((others.active_validator_count, others.peers.len()), (3, 3));
    let none = discover_peers(&client, "default", None).await.expect("found");
    assert_eq!((none.active_validator_count, none.changed), (0, false));

    assert!(
        !ensure_peers_config_map(&client, &namespace, &found)
            .await
            .expect("nothing to do")
    );
    env.kubectl(&["delete", LIST]).ok("delete");
    let found = discover_peers(&client, &namespace, None).await.expect("found");
    assert!(found.changed, "a missing list counts as changed");
    assert!(
        ensure_peers_config_map(&client, &namespace, &found)
            .await
            .expect("written")
    );
    assert!(env.peers().iter().eq(&found.peers));

    let none = trigger_rolling_update(&client, &namespace)
        .await
        .expect("nothing to do");
    assert_eq!(none, Vec::<String>::new());
    // Only an operator that builds pods rolls out a new version; a slot for it would never end.
    set(&env, "validator-1", r#"{"spec":{"version":"26.0.2"}}"#).await;
    set(&env, "validator-4", r#"{"spec":{"suspended":true}}"#).await;
    let found = discover_peers(&client, &namespace, None).await.expect("found");
    assert_eq!((found.active_validator_count, found.changed), (3, true));
    assert!(
        ensure_peers_config_map(&client, &namespace, &found)
            .await
            .expect("written")
    );
    let one = trigger_rolling_update(&client, &namespace).await.expect("one restart");
    assert_eq!(one, ["validator-1"], "one at a time");
    let none = trigger_rolling_update(&client, &namespace)
        .await
        .expect("nothing to do");
    assert_eq!(none, Vec::<String>::new(), "the others wait");

    let watching = tokio::spawn(watch_peers(client, namespace));
    env.kubectl(&["delete", LIST]).ok("delete");
    wait_for("the list to be recreated", Duration::from_secs(60), async || {
        let addresses = env.addresses(&THREE)?;
        (env.peers() == addresses).then_some(())
    })
    .await;
    watching.abort();
}

/// Changes a StellarNode. It retries until the API server knows that the validating webhook is gone.
async fn set(env: &TestEnv, name: &str, patch: &str) {
    let node = format!("stellarnode/{name}");
    wait_for("the change to be accepted", Duration::from_secs(30), async || {
        let patched = env.kubectl(&["patch", &node, "--type=merge", "-p", patch]);
        patched.success.then_some(())
    })
    .await;
}
