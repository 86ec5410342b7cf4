//! Two operators that both believe to be the leader never use two slots at once and restart no validator twice.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use serde_json::Value;
use stellar_k8s::labels;
use test_kit::{FOUR, Options, Proxy, TestEnv, Validators, wait_for};

const START: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn two_leaders_never_use_two_slots_at_once() {
    let env = TestEnv::installed("two-leaders").await;
    let first_proxy = Proxy::start(env.cluster()).await;
    // The proxy renames its Lease, so that it does not learn of the first leader.
    let second_proxy = Proxy::with_leader_lease(env.cluster(), "another-leader").await;
    let options = Options::default();
    let mut first = env.replica_behind(&options, &first_proxy);
    let mut second = env.second_behind(&options, &second_proxy);
    for operator in [&mut first, &mut second] {
        wait_for("both to lead", START, async || {
            (operator.is_ready().await && operator.leads().await).then_some(())
        })
        .await;
    }
    let leases: Api<Lease> = Api::namespaced(env.cluster().client().await, env.namespace());
    let slots = watcher(leases, watcher::Config::default().labels(labels::NETWORK));
    let most_slots = tokio::spawn(async move {
        let mut slots = slots.applied_objects().boxed();
        let mut most = 0;
        while let Some(lease) = slots.next().await {
            let lease = lease.expect("the watch goes on");
            let json = lease
                .metadata
                .annotations
                .unwrap_or_default()
                .remove(labels::SLOTS)
                .unwrap_or_default();
            let out: Value = serde_json::from_str(&json).expect("slots");
            most = most.max(out.as_array().map_or(0, Vec::len));
            if lease
                .metadata
                .labels
                .unwrap_or_default()
                .contains_key("test.stellar.org/end")
            {
                break;
            }
        }
        most
    });

    let validators = Validators::new(4);
    env.create_at_rest(&validators, 3).await;
    let before = env.recorder().history().lives();
    env.apply(&validators.manifests([4]));
    env.settled(&FOUR).await;
    env.all_slots_free().await;

    let history = env.recorder().history();
    let mut after: BTreeMap<String, usize> = before.into_iter().map(|(name, lives)| (name, lives + 1)).collect();
    after.insert("validator-4".to_owned(), 1);
    assert_eq!(history.lives(), after, "{history}");
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
    env.kubectl(&["label", "leases", "-l", labels::NETWORK, "test.stellar.org/end=yes"])
        .ok("the end");
    assert_eq!(most_slots.await.expect("it watched"), 1);
    assert!(first.leads().await && second.leads().await, "both led until the end");
}
