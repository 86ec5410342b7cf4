//! Interference by users and by Kubernetes: StatefulSets are deleted, restarted or set to `OnDelete`, and pods never
//! become ready, hang or are evicted. Each time the list keeps its members, the operator takes down one validator at a
//! time and restarts none without a cause, and the status names what is stalled.

mod actions;
mod evicted;
mod foreign_stateful_sets;
mod never_ready;
mod peers_list;
mod restarted_by_hand;
mod stuck_terminating;
mod update_strategy;
mod workload_deleted;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use test_kit::{FOUR, Options, SOON, TestEnv, Validators, wait_for};

/// Time limit of a rollout with a few slots.
const ROLLOUT: Duration = Duration::from_secs(120);
const NEW_VERSION: &str = "27.0.0";

/// Creates four connected validators at rest; returns how often each has been down.
async fn four_at_rest(env: &TestEnv, validators: &Validators) -> BTreeMap<String, usize> {
    env.create_settled(validators, 4).await;
    // Otherwise the operator would still restart one of them.
    wait_for("each pair to be connected", SOON, async || {
        env.not_connected(&FOUR).is_empty().then_some(())
    })
    .await;
    env.all_slots_free().await;
    env.recorder().history().downs()
}

/// The mode recommended for production: joins and leaves cost no restart, so a network is soon at rest.
fn unlinked() -> Options {
    Options::default().with("--restart", "unlinked")
}

/// Creates four voting validators in [`unlinked`] mode; returns how often each has been down.
async fn four_linked(env: &TestEnv, validators: &Validators) -> BTreeMap<String, usize> {
    env.apply(&validators.manifests(1..=4));
    linked(env).await;
    env.all_slots_free().await;
    env.recorder().history().downs()
}

/// Waits until the four validators vote, and so are connected, and the list has their current addresses.
async fn linked(env: &TestEnv) {
    wait_for("four connected validators", ROLLOUT, async || {
        let voting = env.recorder().history().voting();
        let vote = FOUR.iter().all(|name| voting.contains(*name));
        (vote && env.peers() == env.addresses(&FOUR)?).then_some(())
    })
    .await;
}

/// Sets a new version for each of these validators.
fn ask_for_new_version(env: &TestEnv, names: &[&str]) {
    let patch = json!({ "spec": { "version": NEW_VERSION } }).to_string();
    for name in names {
        env.kubectl(&["patch", &format!("stellarnode/{name}"), "--type=merge", "-p", &patch])
            .ok("patch");
    }
}

fn has_new_version(env: &TestEnv, name: &str) -> bool {
    let image = env.get(&format!("pod/{name}-0")).map(|pod| {
        let containers = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
        containers.into_iter().any(|one| {
            let image = one["image"].as_str().unwrap_or_default();
            image.ends_with(&format!(":{NEW_VERSION}"))
        })
    });
    image == Some(true)
}

/// Waits until each of these validators votes with the new version and no slot is in use.
async fn all_have_new_version(env: &TestEnv, names: &[&str]) {
    wait_for("the new version", ROLLOUT, async || {
        let voting = env.recorder().history().voting();
        let there = |name: &&str| voting.contains(*name) && has_new_version(env, name);
        names.iter().all(there).then_some(())
    })
    .await;
    env.all_slots_free().await;
}

/// The validator that holds the slot.
fn holder(env: &TestEnv) -> Option<String> {
    let leases = env.get("leases")?;
    let mut holders = leases["items"].as_array()?.iter().filter_map(|lease| {
        lease["metadata"]["annotations"].get(stellar_k8s::labels::SLOTS)?;
        let (_, name) = lease["spec"]["holderIdentity"].as_str()?.rsplit_once('/')?;
        Some(name.to_owned())
    });
    holders.next()
}

/// A condition of a validator.
fn condition(env: &TestEnv, name: &str, kind: &str) -> Option<Value> {
    let node = env.get(&format!("stellarnode/{name}"))?;
    let conditions = node["status"]["conditions"].as_array()?;
    conditions.iter().find(|one| one["type"] == kind).cloned()
}

/// Waits until a condition of a validator has this reason and its message contains these words.
async fn wait_for_condition(env: &TestEnv, name: &str, kind: &str, reason: &str, words: &str) {
    let what = format!("{kind} of {name} to be {reason} and say {words:?}");
    wait_for(&what, SOON, async || {
        let found = condition(env, name, kind)?;
        (found["reason"] == reason && found["message"].as_str()?.contains(words)).then_some(())
    })
    .await;
}

/// Adds `more` to the numbers of these validators.
fn with_more(downs: &BTreeMap<String, usize>, names: &[&str], more: usize) -> BTreeMap<String, usize> {
    let mut downs = downs.clone();
    for name in names {
        *downs.entry((*name).to_owned()).or_default() += more;
    }
    downs
}

/// How often the operator restarted a validator to link its group: two validators that lose their pods at once may not
/// know each other's address.
fn restarts_for_links(env: &TestEnv, name: &str) -> usize {
    let log = env.log();
    let of_it = format!("/{name} reason");
    let lines = log
        .lines()
        .filter(|line| line.contains("its group is not connected: restarting"));
    lines.filter(|line| line.contains(&of_it)).count()
}

/// A rollout of a new version to four validators.
struct Rollout {
    /// The validator with the first slot.
    first: String,
    /// A validator that waits for its slot.
    waiting: &'static str,
    linked: BTreeMap<&'static str, usize>,
}

impl Rollout {
    /// Sets the new version and waits for the first slot.
    async fn begin(env: &TestEnv) -> Self {
        ask_for_new_version(env, &FOUR);
        let first = wait_for("the first slot", SOON, async || holder(env)).await;
        let waiting = FOUR.into_iter().rfind(|name| *name != first).expect("others wait");
        let linked = FOUR.map(|name| (name, restarts_for_links(env, name))).into();
        Self { first, waiting, linked }
    }

    /// The most times that a validator may have gone down, `by_hand` times by the test included.
    fn downs(&self, env: &TestEnv, name: &str, by_hand: usize) -> usize {
        1 + by_hand + restarts_for_links(env, name) - self.linked[name]
    }
}

/// Asserts that no two validators were down at once, except those in `by_others`.
fn assert_one_at_a_time(env: &TestEnv, by_others: &[&str]) {
    let history = env.recorder().history();
    let down = history.down_at_once(by_others);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
}
