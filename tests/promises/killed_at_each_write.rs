//! An operator that dies after, or before, each of its writes brings a rollout to the same end, with no restart more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{Fate, Options, Proxy, TestEnv, Validators, wait_for};

const FOUR: [&str; 4] = ["validator-1", "validator-2", "validator-3", "validator-4"];
/// How long it all may take: each write costs a start.
const ALL: Duration = Duration::from_secs(300);
/// A life without a write for as long as this has nothing left to write.
const QUIET: Duration = Duration::from_secs(15);

/// Which of its writes an operator does not survive, and whether that write is done.
async fn a_newcomer_joins_an_operator_that_dies(name: &str, writes: usize, fate: Fate) {
    let env = TestEnv::installed(name).await;
    let proxy = Proxy::start(env.cluster()).await;
    // A pod that starts anew keeps its name, and so its lead.
    let options = Options::default().with("--pod-name", "operator-1");
    let mut operator = env.replica_behind(&options, &proxy);
    wait_for("the operator to be ready", ALL, async || {
        operator.is_ready().await.then_some(())
    })
    .await;
    let validators = Validators::new(4);
    env.apply(&validators.manifests(1..=3));
    env.settled(&FOUR[..3]).await;
    env.without_turns().await;
    let before = env.recorder().history().lives();

    env.apply(&validators.manifests([4]));
    let mut deaths = 0;
    let begin = std::time::Instant::now();
    loop {
        let seen = AtomicUsize::new(0);
        proxy.judge(move |call| {
            let survives = !call.is_write() || seen.fetch_add(1, Ordering::SeqCst) + 1 < writes;
            if survives { Fate::Pass } else { fate }
        });
        if tokio::time::timeout(QUIET, proxy.lost()).await.is_err() {
            break;
        }
        operator.kill();
        deaths += 1;
        assert!(begin.elapsed() < ALL, "{deaths} deaths and no end");
        operator = env.replica_behind(&options, &proxy);
    }
    env.settled(&FOUR).await;
    env.without_turns().await;
    let history = env.recorder().history();
    let mut after: BTreeMap<String, usize> = before.into_iter().map(|(name, lives)| (name, lives + 1)).collect();
    after.insert("validator-4".to_owned(), 1);
    assert_eq!(
        history.lives(),
        after,
        "each of the three once, the newcomer never:\n{history}"
    );
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
    assert!(
        deaths > 10,
        "it died {deaths} times only: the writes of a rollout are more"
    );
    eprintln!("{deaths} deaths");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_each_write() {
    a_newcomer_joins_an_operator_that_dies("killed-after", 1, Fate::AnswerLost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_each_write_but_its_first() {
    a_newcomer_joins_an_operator_that_dies("killed-before", 2, Fate::Lost).await;
}
