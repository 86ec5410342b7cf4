//! Changes made together cost each validator one restart, one by one: a new version and a new member, or several new
//! members at once.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use test_kit::{EIGHT, Options, TestEnv, Validators};

/// Creates the first `n` validators and waits until they settle; returns how many pods each has had.
async fn settled(env: &TestEnv, validators: &Validators, n: usize) -> BTreeMap<String, usize> {
    env.create_at_rest(validators, n).await;
    env.recorder().history().lives()
}

/// Asserts that each existing validator had one more pod, each new one had its first, and no two were down at once.
async fn each_once(env: &TestEnv, before: BTreeMap<String, usize>, n: usize) {
    env.settled(&EIGHT[..n]).await;
    env.all_slots_free().await;
    let history = env.recorder().history();
    let mut expected: BTreeMap<String, usize> = before.into_iter().map(|(name, lives)| (name, lives + 1)).collect();
    for name in &EIGHT[..n] {
        expected.entry((*name).to_owned()).or_insert(1);
    }
    assert_eq!(history.lives(), expected, "{history}");
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_and_a_new_member_cost_one_restart_each() {
    let env = TestEnv::start("version-and-newcomer", Options::default()).await;
    let validators = Validators::new(5);
    let before = settled(&env, &validators, 4).await;
    let mut items: Vec<Value> = (1..=4)
        .map(|number| {
            let mut node = validators.node(number);
            node["spec"]["version"] = json!("27.0.0");
            node
        })
        .collect();
    // The new member is last, so that the change of the others comes first.
    items.extend([validators.secret(5), validators.node(5)]);
    env.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string());
    each_once(&env, before, 5).await;
    for name in &EIGHT[..4] {
        let pod = env.get(&format!("pod/{name}-0")).expect("it runs");
        let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
        assert!(image.ends_with(":27.0.0"), "{name}: {image}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_new_members_cost_one_restart_each() {
    let env = TestEnv::start("five-join-three", Options::default()).await;
    let validators = Validators::new(8);
    let before = settled(&env, &validators, 3).await;
    env.apply(&validators.manifests(4..=8));
    env.settled(&EIGHT).await;
    env.all_slots_free().await;
    let history = env.recorder().history();
    let lives = history.lives();
    for name in &EIGHT[..3] {
        assert_eq!(
            lives[*name],
            before[*name] + 1,
            "{name} loaded an older list:\n{history}"
        );
    }
    for name in &EIGHT[3..] {
        // A new pod that started before the list was complete also loaded an older list.
        assert!(lives[*name] <= 2, "{name}:\n{history}");
    }
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
}
