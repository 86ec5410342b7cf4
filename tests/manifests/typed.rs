//! The commands of the documentation, typed as they stand: each way to install, the first validator, looking at it,
//! moving from another loop, uninstalling. `tests/documentation` holds this file to have them all.
//!
//! Installs as they are shipped are only applied, looked at and removed: no StellarNode is created meanwhile, for their
//! Service leads to an address that nobody has. Where there are validators, the operator runs on loopback
//! (`deployed.rs`).

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::accepted::with_kinds;
use crate::alone::Alone;
use crate::common::{Cluster, Output, Validators, wait_for};
use crate::deployed::Deployed;
use crate::rendering::{NAMESPACE, Objects, kustomize, objects, run};

const SOON: Duration = Duration::from_secs(90);
/// Of the Prometheus operator no more than that its kinds exist.
const KINDS_OF_PROMETHEUS: [(&str, &str); 2] = [
    ("ServiceMonitor", "servicemonitors"),
    ("PrometheusRule", "prometheusrules"),
];
/// Removes an operator and leaves the validators.
pub(crate) const UNINSTALL: [&str; 7] = [
    "kubectl delete validatingwebhookconfigurations,mutatingwebhookconfigurations -l app.kubernetes.io/name=stellar-operator",
    "kubectl delete deployments -l app.kubernetes.io/name=stellar-operator --namespace stellar --cascade=foreground",
    "kubectl delete services,networkpolicies,poddisruptionbudgets -l app.kubernetes.io/name=stellar-operator --namespace stellar",
    "kubectl delete serviceaccounts,roles,rolebindings -l app.kubernetes.io/name=stellar-operator --namespace stellar",
    "kubectl delete clusterroles,clusterrolebindings -l app.kubernetes.io/name=stellar-operator",
    "kubectl delete validatingadmissionpolicies,validatingadmissionpolicybindings -l app.kubernetes.io/name=stellar-operator",
    "kubectl delete secrets/stellar-operator-webhook-cert leases/stellar-operator-leader --namespace stellar --ignore-not-found",
];

/// The words of a line, as a shell makes them: quotes keep a word together and are gone.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().expect("one").push(letter),
        }
    }
    words
}

/// Types a line with an input, in the root of the project.
fn tries(line: &str, input: &str) -> Output {
    let words = words(line);
    let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let cluster = Cluster::connect();
    let kubeconfig = cluster.kubeconfig();
    match words[0].as_str() {
        "kubectl" => cluster.kubectl(&arguments, input),
        "helm" => run(
            "helm",
            [&arguments[..], &["--kubeconfig", kubeconfig.to_str().expect("UTF-8")]].concat(),
        ),
        "stellar-operator" => {
            let mut command = Command::new(env!("CARGO_BIN_EXE_stellar-operator"));
            let output = command
                .args(arguments)
                .env("KUBECONFIG", kubeconfig)
                .output()
                .expect("it runs");
            Output {
                success: output.status.success(),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            }
        }
        other => panic!("{other} is not known here"),
    }
}

/// The same without an input; it must succeed.
fn types(line: &str) -> String {
    tries(line, "").ok(line)
}

/// Removes the operator.
fn uninstalls() {
    for line in UNINSTALL {
        types(line);
    }
}

/// A cluster that never saw the operator. Dropped, it has the definition again, as other tests find it.
struct Fresh(Alone);

impl Fresh {
    fn new() -> Self {
        let alone = Alone::new();
        alone
            .kubectl(&["delete", "crd", "stellarnodes.stellar.org", "--ignore-not-found"], "")
            .ok("without the definition");
        Self(alone)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        put_definition_back(&self.0);
    }
}

fn put_definition_back(alone: &Alone) {
    alone.kubectl(&["delete", "crd", "stellarnodes.stellar.org", "--ignore-not-found"], "");
    alone.kubectl(&["apply", "--server-side", "-k", "manifests/crd"], "");
    let established = [
        "wait",
        "--for=condition=Established",
        "crd/stellarnodes.stellar.org",
        "--timeout=30s",
    ];
    alone.kubectl(&established, "");
}

/// Names of what is left of the operator anywhere, its namespace and the definition apart.
fn left(alone: &Alone) -> Vec<String> {
    let kinds = "deployments,services,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets";
    let label = "app.kubernetes.io/name=stellar-operator";
    let names = alone
        .kubectl(&["get", kinds, "-A", "-l", label, "-o", "name"], "")
        .ok("names");
    let own = ["get", "secrets,leases", "--namespace", NAMESPACE, "-o", "name"];
    let own = alone.kubectl(&own, "").ok("names");
    let own = own.lines().filter(|name| name.contains("stellar-operator"));
    let all = names.lines().chain(own).map(str::to_owned);
    all.chain(alone.cluster_scoped()).collect()
}

