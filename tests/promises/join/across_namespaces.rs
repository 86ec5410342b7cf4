//! Validators of two namespaces form one group only if both namespaces ask for it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use test_kit::{Options, Recorder, SecondNamespace, TestEnv, Validators, wait_for};

/// The validators with these numbers; with `other` they ask to form one group with that namespace.
fn manifests(validators: &Validators, numbers: [usize; 2], other: Option<&str>) -> String {
    let items: Vec<Value> = numbers
        .into_iter()
        .flat_map(|number| {
            let mut node = validators.node(number);
            if let Some(other) = other {
                node["spec"]["validatorConfig"]["peerGroup"] = json!({ "name": "both", "namespaces": [other] });
            }
            [validators.secret(number), node]
        })
        .collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

/// The StellarNodes of both namespaces.
fn nodes(env: &TestEnv, second: &SecondNamespace) -> Vec<Value> {
    [env.namespace(), second.namespace()]
        .iter()
        .flat_map(|namespace| {
            let list = env.get_in(namespace, "stellarnodes").unwrap_or_default();
            list["items"].as_array().cloned().unwrap_or_default()
        })
        .collect()
}

fn lists(env: &TestEnv, second: &SecondNamespace) -> Option<[BTreeSet<String>; 2]> {
    let list = env.get_in(second.namespace(), "configmap/stellar-peers")?;
    let theirs = list["data"]["KNOWN_PEERS"].as_str()?;
    Some([env.peers(), theirs.lines().map(str::to_owned).collect()])
}

/// Waits until each validator has loaded `known` others; returns both lists.
async fn all_loaded(env: &TestEnv, second: &SecondNamespace, known: usize) -> [BTreeSet<String>; 2] {
    wait_for("all to have loaded the others", Duration::from_secs(120), async || {
        let nodes = nodes(env, second);
        let is_done = |node: &Value| {
            let conditions = node["status"]["conditions"].as_array();
            let is = |wanted: &str, reason: &str| {
                let mut all = conditions.into_iter().flatten();
                all.any(|one| one["type"] == wanted && one["reason"] == reason)
            };
            node["status"]["peers"]["known"] == json!(known) && is("PeersReady", "Loaded") && is("Ready", "PodReady")
        };
        let found = lists(env, second)?;
        let complete = found.iter().all(|list| list.len() == known + 1);
        (nodes.len() == 4 && nodes.iter().all(is_done) && complete).then_some(found)
    })
    .await
}

fn agreement_of(env: &TestEnv, validator: &str) -> Option<String> {
    env.reason(validator, "PeerGroupJoined")
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_form_one_group_only_if_both_ask_for_it() {
    let env = TestEnv::installed("across").await;
    let second = SecondNamespace::create(&env);
    let both = format!("{},{}", env.namespace(), second.namespace());
    let recorder = Recorder::across(env.cluster().client().await, &[env.namespace(), second.namespace()]);
    let mut options = Options::default().with("--namespace", &both);
    options.arguments.push("--cross-namespace-groups".to_owned());
    let _operator = env.run(&options).await;

    let validators = Validators::new(4);
    env.apply(&manifests(&validators, [1, 2], Some(second.namespace())));
    second.kubectl(&["apply", "-f", "-"], &manifests(&validators, [3, 4], None));
    let [ours, theirs] = all_loaded(&env, &second, 1).await;
    assert!(ours.is_disjoint(&theirs), "a request by one side joins nothing");
    assert_eq!(agreement_of(&env, "validator-1").as_deref(), Some("NoConsent"));
    env.all_slots_free().await;
    let before = recorder.history().lives();

    second.kubectl(
        &["apply", "-f", "-"],
        &manifests(&validators, [3, 4], Some(env.namespace())),
    );
    all_loaded(&env, &second, 3).await;
    // One list is written after the other.
    wait_for(
        "each namespace to have the whole list",
        Duration::from_secs(30),
        async || {
            let [ours, theirs] = lists(&env, &second)?;
            (ours == theirs && ours.len() == 4).then_some(())
        },
    )
    .await;
    assert_eq!(agreement_of(&env, "validator-1").as_deref(), Some("Joined"));
    env.all_slots_free().await;
    let history = recorder.history();
    let expected = before.into_iter().map(|(name, lives)| (name, lives + 1)).collect();
    assert_eq!(history.lives(), expected, "each was restarted once:\n{history}");
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
}
