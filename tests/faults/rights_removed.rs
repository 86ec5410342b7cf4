//! A right is removed while the operator runs: the operator logs what it cannot do, continues with the rest, and
//! restarts no validator because of it.

use serde_json::{Value, json};
use test_kit::{FOUR, Options, SOON, TestEnv, wait_for};

use crate::four::{a_fifth_joins, assert_lives, at_rest, logged, lose};

const ROLE: &str = "role/stellar-operator-nodes";

/// The rules of the role without the write verbs for this resource.
fn without_writes(env: &TestEnv, resource: &str) -> Value {
    let mut rules = env.get(ROLE).expect("the shipped role")["rules"].clone();
    for rule in rules.as_array_mut().expect("rules") {
        let concerned = rule["resources"]
            .as_array()
            .expect("resources")
            .iter()
            .any(|one| one == resource);
        if concerned {
            rule["verbs"] = json!(["get", "list", "watch"]);
        }
    }
    rules
}

fn write(env: &TestEnv, rules: &Value) {
    let patch = json!([{ "op": "replace", "path": "/rules", "value": rules }]).to_string();
    env.kubectl(&["patch", ROLE, "--type=json", "-p", &patch])
        .ok("the role");
}

#[tokio::test(flavor = "multi_thread")]
async fn right_to_write_lists_removed() {
    let env = TestEnv::start("no-lists", Options::default()).await;
    let (validators, mut lives) = at_rest(&env).await;
    let rules = env.get(ROLE).expect("the shipped role")["rules"].clone();
    let list = env.peers();
    write(&env, &without_writes(&env, "configmaps"));
    env.kubectl(&["delete", "pod/validator-1-0", "--wait=false"])
        .ok("a pod");
    *lives.get_mut("validator-1").expect("it is there") += 1;
    logged(&env, "ERROR", "list of peers not written").await;
    assert_eq!(env.peers(), list);
    assert_lives(&env, &lives).await;
    write(&env, &rules);
    lose(&env, FOUR[1], &mut lives).await;
    assert_lives(&env, &lives).await;
    a_fifth_joins(&env, &validators, lives).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn right_to_change_stateful_sets_removed() {
    let env = TestEnv::start("no-sets", Options::default()).await;
    let (_, mut lives) = at_rest(&env).await;
    let rules = env.get(ROLE).expect("the shipped role")["rules"].clone();
    write(&env, &without_writes(&env, "statefulsets"));
    env.kubectl(&[
        "patch",
        "stellarnode/validator-1",
        "--type=merge",
        "-p",
        r#"{"spec":{"version":"27.0.0"}}"#,
    ])
    .ok("a new version");
    logged(&env, "WARN", "rolling update failed").await;
    // The operator still updates lists.
    lose(&env, FOUR[1], &mut lives).await;
    let history = env.recorder().history();
    assert_eq!(history.lives(), lives, "{history}");
    write(&env, &rules);
    *lives.get_mut("validator-1").expect("it is there") += 1;
    wait_for("the new version", SOON, async || {
        let pod = env.get("pod/validator-1-0")?;
        pod["spec"]["containers"][0]["image"]
            .as_str()?
            .ends_with(":27.0.0")
            .then_some(())
    })
    .await;
    assert_lives(&env, &lives).await;
}