#[test]
fn with_the_one_file() {
    let fresh = Fresh::new();
    // Once more is the upgrade.
    for _ in 0..2 {
        types("kubectl apply --server-side -f manifests/install.yaml");
        types("kubectl rollout status deployment/stellar-operator --namespace stellar");
    }
    // Whoever asks before there are any is told so, and not refused.
    types("kubectl get stellarnodes --all-namespaces");
    uninstalls();
    assert_eq!(left(&fresh.0), [""; 0]);
}

#[test]
fn with_an_overlay() {
    for overlay in [
        "kubectl apply --server-side -k manifests/overlays/namespace",
        "kubectl apply --server-side -k manifests/overlays/cluster",
    ] {
        let fresh = Fresh::new();
        for _ in 0..2 {
            types("kubectl apply --server-side -k manifests/crd");
            types(overlay);
            types("kubectl rollout status deployment/stellar-operator --namespace stellar");
        }
        uninstalls();
        assert_eq!(left(&fresh.0), [""; 0], "{overlay}");
    }
}

#[test]
fn from_all_namespaces_to_one_no_right_in_others_is_left() {
    let fresh = Fresh::new();
    types("kubectl apply --server-side -f manifests/install.yaml");
    types("kubectl apply --server-side -k manifests/overlays/namespace");
    for line in [
        "kubectl delete validatingwebhookconfigurations,mutatingwebhookconfigurations stellar-operator",
        "kubectl delete validatingadmissionpolicies,validatingadmissionpolicybindings stellar-operator stellar-operator-one-pod",
        "kubectl delete clusterrolebindings,clusterroles stellar-operator stellar-operator-nodes stellar-operator-view --ignore-not-found",
    ] {
        types(line);
    }
    let left = fresh.0.cluster_scoped();
    assert!(
        !left.is_empty() && left.iter().all(|name| name.ends_with("-stellar")),
        "{left:?}"
    );
    uninstalls();
}

#[test]
fn with_certificates_by_cert_manager() {
    crate::accepted::with_cert_manager(|| {
        let _fresh = Fresh::new();
        types("kubectl apply --server-side -k manifests/crd");
        types("kubectl apply --server-side -k manifests/overlays/cert-manager");
        let certificates = types("kubectl get certificates --namespace stellar");
        assert!(certificates.contains("stellar-operator-webhook"), "{certificates}");
        types("kubectl delete certificates,issuers -l app.kubernetes.io/name=stellar-operator --namespace stellar");
        types(
            "kubectl delete secrets/stellar-operator-authority secrets/stellar-operator-webhook-tls --namespace stellar --ignore-not-found",
        );
        let left = types("kubectl get certificates --namespace stellar");
        assert!(!left.contains("stellar-operator"), "{left}");
    });
}

/// Another namespace, gone with this value.
struct Second<'a>(&'a Alone);

impl<'a> Second<'a> {
    fn created(alone: &'a Alone) -> Self {
        alone
            .kubectl(&["create", "namespace", "stellar-two"], "")
            .ok("another namespace");
        Self(alone)
    }
}

impl Drop for Second<'_> {
    fn drop(&mut self) {
        self.0.kubectl(&["delete", "namespace", "stellar-two"], "");
    }
}

