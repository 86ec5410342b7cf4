//! With `--address-mode dns` the list holds DNS names. They survive restarts, so lost pods cause no restart or write.

use std::collections::BTreeSet;
use std::time::Duration;

use test_kit::{FOUR, Options, TestEnv, Validators, wait_for};

/// Longer than every wait of the operator in this test except the fuse.
const CALM: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn losing_all_pods_causes_no_restart() {
    let env = TestEnv::start("dns", Options::default().with("--address-mode", "dns")).await;
    env.apply(&Validators::new(4).manifests(1..=4));
    let address = |name: &&str| format!("{name}-0.{name}-headless.{}.svc.cluster.local:11625", env.namespace());
    let all: BTreeSet<String> = FOUR.iter().map(address).collect();
    let know_each_other = async || {
        // The trailing dot keeps resolvers from trying their search domains.
        let absolute = |one: &String| one.replace(".local:", ".local.:");
        let others = |name: &&str| all.iter().filter(|one| **one != address(name)).map(absolute).collect();
        let loaded = |name: &&str| env.rendered_peers(name) == Some(others(name));
        let voting = env.recorder().history().voting().len() == FOUR.len();
        (voting && env.peers() == all && FOUR.iter().all(loaded)).then_some(())
    };
    wait_for(
        "four to know each other by name",
        Duration::from_secs(120),
        know_each_other,
    )
    .await;
    env.all_slots_free().await;
    let restarts = env.restarts(&FOUR);
    let list = env.get("configmap/stellar-peers").expect("the list");
    let addresses = env.addresses(&FOUR);

    let pods = FOUR.map(|name| format!("pod/{name}-0"));
    let mut delete = vec!["delete", "--wait=false"];
    delete.extend(pods.iter().map(String::as_str));
    env.kubectl(&delete).ok("delete");
    wait_for(
        "all pods to be back with new addresses",
        Duration::from_secs(60),
        async || {
            let now = env.addresses(&FOUR)?;
            let voting = env.recorder().history().voting().len() == FOUR.len();
            (voting && addresses.as_ref().is_some_and(|before| before.is_disjoint(&now))).then_some(())
        },
    )
    .await;
    // Nothing may happen in this time, so there is no condition to wait for.
    tokio::time::sleep(CALM).await;

    assert!(know_each_other().await.is_some(), "the validators are still connected");
    assert_eq!(env.restarts(&FOUR), restarts, "the operator restarted no validator");
    let after = env.get("configmap/stellar-peers").expect("the list");
    assert_eq!(
        after["metadata"]["resourceVersion"], list["metadata"]["resourceVersion"],
        "nothing was written"
    );
    env.stays_quiet(Duration::ZERO).await;
}
