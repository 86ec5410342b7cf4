//! A pod that returns with a new address causes no restart, and the list gets the new address.

use std::time::Duration;

use test_kit::{FOUR, Options, TestEnv, Validators, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn deleting_each_pod_once_causes_no_further_restart() {
    let env = TestEnv::start("pods-deleted", Options::default()).await;
    env.create_at_rest(&Validators::new(4), 4).await;
    let restarts = env.restarts(&FOUR);
    let lives = env.recorder().history().lives();

    for name in FOUR {
        let before = env.pod_ip(name);
        env.kubectl(&["delete", &format!("pod/{name}-0")]).ok("delete");
        wait_for("the list to follow the pod", Duration::from_secs(30), async || {
            let address = env.addresses(&[name])?.into_iter().next()?;
            let moved = env.pod_ip(name) != before && env.peers().contains(&address) && env.peers().len() == 4;
            moved.then_some(())
        })
        .await;
    }
    env.settled(&FOUR).await;

    assert_eq!(env.restarts(&FOUR), restarts, "the operator restarted no validator");
    let history = env.recorder().history();
    let expected = lives.into_iter().map(|(name, lives)| (name, lives + 1)).collect();
    assert_eq!(history.lives(), expected, "each pod came back once:\n{history}");
}
