//! What changes together costs each validator one restart, one validator after the other: a new version and a newcomer,
//! or several newcomers at once.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use test_kit::{EIGHT, Options, TestEnv, Validators};

/// The first `n` validators of a network, settled, and how many pods each has had.
async fn settled(env: &TestEnv, validators: &Validators, n: usize) -> BTreeMap<String, usize> {
    env.create_at_rest(validators, n).await;
    env.recorder().history().lives()
}

/// Each of those that were there had one pod more, each newcomer its first, and no two were down at once.
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
async fn a_new_version_and_a_newcomer_in_one_apply() {
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
    // The newcomer is last, so that the others' change is there before it.
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
async fn five_newcomers_at_once() {
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
        // A newcomer whose pod started before the list held the others loaded an older one, too.
        assert!(lives[*name] <= 2, "{name}:\n{history}");
    }
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
}
