//! Scenario 2 of the guide: a suspended validator leaves the list, and the others restart one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use test_kit::{Options, SOON, TestEnv, Validators, wait_for};

const REMAINING: [&str; 3] = ["validator-1", "validator-3", "validator-4"];

#[tokio::test(flavor = "multi_thread")]
async fn suspended_validator_leaves_and_the_others_restart_one_by_one() {
    let env = TestEnv::start("suspended", Options::default().with("--restart-fuse", "5s")).await;
    env.create_settled(&Validators::new(4), 4).await;
    let before = env.recorder().history().lives();

    let suspend = r#"{"spec":{"suspended":true}}"#;
    env.kubectl(&["patch", "stellarnode/validator-2", "--type=merge", "-p", suspend])
        .ok("suspend");
    wait_for(
        "the StatefulSet to be scaled to 0",
        Duration::from_secs(30),
        async || {
            let stateful_set = env.get("statefulset/validator-2")?;
            (stateful_set["spec"]["replicas"] == json!(0)).then_some(())
        },
    )
    .await;
    env.settled(&REMAINING).await;

    let history = env.recorder().history();
    let expected: BTreeMap<String, usize> = before
        .into_iter()
        .map(|(name, lives)| {
            if name == "validator-2" {
                (name, lives)
            } else {
                (name, lives + 1)
            }
        })
        .collect();
    assert_eq!(
        history.lives(),
        expected,
        "one restart each, no new pod of the suspended one:\n{history}"
    );
    let down = history.down_at_once(&["validator-2"]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
    assert_eq!(env.not_connected(&REMAINING), [], "each pair is connected");
    assert!(env.get("pod/validator-2-0").is_none(), "its pod is gone");
    assert!(env.get("service/validator-2-headless").is_some(), "its Service stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn resumed_validator_gets_the_current_operator_image() {
    let env = TestEnv::start("program", Options::default()).await;
    env.apply(&Validators::new(4).manifests([1]));
    env.settled(&["validator-1"]).await;
    let program = |env: &TestEnv| {
        let stateful_set = env.get("statefulset/validator-1").expect("there");
        stateful_set["spec"]["template"]["spec"]["initContainers"][0]["image"].clone()
    };
    let present = program(&env);
    // The image of an older operator version, or one that cannot be pulled.
    let older = json!([{ "op": "replace", "path": "/spec/template/spec/initContainers/0/image", "value": "older:1" }]);
    env.kubectl(&[
        "patch",
        "statefulset/validator-1",
        "--type=json",
        "-p",
        &older.to_string(),
    ])
    .ok("an older image");
    env.kubectl(&["label", "stellarnode/validator-1", "looked-at=again"])
        .ok("another reconcile");
    wait_for("the pod with it to vote", SOON, async || {
        let history = env.recorder().history();
        (history.lives()["validator-1"] == 2 && history.voting().contains("validator-1")).then_some(())
    })
    .await;
    assert_eq!(program(&env), "older:1", "no validator is restarted for it");

    for suspended in [true, false] {
        let patch = json!({ "spec": { "suspended": suspended } }).to_string();
        env.kubectl(&["patch", "stellarnode/validator-1", "--type=merge", "-p", &patch])
            .ok("suspend");
        wait_for("the pod to stop or start", SOON, async || {
            let pod = env.get("pod/validator-1-0");
            (pod.is_none() == suspended).then_some(())
        })
        .await;
    }
    wait_for("it to vote again", SOON, async || {
        let history = env.recorder().history();
        (history.lives()["validator-1"] == 3 && history.voting().contains("validator-1")).then_some(())
    })
    .await;
    assert_eq!(program(&env), present);
}
