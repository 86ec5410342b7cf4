//! kubectl commands on StellarNodes and StatefulSets behave as they do without the operator.

use serde_json::{Value, json};
use test_kit::{Options, SOON, TestEnv, Validators, wait_for};

const NODE: &str = "stellarnode/validator-1";

fn suspended() -> Value {
    let mut node = Validators::new(1).node(1);
    node["spec"]["suspended"] = json!(true);
    node
}

fn generation(env: &TestEnv) -> Value {
    env.get(NODE).expect("it is there")["metadata"]["generation"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_and_diff_show_the_result_and_store_nothing() {
    let env = TestEnv::start("kubectl-dry-run", Options::default()).await;
    let mut node = suspended();
    let dry_run = ["apply", "--dry-run=server", "-o", "json", "-f", "-"];
    let shown: Value = serde_json::from_str(&env.kubectl_with(&dry_run, &node.to_string()).ok("dry run")).unwrap();
    assert_eq!(shown["spec"]["validatorConfig"]["peerPort"], 11625);
    assert!(env.get(NODE).is_none(), "nothing was stored");
    let mut bad = node.clone();
    bad["spec"]["validatorConfig"]["peerPort"] = json!(11626);
    let refused = env.kubectl_with(&dry_run, &bad.to_string());
    assert!(
        !refused.success && refused.stderr.contains("spec.validatorConfig.peerPort"),
        "{}",
        refused.stderr
    );

    env.apply(&node.to_string());
    let same = env.kubectl_with(&["diff", "-f", "-"], &node.to_string());
    assert!(same.success && same.stdout.is_empty(), "{}{}", same.stdout, same.stderr);
    node["spec"]["version"] = json!("27.0.0");
    let differs = env.kubectl_with(&["diff", "-f", "-"], &node.to_string());
    let lines: Vec<&str> = differs
        .stdout
        .lines()
        .filter(|line| line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---"))
        .filter(|line| !line.contains("generation"))
        .collect();
    assert_eq!(lines, ["-  version: 26.0.1-3109.e78c97ed0.jammy", "+  version: 27.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn applying_the_same_manifest_twice_changes_nothing() {
    let env = TestEnv::start("kubectl-apply", Options::default()).await;
    let node = suspended().to_string();
    env.apply(&node);
    let first = generation(&env);
    env.apply(&node);
    assert_eq!(generation(&env), first, "applying does not remove the defaults");
    let server_side = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    for attempt in 0..2 {
        env.kubectl_with(&server_side, &node).ok("server-side apply");
        assert_eq!(generation(&env), first, "{attempt}");
    }
    // Another manager owns another field.
    let label = json!({ "apiVersion": "stellar.org/v1alpha1", "kind": "StellarNode",
        "metadata": { "name": "validator-1", "labels": { "team": "red" } } });
    let other = ["apply", "--server-side", "--field-manager=red", "-f", "-"];
    let refused = env.kubectl_with(&other, &label.to_string());
    // The schema requires a complete spec in every apply: the API server itself refuses this one.
    assert!(refused.success || refused.stderr.contains("spec"), "{}", refused.stderr);
    env.kubectl_with(&server_side, &node).ok("server-side apply");
    assert_eq!(generation(&env), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn replace_edit_and_delete_work() {
    let env = TestEnv::start("kubectl-replace", Options::default()).await;
    let mut node = suspended();
    env.kubectl_with(&["create", "-f", "-"], &node.to_string()).ok("create");
    node["spec"]["validatorConfig"]["homeDomain"] = json!("example.org");
    // kubectl reads and then writes. A status write in between causes a conflict, and kubectl asks to try again.
    wait_for("its replacement", SOON, async || {
        let replaced = env.kubectl_with(&["replace", "-f", "-"], &node.to_string());
        let again = !replaced.success && replaced.stderr.contains("(Conflict)");
        (!again).then(|| replaced.ok("replace"))
    })
    .await;
    let stored = env.get(NODE).expect("it is there");
    assert_eq!(stored["spec"]["validatorConfig"]["homeDomain"], "example.org");
    assert_eq!(
        stored["spec"]["validatorConfig"]["peerPort"], 11625,
        "the default is there again"
    );
    let set = [
        "patch",
        NODE,
        "--type=json",
        "-p",
        r#"[{"op":"remove","path":"/spec/validatorConfig/peerPort"}]"#,
    ];
    env.kubectl(&set).ok("patch");
    assert_eq!(
        env.get(NODE).expect("it is there")["spec"]["validatorConfig"]["peerPort"],
        11625
    );
    wait_for("the StatefulSet", SOON, async || env.get("statefulset/validator-1")).await;
    env.kubectl(&["delete", NODE, "--timeout=30s"]).ok("delete");
    wait_for("the owned objects to be gone", SOON, async || {
        env.get("statefulset/validator-1").is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scale_and_rollout_restart_work_on_foreign_stateful_sets() {
    let env = TestEnv::start("kubectl-scale", Options::default()).await;
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {
            "name": "core",
            "labels": { "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/component": "validator" },
        },
        "spec": {
            "replicas": 0, "serviceName": "core", "selector": { "matchLabels": { "app": "core" } },
            "template": {
                "metadata": { "labels": { "app": "core" } },
                "spec": { "containers": [{ "name": "core", "image": "core:1" }] },
            },
        },
    });
    env.apply(&set.to_string());
    let revision = |env: &TestEnv| {
        let set = env.get("statefulset/core")?;
        set["status"]["updateRevision"].as_str().map(str::to_owned)
    };
    let first = wait_for("a revision", SOON, async || revision(&env)).await;
    env.kubectl(&["scale", "statefulset/core", "--replicas=2"]).ok("scale");
    env.kubectl(&["scale", "statefulset/core", "--replicas=0"]).ok("scale");
    env.apply(&set.to_string());
    assert_eq!(
        revision(&env),
        Some(first.clone()),
        "scaling and applying again change no template"
    );
    env.kubectl(&["rollout", "restart", "statefulset/core"]).ok("restart");
    wait_for("a new revision", SOON, async || {
        revision(&env).filter(|revision| *revision != first)
    })
    .await;
    let stored = env.get("statefulset/core").expect("it is there");
    let variables = stored["spec"]["template"]["spec"]["containers"][0]["env"]
        .as_array()
        .expect("env")
        .len();
    assert_eq!(variables, 1, "KNOWN_PEERS, once");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_documents_the_peer_port() {
    let env = TestEnv::installed("kubectl-explain").await;
    // kubectl explain knows a new CRD only some time after the CRD is established.
    let text = wait_for("kubectl explain", SOON, async || {
        let explained = env.kubectl(&["explain", "stellarnode.spec.validatorConfig.peerPort"]);
        explained.success.then_some(explained.stdout)
    })
    .await;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "FIELD: peerPort <integer>",
        "Port on which other validators reach this one",
        "1 to 65535",
        "not 11626 (stellar-core's HTTP port)",
        "Default 11625",
        "Below 1024",
        "Changing it restarts this validator",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // The recursive form lists every field.
    let all = env
        .kubectl(&["explain", "stellarnode.spec", "--recursive"])
        .ok("explain");
    for field in [
        "nodeType",
        "validatorConfig",
        "seedSecretRef",
        "knownPeersRef",
        "quorumSet",
    ] {
        assert!(all.contains(field), "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn get_shows_why_a_node_is_not_ready_and_whether_it_is_paused() {
    let env = TestEnv::start("kubectl-get", Options::default()).await;
    let mut node = suspended();
    node["metadata"]["annotations"] = json!({ "stellar.org/pause-restarts": "true" });
    env.apply(&node.to_string());
    let line = |arguments: &[&str]| {
        let table = env.kubectl(arguments).ok("get");
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut lines = table.lines().map(cells);
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
    };
    let names = ["NAME", "TYPE", "NETWORK", "READY", "STATUS", "PAUSED", "PEERS", "AGE"];
    wait_for("the status", SOON, async || {
        let (heading, cells) = line(&["get", "sn"]);
        assert_eq!(heading, names);
        let shows = |text: &str| cells.iter().any(|cell| cell == text);
        (shows("Suspended") && shows("true")).then_some(())
    })
    .await;
    let (heading, _) = line(&["get", "sn", "-o", "wide"]);
    assert_eq!(
        heading[names.len()..],
        ["VERSION", "ADDRESS", "LOADED", "PENDING", "BLOCKED"]
    );
    let explained = env.kubectl(&["explain", "sn"]).ok("explain");
    assert!(
        explained.contains("A StellarNode is a node of a Stellar network"),
        "{explained}"
    );
}