#[test]
fn with_the_chart() {
    for install in [
        "helm install stellar-operator manifests/chart --namespace stellar --create-namespace",
        "helm install stellar-operator manifests/chart --namespace stellar --create-namespace --set watch.allNamespaces=true",
        "helm install stellar-operator manifests/chart --namespace stellar --create-namespace --set 'watch.namespaces={stellar,stellar-two}'",
    ] {
        let fresh = Fresh::new();
        let second = Second::created(&fresh.0);
        types(install);
        types("kubectl rollout status deployment/stellar-operator --namespace stellar");
        let scope = fresh.0.cluster_scoped();
        types("helm upgrade stellar-operator manifests/chart --namespace stellar");
        let other = "helm upgrade stellar-operator manifests/chart --namespace stellar --reset-then-reuse-values --set-string image.tag=TAG";
        types(&other.replace("TAG", "20261127"));
        assert_eq!(
            fresh.0.cluster_scoped(),
            scope,
            "{install}: what was given at the install stays"
        );
        let image = &fresh.0.get("deployment/stellar-operator")["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(image, "stellar-operator:20261127");
        types("helm rollback stellar-operator --namespace stellar");
        types("kubectl label namespace stellar pod-security.kubernetes.io/enforce=restricted");
        types("helm uninstall stellar-operator --namespace stellar");
        types(UNINSTALL[6]);
        wait_a_moment(|| left(&fresh.0).is_empty(), install);
        drop(second);
        // The definition stays.
        types("kubectl get stellarnodes --all-namespaces");
    }
}

/// What ends in the background.
fn wait_a_moment(mut is_so: impl FnMut() -> bool, what: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(wait_for(what, SOON, async || is_so().then_some(())));
}

#[test]
fn with_monitoring() {
    with_kinds("monitoring.coreos.com", KINDS_OF_PROMETHEUS, || {
        let alone = Alone::new();
        alone.create_namespace();
        let applied = types("kubectl apply --namespace stellar --kustomize manifests/monitoring");
        assert!(
            applied.contains("servicemonitor") && applied.contains("prometheusrule"),
            "{applied}"
        );
        let removed = types("kubectl delete --namespace stellar --kustomize manifests/monitoring --ignore-not-found");
        assert_eq!(applied.lines().count(), removed.lines().count(), "{removed}");
    });
}

fn overlay() -> Objects {
    let mut all = objects(&kustomize("crd"));
    all.extend(objects(&kustomize("overlays/namespace")));
    all.retain(|[kind, ..], _| kind != "Namespace");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_validator_and_the_end_of_everything() {
    let deployed = Deployed::of(overlay());
    let seed = Validators::new(4).seed(1).to_owned();
    let secret =
        "kubectl create secret generic validator-1-seed --namespace stellar --from-file=STELLAR_CORE_SEED=/dev/stdin";
    tries(secret, &seed).ok(secret);
    types("kubectl apply --namespace stellar -f manifests/samples/validator.yaml");
    wait_for("it to vote", SOON, async || {
        types("stellar-operator peers --namespace stellar")
            .contains("yes")
            .then_some(())
    })
    .await;
    let nodes = types("kubectl get stellarnodes --namespace stellar");
    let columns: Vec<&str> = nodes.lines().next().expect("a heading").split_whitespace().collect();
    assert_eq!(columns, ["NAME", "TYPE", "NETWORK", "READY", "PEERS", "AGE"]);
    let row: Vec<&str> = nodes.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(row[..5], ["validator-1", "Validator", "testnet", "True", "0"]);
    types("kubectl get stellarnodes --all-namespaces -o yaml");

    for (line, says) in [
        (
            "stellar-operator peers --namespace stellar --dry-run",
            "nothing to write",
        ),
        (
            "kubectl describe stellarnode validator-1 --namespace stellar",
            "PeersReady",
        ),
        (
            "kubectl get stellarnode validator-1 --namespace stellar -o yaml",
            "reason: PodReady",
        ),
        (
            "kubectl describe pod validator-1-0 --namespace stellar",
            "render-config",
        ),
        (
            "kubectl logs -l app.kubernetes.io/name=stellar-operator --namespace stellar --tail=-1 --prefix",
            "INFO",
        ),
        (
            "kubectl get configmap stellar-peers --namespace stellar -o yaml --show-managed-fields",
            "manager: stellar-operator",
        ),
    ] {
        let said = types(line);
        assert!(said.contains(says), "{line}: {said}");
    }
    // A second change, so that there is an Event to show.
    let version = r#"{"spec":{"version":"27.0.0"}}"#;
    let patch = [
        "patch",
        "stellarnode/validator-1",
        "--namespace",
        NAMESPACE,
        "--type=merge",
        "-p",
        version,
    ];
    types("kubectl annotate namespace stellar stellar.org/pause-restarts=true");
    deployed.alone().kubectl(&patch, "").ok("patch");
    wait_for("the change to be pending", SOON, async || {
        let hash =
            types("kubectl get stellarnode validator-1 --namespace stellar -o jsonpath='{.status.peers.pendingHash}'");
        (!hash.is_empty()).then_some(())
    })
    .await;
    types("kubectl annotate stellarnode validator-1 --namespace stellar --overwrite stellar.org/approve-restart=HASH");
    types("kubectl annotate namespace stellar stellar.org/pause-restarts-");
    wait_for("its Event", SOON, async || {
        let events = types("kubectl events --for stellarnode/validator-1 --namespace stellar");
        events.contains("Restarting").then_some(())
    })
    .await;

    types("kubectl delete stellarnodes --all --namespace stellar");
    types(
        "kubectl wait --for=delete statefulsets -l app.kubernetes.io/name=stellar-node --namespace stellar --timeout=5m",
    );
    uninstalls();
    assert_eq!(left(deployed.alone()), [""; 0]);
    types("kubectl delete leases -l app.kubernetes.io/managed-by=stellar-operator --namespace stellar");
    types("kubectl delete crd stellarnodes.stellar.org");
    types("kubectl delete namespace stellar");
    put_definition_back(deployed.alone());
}

/// A StatefulSet as the original guide had them.
fn of_the_old_loop(name: &str) -> Value {
    let labels = json!({
        "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": "validator",
    });
    let restricted = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    let nobody = json!({ "runAsNonRoot": true, "runAsUser": 1, "seccompProfile": { "type": "RuntimeDefault" } });
    let ports = json!([{ "name": "peer", "containerPort": 11625 }]);
    let core = json!({ "name": "stellar-core", "image": "core:1", "ports": ports, "securityContext": restricted });
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": name, "labels": labels },
        "spec": {
            "serviceName": format!("{name}-headless"), "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "securityContext": nobody, "containers": [core] } },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
            }],
        },
    })
}

