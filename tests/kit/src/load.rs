//! A steady load of creates, each of which calls the mutating and the validating webhook.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use stellar_k8s::crd::StellarNode;
use tokio::task::JoinHandle;

use crate::{Cluster, Validators};

/// The number of concurrent creates.
const TASKS: usize = 3;

/// Creates StellarNodes until [`Load::end`].
#[derive(Debug)]
pub struct Load {
    done: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Counts>>,
}

/// The result of a load.
#[derive(Debug, Default)]
pub struct Counts {
    /// Creates that were admitted with the expected defaults.
    pub admitted: usize,
    /// The error of each other create.
    pub failed: Vec<String>,
}

impl Load {
    /// Starts the load in this namespace.
    ///
    /// It creates a validator as a dry run, which calls the same webhooks, and expects the default port in the answer:
    /// the API server ignores a mutating webhook that does not answer. It also stores a Horizon server, on a network
    /// without defaults, so that nothing is started for it.
    pub async fn begin(cluster: &Cluster, namespace: &str) -> Self {
        let api: Api<StellarNode> = Api::namespaced(cluster.client().await, namespace);
        let done = Arc::new(AtomicBool::new(false));
        let tasks = (0..TASKS)
            .map(|task| tokio::spawn(create(api.clone(), task, Arc::clone(&done))))
            .collect();
        Self { done, tasks }
    }

    /// The number of concurrent creates.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Ends the load and returns the counts.
    pub async fn end(self) -> Counts {
        self.done.store(true, Ordering::Relaxed);
        let mut counts = Counts::default();
        for task in self.tasks {
            let one = task.await.expect("the load ends");
            counts.admitted += one.admitted;
            counts.failed.extend(one.failed);
        }
        counts
    }
}

async fn create(api: Api<StellarNode>, task: usize, done: Arc<AtomicBool>) -> Counts {
    let mut counts = Counts::default();
    let mut validator = Validators::new(1).node(1);
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    for round in 0.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        validator["metadata"]["name"] = json!(format!("load-{task}-{round}"));
        let result = match api.create(&dry_run, &read(&validator)).await {
            Ok(node) => match node.spec.validator_config.and_then(|config| config.peer_port) {
                Some(11625) => Ok(()),
                port => Err(format!("admitted with peerPort {port:?}")),
            },
            Err(error) => Err(error.to_string()),
        };
        counts.count(result);
        let created = api.create(&PostParams::default(), &read(&horizon(task, round))).await;
        counts.count(created.map(|_| ()).map_err(|error| error.to_string()));
    }
    counts
}

impl Counts {
    fn count(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.admitted += 1,
            Err(error) => self.failed.push(error),
        }
    }
}

fn read(node: &Value) -> StellarNode {
    serde_json::from_value(node.clone()).expect("a StellarNode")
}

fn horizon(task: usize, round: usize) -> Value {
    json!({
        "apiVersion": "stellar.org/v1alpha1",
        "kind": "StellarNode",
        "metadata": { "name": format!("horizon-{task}-{round}") },
        "spec": {
            "nodeType": "Horizon",
            "network": "Network of the load",
            "version": "26.0.1",
            "horizonConfig": { "databaseSecretRef": "db", "stellarCoreUrl": "http://core:11626" },
        },
    })
}
