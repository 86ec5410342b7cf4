//! The CustomResourceDefinition is deleted, and Kubernetes takes every StellarNode and StatefulSet with it: the operator does
//! not crash, writes no empty list, and the storage is there when both come back.

use crate::common::{Options, TestEnv, wait_for};
use crate::four::{FOUR, SOON, at_rest, logged};

const CRD: &str = "crd/stellarnodes.stellar.org";

#[tokio::test(flavor = "multi_thread")]
async fn and_put_back() {
    let env = TestEnv::installed("crd-removed").await;
    let mut operator = env.ready_replica(&Options::default()).await;
    let (validators, _) = at_rest(&env).await;
    let claims = |env: &TestEnv| {
        let jsonpath = "-o=jsonpath={range .items[*]}{.metadata.name}={.spec.volumeName} {end}";
        env.kubectl(&["get", "persistentvolumeclaims", jsonpath]).ok("claims")
    };
    let before = claims(&env);
    assert_eq!(before.split_whitespace().count(), 4, "{before}");

    env.kubectl(&["delete", CRD, "--timeout=60s"]).ok("delete");
    wait_for("their pods to be gone", SOON, async || {
        FOUR.iter()
            .all(|name| env.get(&format!("pod/{name}-0")).is_none())
            .then_some(())
    })
    .await;
    assert!(operator.is_alive());
    let list = env.get("configmap/stellar-peers");
    if let Some(list) = list {
        assert!(
            list["data"]["KNOWN_PEERS"]
                .as_str()
                .is_some_and(|peers| !peers.is_empty()),
            "an empty list: {list}"
        );
    }
    assert_eq!(claims(&env), before, "storage stays");
    logged(&env, "WARN", "stellarnodes").await;

    let definition = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/crd");
    env.kubectl(&["apply", "--server-side", "-k", definition])
        .ok("put it back");
    wait_for("it to be served", SOON, async || {
        env.kubectl(&["get", "stellarnodes"]).success.then_some(())
    })
    .await;
    wait_for("the validators to be taken again", SOON, async || {
        let manifests = validators.manifests(1..=4);
        env.kubectl_with(&["apply", "-f", "-"], &manifests)
            .success
            .then_some(())
    })
    .await;
    env.settled_within(&FOUR, SOON * 2).await;
    env.without_turns().await;
    assert_eq!(claims(&env), before, "and is theirs again");
    assert!(operator.is_ready().await);
}