/// Revision of the pod template.
fn revision(alone: &Alone, name: &str) -> Value {
    alone.get(&format!("statefulset/{name}"))["status"]["updateRevision"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_from_the_old_loop() {
    let alone = Alone::new();
    alone.create_namespace();
    types("kubectl apply --server-side -k manifests/crd");
    let validators = Validators::new(4);
    let list = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "stellar-peers" }, "data": { "KNOWN_PEERS": "192.0.2.1:11625" },
    });
    let mut items = vec![list];
    for number in 1..=2 {
        let node = validators.node(number);
        let name = Validators::name(number);
        items.extend([validators.secret(number), node, of_the_old_loop(&name)]);
    }
    let all = json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string();
    alone
        .kubectl(&["apply", "--namespace", NAMESPACE, "-f", "-"], &all)
        .ok("apply");
    wait_for("what ran before to run", SOON, async || {
        let ready = |name| alone.get(&format!("statefulset/{name}"))["status"]["readyReplicas"] == 1;
        (ready("validator-1") && ready("validator-2")).then_some(())
    })
    .await;
    let before = ["validator-1", "validator-2"].map(|name| revision(&alone, name));

    types("kubectl annotate namespace stellar stellar.org/pause-restarts=true");
    types(
        "kubectl label statefulsets -l app.kubernetes.io/name=stellar-node --namespace stellar app.kubernetes.io/managed-by=stellar-operator --overwrite",
    );
    types(
        "kubectl label configmap stellar-peers --namespace stellar app.kubernetes.io/managed-by=stellar-operator --overwrite",
    );
    let deployed = Deployed::on(alone, overlay());
    let waiting = |name: &str| {
        let node = deployed.alone().get(&format!("stellarnode/{name}"));
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|found| found["type"] == "UpdatePending");
        found.is_some_and(|found| {
            found["status"] == "True"
                && found["message"]
                    .as_str()
                    .is_some_and(|told| told.contains("stellar.org/pause-restarts"))
        })
    };
    wait_for("both to be told that they wait", SOON, async || {
        (waiting("validator-1") && waiting("validator-2")).then_some(())
    })
    .await;
    wait_for("the list to be kept", SOON, async || {
        let list = deployed.alone().get("configmap/stellar-peers");
        (list["data"]["KNOWN_PEERS"].as_str()?.lines().count() == 2).then_some(())
    })
    .await;
    let seen = types("stellar-operator peers --namespace stellar");
    assert!(seen.contains("validator-1") && seen.contains("validator-2"), "{seen}");
    let next = types("stellar-operator peers --namespace stellar --dry-run");
    assert!(next.contains("paused by the annotation"), "{next}");
    types("kubectl get stellarnodes --namespace stellar -o yaml");
    assert_eq!(
        ["validator-1", "validator-2"].map(|name| revision(deployed.alone(), name)),
        before
    );

    // One alone, then the other.
    types("kubectl annotate stellarnode validator-2 --namespace stellar stellar.org/pause-restarts=true");
    types("kubectl annotate namespace stellar stellar.org/pause-restarts-");
    wait_for("the first to get its slot", SOON, async || {
        (revision(deployed.alone(), "validator-1") != before[0]).then_some(())
    })
    .await;
    assert_eq!(revision(deployed.alone(), "validator-2"), before[1]);
    types("kubectl annotate stellarnode validator-2 --namespace stellar stellar.org/pause-restarts-");
    wait_for("the second to get its slot", SOON, async || {
        (revision(deployed.alone(), "validator-2") != before[1]).then_some(())
    })
    .await;
}
