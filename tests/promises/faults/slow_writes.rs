//! A write without an answer delays no other write: the operator updates the list at once, even if Events and one
//! StatefulSet cannot be written.

use serde_json::json;
use stellar_k8s::labels;
use test_kit::{Call, FOUR, Fate, Operator, Options, Proxy, SOON, TestEnv, Validators, wait_for};

async fn three(name: &str) -> (TestEnv, Validators, Proxy, Operator) {
    let env = TestEnv::installed(name).await;
    let proxy = Proxy::start(env.cluster()).await;
    let mut operator = env.replica_behind(&Options::default(), &proxy);
    wait_for("the operator to be ready", SOON, async || {
        operator.is_ready().await.then_some(())
    })
    .await;
    let validators = Validators::new(4);
    env.create_at_rest(&validators, 3).await;
    (env, validators, proxy, operator)
}

/// The operator's log from byte `start` on.
fn log_since(env: &TestEnv, start: usize) -> String {
    env.log()[start..].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn unanswered_event_writes_do_not_delay_the_list() {
    let (env, _validators, proxy, _operator) = three("slow-events").await;
    let start = env.log().len();
    let list = env.peers();
    proxy.judge(|call| {
        if call.path.contains("/events") {
            Fate::Lost
        } else {
            Fate::Pass
        }
    });
    // Each repair sends an Event to each member.
    for _ in 0..2 {
        let edit = json!({ "data": { "KNOWN_PEERS": "192.0.2.1:11625" } }).to_string();
        env.kubectl(&["patch", "configmap/stellar-peers", "--type=merge", "-p", &edit])
            .ok("edit");
        wait_for("the list to be put right", SOON, async || {
            (env.peers() == list).then_some(())
        })
        .await;
    }
    let not_sent = "Event not sent";
    wait_for("the operator to give up the Events", SOON, async || {
        log_since(&env, start).contains(not_sent).then_some(())
    })
    .await;
    let log = log_since(&env, start);
    let (before, _) = log.split_once(not_sent).expect("it is there");
    assert_eq!(
        before.matches("was put right").count(),
        2,
        "repairs while the first Events were in flight"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_stateful_set_write_does_not_delay_the_list() {
    let (env, validators, proxy, _operator) = three("slow-record").await;
    let start = env.log().len();
    let is_record = |call: &Call| call.path.contains("/statefulsets/validator-4") && call.body.contains(labels::MEMBER);
    proxy.judge(move |call| if is_record(call) { Fate::Lost } else { Fate::Pass });
    env.apply(&validators.manifests([4]));
    let not_written = "membership not written";
    wait_for("the operator to give up the membership for now", SOON, async || {
        log_since(&env, start).contains(not_written).then_some(())
    })
    .await;
    let log = log_since(&env, start);
    let (before, line) = log.split_once(not_written).expect("it is there");
    let written = before
        .lines()
        .any(|line| line.contains("list of peers written") && line.contains("peers=4"));
    assert!(written, "the operator wrote the list first:\n{before}");
    assert!(line.starts_with("; tried again"), "{line}");
    let level = before.lines().last().unwrap_or_default();
    assert!(level.contains("ERROR"), "{level}");

    proxy.judge(|_| Fate::Pass);
    env.settled(&FOUR).await;
}
