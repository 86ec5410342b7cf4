//! Runs `install.yaml`, the first command of the README: one operator manages two namespaces other than its own.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use stellar_k8s::labels;
use test_kit::{Validators, wait_for};

use crate::alone::Alone;
use crate::deployed::Deployed;
use crate::rendering::{objects, path};

const NAMESPACES: [&str; 2] = ["north", "south"];
const SOON: Duration = Duration::from_secs(120);

/// Two namespaces with validators of one network; dropping the value deletes them.
struct Watched<'a>(&'a Alone);

impl<'a> Watched<'a> {
    fn new(alone: &'a Alone) -> Self {
        for namespace in NAMESPACES {
            alone.kubectl(&["create", "namespace", namespace], "").ok(namespace);
        }
        Self(alone)
    }

    fn apply(&self, namespace: &str, manifests: &str) {
        self.0
            .kubectl(&["apply", "--namespace", namespace, "-f", "-"], manifests)
            .ok("apply");
    }

    fn get(&self, namespace: &str, object: &str) -> Option<Value> {
        let found = self
            .0
            .kubectl(&["get", object, "--namespace", namespace, "-o", "json"], "");
        serde_json::from_str(&found.stdout).ok().filter(|_| found.success)
    }

    /// The number of addresses in a namespace's list.
    fn peers(&self, namespace: &str) -> usize {
        let list = self.get(namespace, "configmap/stellar-peers").unwrap_or_default();
        list["data"][labels::KNOWN_PEERS]
            .as_str()
            .map_or(0, |peers| peers.lines().count())
    }

    /// The reason and message of each validator's `PeersReady`.
    fn peers_ready(&self, namespace: &str) -> Vec<(String, String)> {
        let nodes = self.get(namespace, "stellarnodes").unwrap_or_default();
        let all = nodes["items"].as_array().into_iter().flatten();
        let conditions = all.flat_map(|node| node["status"]["conditions"].as_array().into_iter().flatten());
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        conditions
            .filter(|condition| condition["type"] == "PeersReady")
            .map(|condition| (word(&condition["reason"]), word(&condition["message"])))
            .collect()
    }

    async fn all_loaded(&self, namespace: &str, count: usize) {
        wait_for("all to have loaded the others' addresses", SOON, async || {
            let conditions = self.peers_ready(namespace);
            let loaded = conditions.iter().filter(|(reason, _)| reason == "Loaded").count();
            (loaded == count && self.peers(namespace) == count).then_some(())
        })
        .await;
    }

    fn pods(&self, namespace: &str) -> Vec<String> {
        let pods = self.get(namespace, "pods").unwrap_or_default();
        let all = pods["items"].as_array().into_iter().flatten();
        all.map(|pod| format!("{} {}", pod["metadata"]["name"], pod["metadata"]["uid"]))
            .collect()
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        for namespace in NAMESPACES {
            let all = [
                "delete",
                "stellarnodes",
                "--all",
                "--timeout=60s",
                "--namespace",
                namespace,
            ];
            self.0.kubectl(&all, "");
            self.0.kubectl(&["delete", "namespace", namespace, "--wait=false"], "");
        }
    }
}

/// Runs `stellar-operator peers` as the administrator.
fn peers(arguments: &[&str]) -> String {
    let output = Command::new(test_kit::operator_binary())
        .arg("peers")
        .args(arguments)
        .env("KUBECONFIG", test_kit::Cluster::connect().kubeconfig())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn install_yaml_manages_every_namespace() {
    let file = std::fs::read_to_string(path("install.yaml")).expect("it is generated");
    let deployed = Deployed::of(objects(&file));
    let watched = Watched::new(deployed.alone());
    let validators = Validators::new(6);
    let [north, south] = NAMESPACES;
    watched.apply(north, &validators.manifests(1..=2));
    watched.apply(south, &validators.manifests(3..=4));
    for namespace in NAMESPACES {
        watched.all_loaded(namespace, 2).await;
    }
    let rows: Value = serde_json::from_str(&peers(&["--all-namespaces", "-o", "json"])).expect("JSON");
    let rows = rows.as_array().expect("a list").iter();
    let seen: Vec<(&str, &str)> = rows
        .map(|row| (row["namespace"].as_str().unwrap(), row["name"].as_str().unwrap()))
        .collect();
    let expected = [
        (north, "validator-1"),
        (north, "validator-2"),
        (south, "validator-3"),
        (south, "validator-4"),
    ];
    assert_eq!(seen, expected);

    // The annotation pauses one namespace only. It takes effect at once, because the operator watches namespaces.
    deployed
        .alone()
        .kubectl(&["annotate", "namespace", north, "stellar.org/pause-restarts=true"], "")
        .ok("pause");
    let before = watched.pods(north);
    watched.apply(north, &validators.manifests([5]));
    watched.apply(south, &validators.manifests([6]));
    watched.all_loaded(south, 3).await;
    wait_for("the validators of the paused namespace to wait", SOON, async || {
        let conditions = watched.peers_ready(north);
        let held = conditions
            .iter()
            .filter(|(reason, why)| reason == "RestartPending" && why.contains(labels::PAUSE_RESTARTS));
        (held.count() == 2 && watched.peers(north) == 3).then_some(())
    })
    .await;
    let now = watched.pods(north);
    assert!(before.iter().all(|pod| now.contains(pod)), "{before:?} {now:?}");

    deployed
        .alone()
        .kubectl(&["annotate", "namespace", north, "stellar.org/pause-restarts-"], "")
        .ok("go on");
    watched.all_loaded(north, 3).await;
}
