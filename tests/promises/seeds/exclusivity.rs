//! Of two validators with the same seed or database only one runs, even if no webhook refused the second.

use serde_json::{Value, json};
use stellar_k8s::labels;
use test_kit::{Options, SOON, TWO, TestEnv, Validators, wait_for};

fn is_held(env: &TestEnv, name: &str) -> bool {
    env.reason(name, "Ready").as_deref() == Some("SeedInUse")
}

fn suspend(env: &TestEnv, name: &str, suspended: bool) {
    let patch = json!({ "spec": { "suspended": suspended } }).to_string();
    let node = format!("stellarnode/{name}");
    env.kubectl(&["patch", &node, "--type=merge", "-p", &patch]).ok("patch");
}

async fn runs(env: &TestEnv, name: &str) {
    let what = format!("{name} to run");
    wait_for(&what, SOON, async || {
        (env.reason(name, "Ready").as_deref() == Some("PodReady")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn younger_validator_starts_only_after_the_older_has_stopped() {
    let env = TestEnv::start("one-seed", Options::default()).await;
    let validators = Validators::new(4);
    let mut second = validators.node(2);
    second["spec"]["validatorConfig"]["seedSecretRef"] = json!("validator-1-seed");
    // With the webhook in place, the API server refuses the second.
    env.apply(&validators.manifests([1]));
    let refused = env.kubectl_with(&["create", "-f", "-"], &second.to_string());
    assert!(
        !refused.success && refused.stderr.contains("already the seed of validator \"validator-1\""),
        "{}",
        refused.stderr
    );
    env.kubectl(&["delete", "stellarnode/validator-1"]).ok("delete");
    wait_for("its pod to be gone", SOON, async || {
        env.get("pod/validator-1-0").is_none().then_some(())
    })
    .await;

    env.delete_validating_webhook();
    let both = json!({ "apiVersion": "v1", "kind": "List", "items": [validators.node(1), second] }).to_string();
    wait_for("the API server to store both", SOON, async || {
        env.kubectl_with(&["apply", "-f", "-"], &both).success.then_some(())
    })
    .await;
    let held = wait_for("one to be held back", SOON, async || {
        TWO.into_iter().find(|name| is_held(&env, name))
    })
    .await;
    let first = TWO.into_iter().find(|name| *name != held).expect("two");
    runs(&env, first).await;
    assert!(env.get(&format!("statefulset/{held}")).is_none());

    suspend(&env, first, true);
    runs(&env, held).await;
    suspend(&env, first, false);
    wait_for("the first to be held back", SOON, async || {
        is_held(&env, first).then_some(())
    })
    .await;
    let set = env.get(&format!("statefulset/{first}")).expect("it was suspended");
    assert_eq!(set["spec"]["replicas"], 0);
    let history = env.recorder().history();
    assert_eq!(history.most_alive_at_once(), 1, "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remaining_pod_of_a_deleted_validator_keeps_its_seed() {
    let env = TestEnv::start("left-running", Options::default()).await;
    let validators = Validators::new(4);
    env.apply(&validators.manifests([1]));
    runs(&env, "validator-1").await;
    // The finalizer keeps the pod, as on a machine that is cut off.
    let stays = r#"{"metadata":{"finalizers":["test.stellar.org/stays"]}}"#;
    env.kubectl(&["patch", "pod/validator-1-0", "--type=merge", "-p", stays])
        .ok("a pod that cannot be deleted");
    env.kubectl(&["delete", "stellarnode/validator-1"]).ok("delete");
    wait_for("its StatefulSet to be gone", SOON, async || {
        env.get("statefulset/validator-1").is_none().then_some(())
    })
    .await;
    let mut renamed = validators.node(2);
    renamed["spec"]["validatorConfig"]["seedSecretRef"] = json!("validator-1-seed");
    env.apply(&renamed.to_string());
    wait_for("the renamed one to be held back", SOON, async || {
        is_held(&env, "validator-2").then_some(())
    })
    .await;
    assert!(env.get("statefulset/validator-2").is_none());
    let goes = r#"{"metadata":{"finalizers":null}}"#;
    env.kubectl(&["patch", "pod/validator-1-0", "--type=merge", "-p", goes])
        .ok("the pod can be deleted");
    runs(&env, "validator-2").await;
    let history = env.recorder().history();
    assert_eq!(history.most_alive_at_once(), 1, "{history}");
}

fn patch_first(env: &TestEnv, patch: &Value) {
    let patch = patch.to_string();
    env.kubectl(&["patch", "stellarnode/validator-1", "--type=merge", "-p", &patch])
        .ok("the first is changed");
}

/// Starts the first validator and changes its seed; restarts are paused, so the change waits.
async fn first_is_to_have_another_seed(env: &TestEnv, validators: &Validators) {
    env.apply(&validators.manifests([1]));
    env.apply(&validators.secret(2).to_string());
    runs(env, "validator-1").await;
    let other = json!({
        "metadata": { "annotations": { labels::PAUSE_RESTARTS: "true" } },
        "spec": { "validatorConfig": { "seedSecretRef": "validator-2-seed" } },
    });
    patch_first(env, &other);
}

/// Creates the second validator with the seed of the first; it is not started. Returns its StellarNode, which says why.
async fn second_is_held_back(env: &TestEnv, validators: &Validators) -> String {
    let mut second = validators.node(2);
    second["spec"]["validatorConfig"]["seedSecretRef"] = json!("validator-1-seed");
    env.apply(&second.to_string());
    wait_for("the second to be held back", SOON, async || {
        is_held(env, "validator-2").then_some(())
    })
    .await;
    env.get("stellarnode/validator-2").expect("it is there").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_seed_is_used_again_only_after_its_old_pod_is_gone() {
    let env = TestEnv::start("seed-moves", Options::default()).await;
    let validators = Validators::new(4);
    first_is_to_have_another_seed(&env, &validators).await;
    let held = second_is_held_back(&env, &validators).await;
    assert!(
        held.contains("pod validator-1-0 of validator validator-1, which has not ended, has the same"),
        "{held}"
    );

    let goes_on = json!({ "metadata": { "annotations": { labels::PAUSE_RESTARTS: null } } });
    patch_first(&env, &goes_on);
    runs(&env, "validator-2").await;
    let seeds = |pod: &str| env.get(pod).expect("its pod")["spec"]["initContainers"][0]["env"].to_string();
    assert!(seeds("pod/validator-2-0").contains("validator-1-seed"));
    assert!(
        seeds("pod/validator-1-0").contains("validator-2-seed"),
        "the pod with the old seed had to end first"
    );
    assert_eq!(env.restarts(&["validator-2"]).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_seed_is_used_again_only_after_no_stored_template_has_it() {
    let env = TestEnv::start("seed-stored", Options::default()).await;
    let validators = Validators::new(4);
    first_is_to_have_another_seed(&env, &validators).await;
    // The pod is deleted and no new one is made, as while the controller manager is paused.
    let full = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "full" }, "spec": { "hard": { "pods": "0" } },
    });
    env.apply(&full.to_string());
    wait_for("the quota to be enforced", SOON, async || {
        let quota = env.get("resourcequota/full")?;
        (quota["status"]["hard"]["pods"] == "0").then_some(())
    })
    .await;
    env.kubectl(&["delete", "pod/validator-1-0", "--wait=false"])
        .ok("delete the pod");
    wait_for("its pod to be gone", SOON, async || {
        env.get("pod/validator-1-0").is_none().then_some(())
    })
    .await;
    let held = second_is_held_back(&env, &validators).await;
    assert!(
        held.contains("the pod template of StatefulSet validator-1, which has replicas, has the same"),
        "{held}"
    );
    assert!(env.get("statefulset/validator-2").is_none());
    // Suspending the first is always possible, and releases its seed.
    suspend(&env, "validator-1", true);
    env.kubectl(&["delete", "resourcequota/full"]).ok("room");
    runs(&env, "validator-2").await;
    let history = env.recorder().history();
    assert_eq!(history.most_alive_at_once(), 1, "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_seed_in_two_secrets_is_reported_on_both_validators_until_one_stops() {
    let env = TestEnv::start("one-key", Options::default()).await;
    let validators = Validators::new(4);
    env.apply(&validators.manifests([1, 3]));
    runs(&env, "validator-1").await;
    let mut copy = validators.secret(2);
    copy["stringData"] = validators.secret(1)["stringData"].clone();
    let items = [copy, validators.node(2)];
    env.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string());
    wait_for("both to report the shared seed", SOON, async || {
        let reporting = TWO.iter().filter(|name| env.reason(name, "SeedInUse").is_some());
        (reporting.count() == 2).then_some(())
    })
    .await;
    for (name, other) in [(TWO[0], "validator-2-0"), (TWO[1], "validator-1-0")] {
        let note = wait_for("an Event", SOON, async || env.events(name, "SeedInUse").pop()).await;
        assert!(note.contains(other), "{note}");
        assert!(
            env.get(&format!("pod/{name}-0")).is_some(),
            "the operator stops neither"
        );
    }
    assert_eq!(env.reason("validator-3", "SeedInUse"), None);
    suspend(&env, "validator-2", true);
    wait_for("the condition to be removed", SOON, async || {
        env.reason("validator-1", "SeedInUse").is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_validators_never_share_or_wipe_a_database() {
    let env = TestEnv::start("one-database", Options::default()).await;
    let validators = Validators::new(4);
    let postgres = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "postgres" },
        "stringData": { "core": "postgresql://dbname=core host=db.example.org user=core" },
    });
    env.apply(&postgres.to_string());
    let with_database = |number: usize| {
        let mut node = validators.node(number);
        let reference = json!({ "secretKeyRef": { "name": "postgres", "key": "core" } });
        node["spec"]["validatorConfig"]["database"] = reference;
        let items = [validators.secret(number), node];
        json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
    };
    env.apply(&with_database(1));
    runs(&env, "validator-1").await;
    // The first start of the second would wipe the first's data, even while the first is suspended.
    suspend(&env, "validator-1", true);
    let refused = env.kubectl_with(&["apply", "-f", "-"], &with_database(2));
    assert!(
        !refused.success
            && refused
                .stderr
                .contains("already the database of validator \"validator-1\""),
        "{}",
        refused.stderr
    );
    env.delete_validating_webhook();
    wait_for("the API server to store it", SOON, async || {
        env.kubectl_with(&["apply", "-f", "-"], &with_database(2))
            .success
            .then_some(())
    })
    .await;
    wait_for("the second to be held back", SOON, async || {
        (env.reason("validator-2", "Ready").as_deref() == Some("DatabaseInUse")).then_some(())
    })
    .await;
    // The same holds for a validator that is created suspended: it would make its database when it is resumed.
    let mut third: Value = serde_json::from_str(&with_database(3)).expect("JSON");
    third["items"][1]["spec"]["suspended"] = json!(true);
    env.apply(&third.to_string());
    wait_for("the third to be held back", SOON, async || {
        (env.reason("validator-3", "Ready").as_deref() == Some("DatabaseInUse")).then_some(())
    })
    .await;
    suspend(&env, "validator-1", false);
    runs(&env, "validator-1").await;
    for held in ["validator-2", "validator-3"] {
        assert!(env.get(&format!("statefulset/{held}")).is_none());
    }
}
