//! An operator that is killed after or before each of its writes completes a rollout without an extra restart. The
//! rollouts: a new member, a new spec, and a reverted spec for which a pod has to be deleted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::json;
use test_kit::{FOUR, Fate, Operator, Options, Proxy, THREE, TestEnv, Validators, wait_for};

/// The validator whose spec changes.
const CHANGED: &str = "validator-2";
/// Time limit of a rollout: each write costs a start of the operator.
const ALL: Duration = Duration::from_secs(300);
/// A run that writes nothing for this long after the rollout has nothing left to write.
const QUIET: Duration = Duration::from_secs(5);
/// A spec with which the pod never votes.
const NEVER_VOTES: &str = r#"{"spec":{"podAnnotations":{"test.stellar.org/voting-after":"never"}}}"#;

/// The rollout during which the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rollout {
    /// A fourth validator joins: the three others load its address.
    Newcomer,
    /// One of three gets a new version and a new base config.
    Spec,
    /// One of three gets back the spec with which it voted. Kubernetes keeps its pod, which does not vote.
    PodNotReady,
}

impl Rollout {
    fn validators(self) -> &'static [&'static str] {
        match self {
            Self::Newcomer => &FOUR,
            Self::Spec | Self::PodNotReady => &THREE,
        }
    }

    /// Prepares the cluster for the rollout.
    async fn prepare(self, env: &TestEnv, start: impl AsyncFn() -> Operator, operator: Operator) -> Operator {
        if self != Self::PodNotReady {
            return operator;
        }
        operator.kill();
        make_ordered(env).await;
        let operator = start().await;
        patch(env, NEVER_VOTES);
        wait_for("a pod that does not vote", ALL, async || {
            let pod = env.get(&format!("pod/{CHANGED}-0"))?;
            let new = pod["metadata"]["annotations"]["test.stellar.org/voting-after"] == "never";
            let down = !env.recorder().history().voting().contains(CHANGED);
            (new && down && pod["status"]["phase"] == "Running").then_some(())
        })
        .await;
        operator
    }

    /// Starts the rollout.
    fn begin(self, env: &TestEnv, validators: &Validators) {
        match self {
            Self::Newcomer => env.apply(&validators.manifests([4])),
            Self::Spec => {
                let config = json!({ "coreConfig": "TARGET_PEER_CONNECTIONS=20" });
                let spec = json!({ "version": "27.0.0", "validatorConfig": config });
                patch(env, &json!({ "spec": spec }).to_string());
            }
            Self::PodNotReady => patch(env, r#"{"spec":{"podAnnotations":null}}"#),
        }
    }

    /// The number of pods of each validator after the rollout.
    fn lives_after(self, before: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
        let mut after = before.clone();
        match self {
            Self::Newcomer => {
                after.values_mut().for_each(|lives| *lives += 1);
                after.insert("validator-4".to_owned(), 1);
            }
            Self::Spec | Self::PodNotReady => *after.entry(CHANGED.to_owned()).or_default() += 1,
        }
        after
    }

    /// The rollout needs more writes than this number.
    fn least_deaths(self) -> usize {
        match self {
            Self::Newcomer => 10,
            // The slot, the base config, the template, the list and its record, the release of the slot.
            Self::Spec => 5,
            // The slot, the template, the pod, the release of the slot.
            Self::PodNotReady => 3,
        }
    }
}

fn patch(env: &TestEnv, spec: &str) {
    let node = format!("stellarnode/{CHANGED}");
    env.kubectl(&["patch", &node, "--type=merge", "-p", spec]).ok("patch");
}

/// Replaces the operator's StatefulSet by one with Kubernetes' default pod management, which adopts the existing pod.
async fn make_ordered(env: &TestEnv) {
    let set = format!("statefulset/{CHANGED}");
    let mut ordered = env.get(&set).expect("its StatefulSet");
    ordered["spec"]["podManagementPolicy"] = json!("OrderedReady");
    ordered.as_object_mut().expect("an object").remove("status");
    for field in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "managedFields",
    ] {
        ordered["metadata"].as_object_mut().expect("metadata").remove(field);
    }
    env.kubectl(&["delete", &set, "--cascade=orphan"]).ok("delete");
    env.kubectl_with(&["create", "-f", "-"], &ordered.to_string())
        .ok("create");
    wait_for("the StatefulSet to adopt the pod", ALL, async || {
        let status = env.get(&set)?["status"].clone();
        (status["readyReplicas"] == 1 && status["currentRevision"] == status["updateRevision"]).then_some(())
    })
    .await;
}

