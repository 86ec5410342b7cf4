//! Tests: the memory that a tenant's objects take in the caches, with an API server in the same process.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{Request, Response};
use kube::client::Body;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::controller::{Caches, Scope};
use crate::labels;
use crate::util::clock;

/// The measurement runs in its own process: the test program again, with this variable.
const ALONE: &str = "STELLAR_TEST_MEMORY";
const LISTS: usize = 120;
const PODS: usize = 20;
const MEGABYTE: usize = 1 << 20;

/// The largest page that was requested.
static MOST_AT_ONCE: AtomicUsize = AtomicUsize::new(0);

fn node() -> Value {
    json!({
        "apiVersion": labels::API_VERSION, "kind": labels::KIND,
        "metadata": { "name": "v1", "namespace": "a", "uid": "v1", "resourceVersion": "1" },
        "spec": {
            "nodeType": "Validator", "network": "testnet", "version": "26.0.1",
            "validatorConfig": { "seedSecretRef": "seed" },
        },
    })
}

/// A ConfigMap with the labels of a list, of maximum size; the first has the name of the node's list.
fn list(number: usize) -> Value {
    let name = if number == 0 {
        labels::DEFAULT_PEERS_CONFIG_MAP.to_owned()
    } else {
        format!("v{number}-config")
    };
    json!({
        "metadata": {
            "name": name, "namespace": "a", "resourceVersion": "1", "uid": name,
            "labels": { labels::MANAGED_BY: labels::OPERATOR, labels::NETWORK: "n" },
            "annotations": { labels::MEMBER: "m".repeat(200 << 10) },
        },
        "data": { labels::PEERS_JSON: "x".repeat(MEGABYTE - (210 << 10)) },
    })
}

/// A pod with the labels of a validator's pod, and many containers.
fn pod(number: usize) -> Value {
    let containers: Vec<Value> = (0..2_000)
        .map(|number| json!({ "name": format!("c{number}"), "image": "i" }))
        .collect();
    json!({
        "metadata": {
            "name": format!("p{number}"), "namespace": "a", "resourceVersion": "1", "uid": format!("p{number}"),
            "labels": { labels::INSTANCE: "v1", labels::NAME: labels::STELLAR_NODE },
            "annotations": { "a": "b".repeat(200 << 10) },
        },
        "spec": { "containers": containers },
    })
}

/// Answers lists page by page, and never answers watches.
async fn answer(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let parameter = |name: &str| {
        let pair = query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        pair.and_then(|value| value.parse::<usize>().ok())
    };
    if query.contains("watch=true") {
        return std::future::pending().await;
    }
    MOST_AT_ONCE.fetch_max(parameter("limit").unwrap_or(usize::MAX), Ordering::Relaxed);
    let accepts = request
        .headers()
        .get("accept")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let is_of = |kind: &str| path.ends_with(kind) && !accepts.contains("PartialObjectMetadata");
    let (count, item): (usize, fn(usize) -> Value) = match () {
        () if is_of("/stellarnodes") => (1, |_| node()),
        () if is_of("/configmaps") => (LISTS, list),
        () if is_of("/pods") => (PODS, pod),
        () => (0, |_| Value::Null),
    };
    let from = parameter("continue").unwrap_or_default();
    let to = parameter("limit").map_or(count, |limit| count.min(from + limit));
    let items: Vec<Value> = (from..to).map(item).collect();
    let next = if to < count { to.to_string() } else { String::new() };
    let body = json!({
        "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "1", "continue": next }, "items": items,
    });
    Ok(Response::new(Body::from(body.to_string().into_bytes())))
}

fn most_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .expect("the most memory");
    kilobytes.trim().parse::<usize>().expect("a number") << 10
}

async fn fill() {
    let client = Client::new(tower::service_fn(answer), "operator");
    let caches = Caches::start(&client, &Scope::All, "operator");
    let patience = std::time::Duration::from_secs(20);
    let complete = tokio::time::timeout(patience, caches.wait_until_complete()).await;
    assert!(complete.is_ok(), "{:?}", caches.incomplete());
    let pods = caches.pods("a");
    assert_eq!(pods.len(), PODS);
    let containers = |pod: &k8s_openapi::api::core::v1::Pod| pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
    assert!(
        pods.iter()
            .all(|pod| containers(pod) <= 64 && pod.annotations().is_empty())
    );
    for snapshot in [
        caches.snapshot(clock::now()),
        caches
            .snapshot_now(&client, &["a"].into(), clock::now())
            .await
            .expect("a snapshot"),
    ] {
        assert_eq!(snapshot.lists.len(), LISTS);
        let list =
            |published: &crate::controller::model::snapshot::PublishedList| published.ours && published.data.is_empty();
        assert!(snapshot.lists.values().any(list));
        assert!(
            snapshot
                .lists
                .values()
                .all(|published| published.data.is_empty() && published.list.is_none())
        );
    }
    assert_eq!(MOST_AT_ONCE.load(Ordering::Relaxed), 16, "objects of one page");
}

#[test]
fn a_tenants_objects_cost_little_however_large_they_are() {
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(fill());
        println!("{} MiB", most_memory() >> 20);
        assert!(most_memory() < 192 << 20, "{} MiB", most_memory() >> 20);
        return;
    }
    let program = std::env::current_exe().expect("this program");
    let name = "controller::observe::memory_tests::a_tenants_objects_cost_little_however_large_they_are";
    let output = std::process::Command::new(program)
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(" MiB"), "{said}");
}
