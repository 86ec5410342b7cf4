//! An annotation on a StellarNode or on its namespace pauses restarts but not discovery.

use std::collections::BTreeMap;

use test_kit::{FOUR, Options, SOON, TestEnv, Validators, wait_for};

const PAUSE: &str = "stellar.org/pause-restarts";

/// The message of a validator's condition.
fn message(env: &TestEnv, validator: &str, condition: &str) -> Option<String> {
    let node = env.get(&format!("stellarnode/{validator}"))?;
    let conditions = node["status"]["conditions"].as_array()?.clone();
    let found = conditions.into_iter().find(|one| one["type"] == condition)?;
    found["message"].as_str().map(str::to_owned)
}

fn is_held(env: &TestEnv, validator: &str, condition: &str) -> bool {
    message(env, validator, condition).is_some_and(|message| message.contains(PAUSE))
}

fn once_each() -> BTreeMap<String, usize> {
    FOUR.map(|name| (name.to_owned(), 1)).into()
}

async fn settled_one_by_one(env: &TestEnv) {
    env.settled(&FOUR).await;
    let history = env.recorder().history();
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn namespace_annotation_pauses_all_restarts_until_it_is_removed() {
    let env = TestEnv::installed("paused-namespace").await;
    let namespace = format!("namespace/{}", env.namespace());
    env.kubectl(&["annotate", &namespace, "stellar.org/pause-restarts=maintenance"])
        .ok("pause");
    let _operator = env.run(&Options::default()).await;
    let validators = Validators::new(4);
    env.apply(&validators.manifests(1..=4));
    // Both a change of its spec and the new members are causes to restart it.
    wait_for("the list of four", SOON, async || {
        (env.peers().len() == 4).then_some(())
    })
    .await;
    for name in FOUR {
        let node = format!("stellarnode/{name}");
        let version = r#"{"spec":{"version":"27.0.0"}}"#;
        env.kubectl(&["patch", &node, "--type=merge", "-p", version])
            .ok("a new version");
    }
    for name in FOUR {
        wait_for("each validator to report the pause", SOON, async || {
            is_held(&env, name, "UpdatePending").then_some(())
        })
        .await;
    }
    assert_eq!(
        env.recorder().history().lives(),
        once_each(),
        "no validator was restarted"
    );
    env.kubectl(&["annotate", &namespace, "stellar.org/pause-restarts-"])
        .ok("go on");
    settled_one_by_one(&env).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_annotation_pauses_only_that_validator() {
    let env = TestEnv::start("paused-node", Options::default()).await;
    let validators = Validators::new(4);
    env.create_at_rest(&validators, 3).await;
    let before = env.recorder().history().lives();
    env.kubectl(&[
        "annotate",
        "stellarnode/validator-2",
        "stellar.org/pause-restarts=until-friday",
    ])
    .ok("pause");
    env.apply(&validators.manifests([4]));
    wait_for("the others to have loaded the fourth", SOON, async || {
        let knows_all = |name: &str| env.rendered_peers(name).is_some_and(|peers| peers.len() == 3);
        (knows_all("validator-1") && knows_all("validator-3") && knows_all("validator-4")).then_some(())
    })
    .await;
    wait_for("the second to report the pause", SOON, async || {
        is_held(&env, "validator-2", "PeersReady").then_some(())
    })
    .await;
    assert_eq!(env.recorder().history().lives()["validator-2"], before["validator-2"]);
    env.kubectl(&["annotate", "stellarnode/validator-2", "stellar.org/pause-restarts-"])
        .ok("go on");
    settled_one_by_one(&env).await;
}