/// Waits until each affected validator was restarted, no slot is in use, and nothing has been written since.
async fn over(env: &TestEnv, rollout: Rollout, expected: &BTreeMap<String, usize>) {
    let restarts: usize = expected.values().sum();
    wait_for("the restart of each affected validator", ALL, async || {
        let lives = env.recorder().history().lives();
        (lives.values().sum::<usize>() >= restarts).then_some(())
    })
    .await;
    env.settled_within(rollout.validators(), ALL).await;
    env.all_slots_free_within(ALL).await;
    tokio::time::sleep(QUIET).await;
}

/// Kills each operator at its write number `writes`; `fate` says whether that write is done.
async fn an_operator_that_dies(name: &str, rollout: Rollout, writes: usize, fate: Fate) {
    let env = TestEnv::installed(name).await;
    let proxy = Proxy::start(env.cluster()).await;
    // A restarted pod keeps its name and so stays the leader.
    let options = Options::default().with("--pod-name", "operator-1");
    let start = async || {
        let mut operator = env.replica_behind(&options, &proxy);
        wait_for("the operator to be ready", ALL, async || {
            operator.is_ready().await.then_some(())
        })
        .await;
        operator
    };
    let operator = start().await;
    let validators = Validators::new(4);
    env.create_at_rest(&validators, 3).await;
    let mut operator = rollout.prepare(&env, start, operator).await;
    let expected = rollout.lives_after(&env.recorder().history().lives());

    // The write at which each operator was killed. Another write may be in flight at the same time.
    let mut deaths: Vec<Vec<String>> = Vec::new();
    let begin = Instant::now();
    let deleted_before = Arc::new(AtomicBool::new(false));
    loop {
        let (seen, fatal) = (AtomicUsize::new(0), Arc::new(Mutex::new(Vec::new())));
        let (killed_at, deleted_before) = (Arc::clone(&fatal), Arc::clone(&deleted_before));
        proxy.judge(move |call| {
            let survives = !call.is_write() || seen.fetch_add(1, Ordering::SeqCst) + 1 < writes;
            // A run may begin with this write.
            let deletes = call.method == Method::DELETE && !deleted_before.swap(true, Ordering::SeqCst);
            if survives && !deletes {
                return Fate::Pass;
            }
            killed_at
                .lock()
                .expect("the lock is not poisoned")
                .push(call.to_string());
            fate
        });
        // The rollout starts only after the first rule is set, so that no write escapes it.
        if deaths.is_empty() {
            rollout.begin(&env, &validators);
        }
        tokio::select! {
            () = proxy.lost() => {}
            () = over(&env, rollout, &expected) => break,
        }
        operator.kill();
        // A second write lost at the same moment does not count as another run.
        let _ = tokio::time::timeout(Duration::ZERO, proxy.lost()).await;
        deaths.push(fatal.lock().expect("the lock is not poisoned").clone());
        assert!(begin.elapsed() < ALL, "no end after {deaths:#?}");
        operator = env.replica_behind(&options, &proxy);
    }
    let history = env.recorder().history();
    assert_eq!(
        history.lives(),
        expected,
        "each affected validator restarted once:\n{history}"
    );
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
    assert!(
        deaths.len() > rollout.least_deaths(),
        "the operator was killed too rarely: {deaths:#?}"
    );
    let deleted = deaths
        .iter()
        .flatten()
        .any(|call| call.starts_with("DELETE") && call.contains("/pods/"));
    assert_eq!(deleted, rollout == Rollout::PodNotReady, "{deaths:#?}");
    eprintln!("{name}: {} deaths", deaths.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_each_write() {
    an_operator_that_dies("killed-after", Rollout::Newcomer, 1, Fate::AnswerLost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_each_write_but_the_first() {
    an_operator_that_dies("killed-before", Rollout::Newcomer, 2, Fate::Lost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_each_write_for_a_new_spec() {
    an_operator_that_dies("killed-after-spec", Rollout::Spec, 1, Fate::AnswerLost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_each_write_but_the_first_for_a_new_spec() {
    an_operator_that_dies("killed-before-spec", Rollout::Spec, 2, Fate::Lost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_each_write_for_a_pod_that_is_not_ready() {
    let rollout = Rollout::PodNotReady;
    an_operator_that_dies("killed-after-pod", rollout, 1, Fate::AnswerLost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_each_write_but_the_first_for_a_pod_that_is_not_ready() {
    let rollout = Rollout::PodNotReady;
    an_operator_that_dies("killed-before-pod", rollout, 2, Fate::Lost).await;
}
