//! Of two validators with one seed or one database only one runs, also where no webhook refused the second.

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
async fn the_younger_is_not_started_until_the_other_has_stopped() {
    let env = TestEnv::start("one-seed", Options::default()).await;
    let validators = Validators::new(4);
    let mut second = validators.node(2);
    second["spec"]["validatorConfig"]["seedSecretRef"] = json!("validator-1-seed");
    // What the webhook says of it, where it is asked.
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
    wait_for("the first to be held back now", SOON, async || {
        is_held(&env, first).then_some(())
    })
    .await;
    let set = env.get(&format!("statefulset/{first}")).expect("it was suspended");
    assert_eq!(set["spec"]["replicas"], 0);
    let history = env.recorder().history();
    assert_eq!(history.most_alive_at_once(), 1, "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_left_of_a_deleted_one_keeps_it_too() {
    let env = TestEnv::start("left-running", Options::default()).await;
    let validators = Validators::new(4);
    env.apply(&validators.manifests([1]));
    runs(&env, "validator-1").await;
    // As on a machine that is cut off, its pod does not go.
    let stays = r#"{"metadata":{"finalizers":["test.stellar.org/stays"]}}"#;
    env.kubectl(&["patch", "pod/validator-1-0", "--type=merge", "-p", stays])
        .ok("a pod that does not go");
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
        .ok("it goes");
    runs(&env, "validator-2").await;
    let history = env.recorder().history();
    assert_eq!(history.most_alive_at_once(), 1, "{history}");
}

fn patch_first(env: &TestEnv, patch: &Value) {
    let patch = patch.to_string();
    env.kubectl(&["patch", "stellarnode/validator-1", "--type=merge", "-p", &patch])
        .ok("the first is changed");
}

/// The first runs, is to have another seed, and waits with it.
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

/// The second is given the seed of the first, and is not started; gives back the StellarNode that says why.
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
async fn a_seed_that_moves_is_used_by_the_next_once_the_pod_with_it_is_gone() {
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
        "it had to go first"
    );
    assert_eq!(env.restarts(&["validator-2"]).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_that_moves_is_used_by_the_next_once_no_stored_template_has_it() {
    let env = TestEnv::start("seed-stored", Options::default()).await;
    let validators = Validators::new(4);
    first_is_to_have_another_seed(&env, &validators).await;
    // Its pod is away, and none comes: as while a controller manager pauses.
    let full = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "full" }, "spec": { "hard": { "pods": "0" } },
    });
    env.apply(&full.to_string());
    wait_for("no pod to come", SOON, async || {
        let quota = env.get("resourcequota/full")?;
        (quota["status"]["hard"]["pods"] == "0").then_some(())
    })
    .await;
    env.kubectl(&["delete", "pod/validator-1-0", "--wait=false"])
        .ok("a pod goes");
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
    // A stop is a person's right, and takes the seed out of the template.
    suspend(&env, "validator-1", true);
    env.kubectl(&["delete", "resourcequota/full"]).ok("room");
    runs(&env, "validator-2").await;
    let history = env.recorder().history();
    assert_eq!(history.most_alive_at_once(), 1, "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_seed_in_two_secrets_is_told_to_both_until_one_stops() {
    let env = TestEnv::start("one-key", Options::default()).await;
    let validators = Validators::new(4);
    env.apply(&validators.manifests([1, 3]));
    runs(&env, "validator-1").await;
    let mut copy = validators.secret(2);
    copy["stringData"] = validators.secret(1)["stringData"].clone();
    let items = [copy, validators.node(2)];
    env.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string());
    wait_for("both to be told", SOON, async || {
        let told = TWO.iter().filter(|name| env.reason(name, "SeedInUse").is_some());
        (told.count() == 2).then_some(())
    })
    .await;
    for (name, other) in [(TWO[0], "validator-2-0"), (TWO[1], "validator-1-0")] {
        let note = wait_for("an Event", SOON, async || env.events(name, "SeedInUse").pop()).await;
        assert!(note.contains(other), "{note}");
        assert!(
            env.get(&format!("pod/{name}-0")).is_some(),
            "nobody is stopped for a claim"
        );
    }
    assert_eq!(env.reason("validator-3", "SeedInUse"), None);
    suspend(&env, "validator-2", true);
    wait_for("nothing to be told any more", SOON, async || {
        env.reason("validator-1", "SeedInUse").is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_made_by_one_of_two_and_wiped_by_nobody() {
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
    // What would be the second's first start is the end of the first's data, also while that is suspended.
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
    // Nor one that is created suspended: it would make its database when it is resumed.
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
