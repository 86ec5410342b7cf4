//! All pods of six validators are lost at once: as few restarts as connect the group again, one at a time, then rest.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::json;

use crate::common::{Options, TestEnv, Validators, wait_for};

const SIX: [&str; 6] = [
    "validator-1",
    "validator-2",
    "validator-3",
    "validator-4",
    "validator-5",
    "validator-6",
];
/// Each validator needs links to so many others.
const ENOUGH: usize = 3;
/// Longer than every wait of the operator in these tests, the fuse included: it would keep those from being restarted that
/// were restarted when the network was new.
const CALM: Duration = Duration::from_secs(14);

/// Loses the pods of the first `lost` validators, and counts the restarts of ours that follow.
async fn losing(name: &str, lost: usize, read_late: Option<&str>, allowed: RangeInclusive<usize>) {
    let options = Options::default()
        .with("--restart-fuse", "10s")
        .with("--propagation", "6s");
    let env = TestEnv::start(name, options).await;
    let validators = Validators::new(6);
    let nodes: Vec<_> = (1..=6)
        .map(|number| {
            let mut node = validators.node(number);
            if let Some(seconds) = read_late {
                node["spec"]["podAnnotations"] = json!({ "test.stellar.org/read-late": seconds });
            }
            node
        })
        .collect();
    let secrets: Vec<_> = (1..=6).map(|number| validators.secret(number)).collect();
    let items: Vec<_> = secrets.into_iter().chain(nodes).collect();
    env.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string());
    let connected = async || {
        let links = env.links(&SIX);
        let addresses = env.addresses(&SIX)?;
        (env.peers() == addresses && links.values().all(|links| *links >= ENOUGH)).then_some(())
    };
    wait_for("six validators to be connected", Duration::from_secs(120), connected).await;
    env.without_turns().await;
    // What began with the first lists has to be over, so that only the loss is counted.
    tokio::time::sleep(CALM).await;
    env.without_turns().await;
    // By its log: Kubernetes itself may replace a pod of a validator more than once in such a moment.
    let restarts_of_ours = || env.log().matches("reason=\"Restarting\"").count();
    let before = restarts_of_ours();
    let addresses = env.addresses(&SIX).expect("six addresses");

    let pods: Vec<String> = SIX[..lost].iter().map(|name| format!("pod/{name}-0")).collect();
    let mut delete = vec!["delete", "--wait=false"];
    delete.extend(pods.iter().map(String::as_str));
    env.kubectl(&delete).ok("delete");
    wait_for("new addresses", Duration::from_secs(60), async || {
        let now = env.peers();
        (now.len() == 6 && now.intersection(&addresses).count() == 6 - lost).then_some(())
    })
    .await;
    wait_for("the group to be connected again", Duration::from_secs(120), connected).await;
    env.without_turns().await;
    let lives = env.recorder().history().lives();
    // That nothing more happens is what is promised: there is nothing to wait for.
    tokio::time::sleep(CALM).await;

    let history = env.recorder().history();
    assert_eq!(history.lives(), lives, "it came to rest:\n{history}");
    assert!(connected().await.is_some(), "it stays connected");
    let restarts = restarts_of_ours() - before;
    assert!(
        allowed.contains(&restarts),
        "{restarts} restarts, not {allowed:?}:\n{history}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_six_cost_three_restarts_at_most() {
    losing("power-cut", 6, None, 1..=3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_six_cost_three_restarts_at_most_when_kubelets_read_late() {
    losing("power-cut-late", 6, Some("3"), 1..=3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_six_cost_none() {
    losing("two-lost", 2, None, 0..=0).await;
}
