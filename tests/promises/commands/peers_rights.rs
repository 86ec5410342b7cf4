//! `stellar-operator peers` with the rights of a user: the ClusterRole `view` is enough. With fewer rights the command
//! names what it cannot read.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use stellar_k8s::controller::model::snapshot::{Cause, ListId, Slot};
use stellar_k8s::labels;
use stellar_k8s::peers::NodeId;
use test_kit::{Options, Output, SOON, TestEnv, Validators, wait_for};

fn peers(kubeconfig: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(test_kit::operator_binary())
        .arg("peers")
        .args(arguments)
        .env_remove("RUST_LOG")
        .env("KUBECONFIG", kubeconfig)
        .output()
        .expect("it runs");
    Output {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn view_role_is_enough_and_missing_rights_are_named() {
    let env = TestEnv::start("peers-view", Options::default()).await;
    env.create_at_rest(&Validators::new(2), 2).await;

    let viewer = env.account("viewer");
    let account = format!("--serviceaccount={}:viewer", env.namespace());
    env.kubectl(&["create", "rolebinding", "viewer", "--clusterrole=view", &account])
        .ok("the binding");
    // Kubernetes adds the shipped role to `view` shortly after it was applied.
    let shown = wait_for("the command to succeed for the viewer", SOON, async || {
        let shown = peers(&viewer, &[]);
        shown.success.then_some(shown)
    })
    .await;
    assert_eq!(shown.stdout.matches("1/1").count(), 2, "{shown:?}");
    assert_eq!(shown.stderr, "");
    let next = peers(&viewer, &["--dry-run"]);
    assert_eq!((next.stderr.as_str(), next.success), ("", true));
    let listed = env
        .kubectl(&["get", "stellarnodes", "--kubeconfig", &viewer.display().to_string()])
        .ok("the viewer lists them");
    assert!(listed.contains("validator-1"), "{listed}");

    // The viewer may not read the Leases of this namespace: the command shows everything else.
    let shown = peers(&viewer, &["--operator-namespace", "kube-system"]);
    assert!(shown.success && shown.stdout.contains("validator-1"), "{shown:?}");
    assert!(
        shown.stderr.contains("may not list leases in namespace kube-system"),
        "{shown:?}"
    );
    // Without the right to read the objects, the command fails at once and says why.
    let everywhere = peers(&viewer, &["--all-namespaces"]);
    let sentence = "may not list stellarnodes, statefulsets, pods, configmaps in all namespaces";
    assert!(
        !everywhere.success && everywhere.stderr.contains(sentence),
        "{everywhere:?}"
    );
    let denied = peers(&env.account("nobody"), &[]);
    let sentence = format!("configmaps in namespace {}: the ClusterRole view", env.namespace());
    assert!(!denied.success && denied.stderr.contains(&sentence), "{denied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_are_read_from_the_operators_namespace() {
    let env = TestEnv::start("peers-slots", Options::default()).await;
    env.create_at_rest(&Validators::new(2), 2).await;
    let admin = env.cluster().kubeconfig().to_owned();
    let color = |more: &[&str]| {
        let here = ["--namespace", env.namespace(), "-o", "dot"];
        let graph = peers(&admin, &[&here, more].concat()).ok("the graph");
        let node = format!("\"{}/validator-2\" [label=", env.namespace());
        let line = graph.lines().find(|line| line.contains(&node)).map(str::to_owned);
        let line = line.unwrap_or_else(|| panic!("{graph}"));
        line.rsplit_once("fillcolor=").expect("a color").1.to_owned()
    };
    assert_eq!(color(&[]), "palegreen];");

    // The Lease of an operator in another namespace, in which validator-2 has a slot.
    let elsewhere = format!("{}-elsewhere", env.namespace());
    env.kubectl(&["create", "namespace", &elsewhere])
        .ok("another namespace");
    let leases = env.kubectl(&["get", "leases", "-l", labels::NETWORK, "-o", "json"]);
    let leases: Value = serde_json::from_str(&leases.ok("its Lease")).expect("JSON");
    let own = &leases["items"][0]["metadata"];
    let node = env.get("stellarnode/validator-2").expect("it is there");
    let slot = Slot {
        node: NodeId::new(env.namespace(), "validator-2"),
        uid: node["metadata"]["uid"].as_str().expect("a uid").to_owned(),
        group: ListId {
            namespace: env.namespace().to_owned(),
            name: labels::DEFAULT_PEERS_CONFIG_MAP.to_owned(),
        },
        since: stellar_k8s::util::clock::now(),
        began: None,
        cause: Cause::PeersChanged,
        spec_hash: None,
        pod_uid: None,
        voting: true,
    };
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": own["name"],
            "namespace": elsewhere,
            "labels": own["labels"],
            "annotations": { labels::SLOTS: json!([slot]).to_string() },
        },
    });
    let created = env.cluster().kubectl(&["create", "-f", "-"], &lease.to_string());
    let color_there = created.success.then(|| color(&["--operator-namespace", &elsewhere]));
    env.kubectl(&["delete", "namespace", &elsewhere, "--wait=false"])
        .ok("away");
    created.ok("the Lease");
    assert_eq!(color_there.as_deref(), Some("orange];"));
    assert_eq!(color(&[]), "palegreen];");
}
