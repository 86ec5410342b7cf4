//! Deleting a namespace with all its validators blocks neither its own deletion nor the operator's work elsewhere.

use test_kit::{Options, SOON, SecondNamespace, THREE, TWO, TestEnv, Validators, free_port, wait_for};

/// The operator manages both namespaces. One of them is named twice: if the operator watched it twice, it would count
/// each validator twice, and none would ever have loaded the expected list.
fn options(env: &TestEnv, second: &SecondNamespace) -> Options {
    let (first, second) = (env.namespace(), second.namespace());
    let namespaces = format!("{first},{second},{first}");
    Options::default().with("--namespace", &namespaces)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_namespace_does_not_affect_another_namespace() {
    let env = TestEnv::installed("namespace-deleted").await;
    let second = SecondNamespace::create(&env);
    let mut operator = env.ready_replica(&options(&env, &second)).await;
    let (here, there) = (Validators::new(3), Validators::new(2));
    env.apply(&here.manifests(1..=2));
    second.kubectl(&["apply", "-f", "-"], &there.manifests(1..=2));
    env.settled(&TWO).await;
    second.kubectl(
        &[
            "wait",
            "stellarnodes",
            "--all",
            "--for=condition=Voting",
            "--timeout=90s",
        ],
        "",
    );
    env.all_slots_free().await;
    let before = env.recorder().history().lives();

    let namespace = second.namespace();
    env.cluster()
        .kubectl(&["delete", "namespace", namespace, "--wait=true", "--timeout=90s"], "")
        .ok("the namespace to be gone");
    assert!(
        operator.is_alive() && operator.is_ready().await,
        "the operator keeps serving"
    );
    assert_eq!(
        env.recorder().history().lives(),
        before,
        "no validator of the other namespace restarted"
    );

    // The operator still updates the remaining namespace.
    env.apply(&here.manifests(3..=3));
    wait_for("the new member to be in the list", SOON, async || {
        env.addresses(&THREE).filter(|addresses| env.peers() == *addresses)
    })
    .await;
    env.settled(&THREE).await;

    // A replica that starts now waits for the deleted namespace, and `/readyz` says so.
    let late = env.replica(&options(&env, &second), free_port());
    let waits_for = format!("pods in namespace {namespace}");
    wait_for("the new replica to say what it waits for", SOON, async || {
        late.readyz().await.contains(&waits_for).then_some(())
    })
    .await;
}
