//! Faults of pods: flapping readiness, a lost node, and an address that another pod gets.

use std::time::Duration;

use serde_json::json;
use test_kit::{FOUR, Options, SOON, TestEnv, wait_for};

use crate::four::{assert_lives, at_rest, lose};

fn list_version(env: &TestEnv) -> String {
    env.get("configmap/stellar-peers").expect("the list")["metadata"]["resourceVersion"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn flapping_readiness_causes_no_write() {
    let env = TestEnv::start("flapping", Options::default()).await;
    let (_, lives) = at_rest(&env).await;
    let version = list_version(&env);
    for round in 0..10 {
        for word in ["False", "True"] {
            let condition = json!({ "type": "Ready", "status": word, "reason": format!("Round{round}") });
            let patch = json!({ "status": { "conditions": [condition] } }).to_string();
            env.kubectl(&[
                "patch",
                "pod/validator-1-0",
                "--subresource=status",
                "--type=strategic",
                "-p",
                &patch,
            ])
            .ok("readiness");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    assert_lives(&env, &lives).await;
    assert_eq!(list_version(&env), version, "the operator did not write the list");
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_a_node_restarts_no_other_pod() {
    let env = TestEnv::start("node-gone", Options::default()).await;
    let (_, mut lives) = at_rest(&env).await;
    let node = env.get("pod/validator-1-0").expect("it runs")["spec"]["nodeName"]
        .as_str()
        .expect("bound")
        .to_owned();
    let object = env.kubectl(&["get", "node", &node, "-o", "json"]).ok("the node");
    for name in FOUR {
        let there = env.get(&format!("pod/{name}-0")).expect("it runs")["spec"]["nodeName"] == *node;
        *lives.get_mut(name).expect("it is there") += usize::from(there);
    }
    env.kubectl(&["delete", "node", &node]).ok("the node");
    // Kubernetes takes a minute to replace its pods.
    wait_for("its pods to be on other nodes", SOON * 2, async || {
        let elsewhere = |name: &&str| {
            env.get(&format!("pod/{name}-0")).is_some_and(|pod| {
                let bound = pod["spec"]["nodeName"].as_str();
                bound.is_some_and(|bound| bound != node)
            })
        };
        (FOUR.iter().all(elsewhere) && Some(env.peers()) == env.addresses(&FOUR)).then_some(())
    })
    .await;
    let mut object: serde_json::Value = serde_json::from_str(&object).expect("JSON");
    object["metadata"] = json!({
        "name": node, "labels": object["metadata"]["labels"], "annotations": object["metadata"]["annotations"],
    });
    env.kubectl_with(&["create", "-f", "-"], &object.to_string())
        .ok("the node again");
    // The loss of the node may take several validators down at once; the operator restarts none.
    env.all_slots_free().await;
    let history = env.recorder().history();
    assert_eq!(history.lives(), lives, "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_reused_by_another_pod_leaves_the_list() {
    let env = TestEnv::start("address-reused", Options::default()).await;
    let (_, mut lives) = at_rest(&env).await;
    let address = env.pod_ip(FOUR[0]).expect("it runs");
    lose(&env, FOUR[0], &mut lives).await;
    let other = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "stranger" },
        "spec": {
            "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "any", "image": "any:1",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    });
    env.kubectl_with(&["create", "-f", "-"], &other.to_string()).ok("a pod");
    wait_for("the other pod to run", SOON, async || {
        let pod = env.get("pod/stranger")?;
        (pod["status"]["phase"] == "Running").then_some(())
    })
    .await;
    let patch = json!({ "status": { "podIP": address, "podIPs": [{ "ip": address }] } }).to_string();
    env.kubectl(&[
        "patch",
        "pod/stranger",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ])
    .ok("its address");
    lose(&env, FOUR[1], &mut lives).await;
    assert!(!env.peers().contains(&format!("{address}:11625")));
    assert_lives(&env, &lives).await;
}
