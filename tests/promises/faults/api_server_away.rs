//! While the API server does not answer or answers with errors, the operator removes no peer and restarts no validator.
//! Afterwards it updates the list by itself.

use std::time::Duration;

use test_kit::{FOUR, Fate, Options, Proxy, SOON, TWO, TestEnv, Validators, wait_for};

const A_MINUTE: Duration = Duration::from_secs(60);

/// Four validators settle. The API server fails while two pods are lost, and then works again.
async fn away(name: &str, how: Fate, how_long: Duration) {
    let env = TestEnv::installed(name).await;
    let proxy = Proxy::start(env.cluster()).await;
    let options = Options::default().with("--lease-duration", "5s");
    let mut operator = env.replica_behind(&options, &proxy);
    wait_for("the operator to be ready", SOON, async || {
        operator.is_ready().await.then_some(())
    })
    .await;
    env.create_at_rest(&Validators::new(4), 4).await;
    let before = env.recorder().history().lives();
    let list = env.peers();

    proxy.judge(move |_| how);
    proxy.cut();
    let begin = tokio::time::Instant::now();
    env.kubectl(&["delete", "pod/validator-1-0", "pod/validator-2-0", "--wait=false"])
        .ok("two pods");
    wait_for("both to vote again", SOON, async || {
        let history = env.recorder().history();
        let back = history.voting().len() == 4
            && history.lives().values().sum::<usize>() == before.values().sum::<usize>() + 2;
        back.then_some(())
    })
    .await;
    assert_eq!(env.peers(), list, "the list is unchanged during the fault");
    // The duration is part of the fault, so there is no condition to wait for.
    tokio::time::sleep_until(begin + how_long).await;
    assert!(operator.is_alive(), "the operator keeps running");

    proxy.judge(|_| Fate::Pass);
    wait_for("the list to follow", SOON, async || {
        (Some(env.peers()) == env.addresses(&FOUR)).then_some(())
    })
    .await;
    env.all_slots_free().await;
    let mut after = before;
    for name in &TWO {
        *after.entry((*name).to_owned()).or_default() += 1;
    }
    let history = env.recorder().history();
    assert_eq!(
        history.lives(),
        after,
        "the test deleted two pods, the operator restarted none:\n{history}"
    );
    assert!(operator.is_ready().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_for_a_minute() {
    away("api-silent", Fate::Lost, A_MINUTE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_500_for_a_minute() {
    away("api-500", Fate::Refused(500), Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_429_for_a_minute() {
    away("api-429", Fate::Refused(429), Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_expire_with_410() {
    away("api-410", Fate::Refused(410), Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_takes_three_seconds() {
    let env = TestEnv::installed("api-slow").await;
    let proxy = Proxy::start(env.cluster()).await;
    let mut operator = env.replica_behind(&Options::default(), &proxy);
    wait_for("the operator to be ready", SOON, async || {
        operator.is_ready().await.then_some(())
    })
    .await;
    let validators = Validators::new(4);
    env.create_at_rest(&validators, 3).await;
    let mut lives = env.recorder().history().lives();

    // The operator still renews its Lease in time.
    proxy.judge(|_| Fate::Late(Duration::from_secs(3)));
    env.apply(&validators.manifests([4]));
    env.settled_within(&FOUR, SOON * 4).await;
    env.all_slots_free_within(SOON * 4).await;
    lives.values_mut().for_each(|count| *count += 1);
    lives.insert("validator-4".to_owned(), 1);
    let history = env.recorder().history();
    assert_eq!(history.lives(), lives, "{history}");
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
}
