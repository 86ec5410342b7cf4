//! etcd is restored to an earlier state while the operator runs: the operator restarts and corrects the list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use test_kit::{FOUR, Options, SOON, THREE, TestEnv, wait_for};

use crate::component::Component;
use crate::control_plane::answers;
use crate::four::{at_rest, logged};

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().expect("cp");
    assert!(copied.success(), "cannot copy {}", from.display());
}

/// Copies etcd's data. The API server is stopped meanwhile, because it would notice that etcd stops.
async fn backup(env: &TestEnv, directory: &Path) {
    let (mut server, mut etcd) = (Component::of_cluster("kube-apiserver"), Component::of_cluster("etcd"));
    server.kill();
    etcd.kill();
    copy(&data_of(&etcd), directory);
    etcd.start();
    server.start();
    answers(env).await;
}

/// Restarts the whole control plane with the copied data.
async fn restore(env: &TestEnv, directory: &Path) {
    let mut server = Component::of_cluster("kube-apiserver");
    let mut etcd = Component::of_cluster("etcd");
    let mut kubelets = [Component::of_cluster("kwok-controller"), Component::of_kubelet()];
    server.kill();
    etcd.kill();
    for kubelet in &mut kubelets {
        kubelet.kill();
    }
    for supervised in ["kube-controller-manager", "kube-scheduler"] {
        Component::of_cluster(supervised).kill();
    }
    let data = data_of(&etcd);
    std::fs::remove_dir_all(&data).expect("the data of etcd");
    copy(directory, &data);
    etcd.start();
    server.start();
    for kubelet in &mut kubelets {
        kubelet.start();
    }
    // A restarted kwok has a new identity and would wait until the Leases of its predecessor expire.
    wait_for("the Leases of the nodes to be deleted", SOON, async || {
        let delete = [
            "delete",
            "leases",
            "--namespace=kube-node-lease",
            "--all",
            "--request-timeout=5s",
        ];
        env.kubectl(&delete).success.then_some(())
    })
    .await;
    answers(env).await;
}

fn data_of(etcd: &Component) -> PathBuf {
    let data = etcd.argument("--data-dir=").expect("etcd has a data directory");
    PathBuf::from(data)
}

fn uids(env: &TestEnv) -> BTreeMap<&'static str, Option<serde_json::Value>> {
    let uid = |name: &&'static str| {
        let pod = env.get(&format!("pod/{name}-0"));
        (*name, pod.map(|pod| pod["metadata"]["uid"].clone()))
    };
    FOUR.iter().map(uid).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_restarts_and_no_validator_does() {
    let options = Options::default().with("--lease-duration", "5s");
    let env = TestEnv::installed("etcd-restored").await;
    let mut operator = env.ready_replica(&options).await;
    at_rest(&env).await;
    env.recorder().may_break_off();
    let backups = tempfile::tempdir().expect("a directory");
    let backup_of_etcd = backups.path().join("etcd");
    backup(&env, &backup_of_etcd).await;
    env.settled(&FOUR).await;
    let (pods, list) = (uids(&env), env.peers());

    let suspended = json!({ "spec": { "suspended": true } }).to_string();
    env.kubectl(&["patch", "stellarnode/validator-4", "--type", "merge", "-p", &suspended])
        .ok("suspend");
    env.settled_within(&THREE, SOON * 2).await;

    restore(&env, &backup_of_etcd).await;
    logged(&env, "", "has an earlier state than before").await;
    wait_for("the operator to end", SOON, async || {
        (!operator.is_alive()).then_some(())
    })
    .await;
    // The kubelet of its pod restarts it.
    let _anew = env.ready_replica(&options).await;
    // Do not use the recorder: its watch belongs to the discarded history.
    wait_for("all four to vote and to have loaded the list", SOON * 2, async || {
        let is = |name: &str, condition: &str, reason: &str| env.reason(name, condition).as_deref() == Some(reason);
        let rests = |name: &&str| is(name, "Voting", "PodReady") && is(name, "PeersReady", "Loaded");
        (FOUR.iter().all(rests) && Some(env.peers()) == env.addresses(&FOUR)).then_some(())
    })
    .await;
    env.all_slots_free().await;
    assert_eq!(env.peers(), list);
    assert_eq!(uids(&env), pods, "no validator was restarted");
}
