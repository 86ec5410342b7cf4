//! Deleting the CustomResourceDefinition deletes every StellarNode and StatefulSet. The operator does not crash and
//! writes no empty list, and retained storage is used again when the StellarNodes return.

use serde_json::json;
use test_kit::{FOUR, Options, SOON, TestEnv, Validators, wait_for};

use crate::four::{at_rest, logged};

const CRD: &str = "crd/stellarnodes.stellar.org";

/// Waits until the garbage collector knows the kind StellarNode. It looks for new kinds every half minute; if a kind is
/// added and removed in between, it never deletes the objects that the kind owned.
async fn collected(env: &TestEnv, validators: &Validators) {
    let mut fifth = validators.node(5);
    fifth["spec"]["suspended"] = json!(true);
    env.apply(&fifth.to_string());
    wait_for("its StatefulSet", SOON, async || env.get("statefulset/validator-5")).await;
    env.kubectl(&["delete", "stellarnode/validator-5"]).ok("delete");
    wait_for("its StatefulSet to be deleted as well", SOON, async || {
        env.get("statefulset/validator-5").is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_crd_is_put_back() {
    let env = TestEnv::installed("crd-removed").await;
    let mut operator = env.ready_replica(&Options::default()).await;
    let (validators, _) = at_rest(&env).await;
    collected(&env, &validators).await;
    // Deleting the CRD deletes every StellarNode. The fourth one has `retentionPolicy: Delete`, so its storage is
    // deleted as well.
    let (kept, goes) = FOUR.split_at(3);
    let asked = kept
        .iter()
        .map(|name| (name, "Retain"))
        .chain(goes.iter().map(|name| (name, "Delete")));
    for (name, policy) in asked {
        let change = json!({ "spec": { "storage": { "retentionPolicy": policy } } }).to_string();
        let node = format!("stellarnode/{name}");
        env.kubectl(&["patch", &node, "--type=merge", "-p", &change]).ok(name);
    }
    let volume = |name: &str| {
        let claim = env.get(&format!("persistentvolumeclaim/data-{name}-0"))?;
        Some((
            claim["spec"]["volumeName"].clone(),
            claim["metadata"]["ownerReferences"].is_array(),
        ))
    };
    wait_for("the retained claims to have no owner", SOON, async || {
        let owned = |name: &&str| volume(name).is_some_and(|(_, owned)| owned);
        (!kept.iter().any(owned) && goes.iter().all(owned)).then_some(())
    })
    .await;
    let volumes = || -> Vec<_> { kept.iter().map(|name| volume(name)).collect() };
    let before = volumes();

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
    assert_eq!(volumes(), before, "storage stays");
    assert_eq!(volume(goes[0]), None, "its claim was deleted with its StellarNode");
    logged(&env, "ERROR", "kind=\"StellarNode\"").await;

    let definition = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/crd");
    env.kubectl(&["apply", "--server-side", "-k", definition])
        .ok("put it back");
    wait_for("the API server to serve the CRD", SOON, async || {
        env.kubectl(&["get", "stellarnodes"]).success.then_some(())
    })
    .await;
    wait_for("the validators to be stored again", SOON, async || {
        let manifests = validators.manifests(1..=4);
        env.kubectl_with(&["apply", "-f", "-"], &manifests)
            .success
            .then_some(())
    })
    .await;
    env.settled_within(&FOUR, SOON * 2).await;
    env.all_slots_free().await;
    let names = |volumes: Vec<Option<(serde_json::Value, bool)>>| -> Vec<_> {
        volumes.into_iter().map(|volume| volume.map(|(name, _)| name)).collect()
    };
    assert_eq!(
        names(volumes()),
        names(before),
        "the validators use their storage again"
    );
    assert!(operator.is_ready().await);
}
