//! A namespace that goes, with all its validators, holds up nothing and nobody, itself least of all.

use test_kit::{Options, SOON, SecondNamespace, THREE, TWO, TestEnv, Validators, free_port, wait_for};

/// Looks after both. One of them is named twice: were it watched twice, each of its validators would be there twice,
/// and none ever have loaded what it should.
fn options(env: &TestEnv, second: &SecondNamespace) -> Options {
    let (first, second) = (env.namespace(), second.namespace());
    let namespaces = format!("{first},{second},{first}");
    Options::default().with("--namespace", &namespaces)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_and_the_other_namespace_lives_on() {
    let env = TestEnv::installed("namespace-deleted").await;
    let second = SecondNamespace::beside(&env);
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
    assert!(operator.is_alive() && operator.is_ready().await, "it serves on");
    assert_eq!(env.recorder().history().lives(), before, "nobody here went down for it");

    // And the operator does its work here, with the other out of sight.
    env.apply(&here.manifests(3..=3));
    wait_for("the newcomer to be in the list", SOON, async || {
        env.addresses(&THREE).filter(|addresses| env.peers() == *addresses)
    })
    .await;
    env.settled(&THREE).await;

    // One that starts now would wait for it for ever, and says so to whoever asks.
    let late = env.replica(&options(&env, &second), free_port());
    let waits_for = format!("pods in namespace {namespace}");
    wait_for(
        "the newcomer among the replicas to say what it waits for",
        SOON,
        async || late.readyz().await.contains(&waits_for).then_some(()),
    )
    .await;
}
