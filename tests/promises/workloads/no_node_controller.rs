//! With `--no-node-controller` another operator builds the StellarNodes: this one updates lists and restarts validators
//! for peers, and builds nothing.

use std::time::Duration;

use serde_json::json;
use test_kit::{Options, SOON, THREE, TestEnv, Validators, wait_for};

/// Longer than every wait of the operator in this test except the fuse.
const CALM: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn discovery_works_and_nothing_is_built() {
    let mut env = TestEnv::start("no-controller", Options::default()).await;
    let validators = Validators::new(5);
    env.create_at_rest(&validators, 4).await;
    env.kill_operator();
    // Short waits, because validator-5 never becomes ready and some validators may have been restarted recently.
    let mut options = Options::default()
        .with("--join-wait", "5s")
        .with("--restart-fuse", "5s");
    options.arguments.push("--no-node-controller".to_owned());
    let _operator = env.run(&options).await;

    // The operator does not build, roll out or scale.
    let set = |name: &str| env.get(&format!("statefulset/{name}"));
    let before = set("validator-1").expect("a StatefulSet")["spec"].clone();
    env.apply(&validators.manifests([5]));
    let version = json!({ "spec": { "version": "27.0.0" } }).to_string();
    env.kubectl(&["patch", "stellarnode/validator-1", "--type=merge", "-p", &version])
        .ok("patch");
    tokio::time::sleep(CALM).await;
    assert!(set("validator-5").is_none(), "nothing is built");
    assert_eq!(set("validator-1").expect("a StatefulSet")["spec"], before);

    // Discovery and restarts for peers continue.
    env.kubectl(&["delete", "configmap/stellar-peers"]).ok("delete");
    wait_for("the list to be recreated", SOON, async || {
        (env.peers().len() == 4).then_some(())
    })
    .await;
    env.kubectl(&["scale", "statefulset/validator-4", "--replicas=0"])
        .ok("scale");
    env.settled(&THREE).await;
    env.all_slots_free().await;
    assert_eq!(
        set("validator-4").expect("a StatefulSet")["spec"]["replicas"],
        0,
        "the operator does not scale it back"
    );
}
