//! Runs the shipped Deployment: two replicas from the manifests, which the API server reaches through their Service,
//! and the unchanged commands of the original guide.
//!
//! Unlike in a real cluster, the pods' processes run on loopback (`tests/cluster/README.md`), so their Service is an
//! `ExternalName` for `localhost`. This is set before anything is applied, so no object points at another address.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use test_kit::{Output, SOON, Validators, free_port, wait_for};

use crate::alone::Alone;
use crate::documented_commands::UNINSTALL;
use crate::rendering::{NAMESPACE, Objects, chart, kustomize, objects};

const SERVICE: &str = "stellar-operator-webhook";
/// Short waits. `make soak` tests the shipped ones of 30 s each.
const WAITS: [(&str, &str); 3] = [("PROPAGATION", "2s"), ("MIN_READY", "1s"), ("QUIET", "1s")];

/// Changes the objects: the Service points at `port` of loopback, the pods really run, and the waits are short.
fn on_loopback(mut objects: Objects, port: u16) -> String {
    for ([kind, _, name], object) in &mut objects {
        match kind.as_str() {
            "Service" if name == SERVICE => {
                object["spec"] = json!({ "type": "ExternalName", "externalName": "localhost" });
            }
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
                for webhook in object["webhooks"].as_array_mut().expect("webhooks") {
                    assert_eq!(webhook["clientConfig"]["service"]["name"], SERVICE);
                    webhook["clientConfig"]["service"]["port"] = json!(port);
                }
            }
            "Deployment" => {
                let annotations = &mut object["spec"]["template"]["metadata"]["annotations"];
                annotations["test.stellar.org/runs"] = json!("true");
                annotations["test.stellar.org/service-port"] = json!(port.to_string());
                let env = &mut object["spec"]["template"]["spec"]["containers"][0]["env"];
                let waits = WAITS.map(|(name, value)| json!({ "name": name, "value": value }));
                env.as_array_mut().expect("variables").extend(waits);
            }
            _ => {}
        }
    }
    let items: Vec<Value> = objects.into_values().collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

/// A running install.
pub(crate) struct Deployed {
    alone: Alone,
    manifests: String,
}

impl Deployed {
    /// Applies these objects and waits until both replicas are Ready.
    pub(crate) fn of(objects: Objects) -> Self {
        let alone = Alone::new();
        alone.create_namespace();
        Self::on(alone, objects)
    }

    /// Applies these objects in an existing namespace and waits until both replicas are Ready.
    pub(crate) fn on(alone: Alone, objects: Objects) -> Self {
        let manifests = on_loopback(objects, free_port());
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        alone.kubectl(&apply, &manifests).ok("apply");
        alone.rolled_out();
        Self { alone, manifests }
    }

    /// The cluster of the install.
    pub(crate) fn alone(&self) -> &Alone {
        &self.alone
    }

    /// Runs an unchanged command of the documentation in the operator's namespace.
    fn tries(&self, line: &str) -> Output {
        self.tries_in(NAMESPACE, line)
    }

    /// Runs a command in another namespace.
    fn tries_in(&self, namespace: &str, line: &str) -> Output {
        let words = words(namespace, line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.alone.kubectl(&words, "")
    }

    /// Runs a command that must succeed; returns its output.
    fn types(&self, line: &str) -> String {
        self.tries(line).ok(line)
    }

    /// Runs a command that does not end by itself, until it prints a line for which `is` holds.
    async fn follows(&self, line: &str, is: impl Fn(&str) -> bool + Send + 'static) {
        let kubeconfig = std::env::var("STELLAR_TEST_KUBECONFIG").expect("run this with: make test");
        let child = Command::new("kubectl")
            .args(["--kubeconfig", &kubeconfig])
            .args(words(NAMESPACE, line))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl is in PATH");
        let mut child = Killed(child);
        let output = child.0.stdout.take().expect("its output");
        let reading = tokio::task::spawn_blocking(move || {
            BufReader::new(output)
                .lines()
                .map_while(Result::ok)
                .any(|line| is(&line))
        });
        let found = tokio::time::timeout(SOON, reading).await;
        assert!(found.is_ok_and(|found| found.expect("it reads")), "{line}");
    }

    /// The names of the operator's pods.
    fn pods(&self) -> Vec<String> {
        let names = self.types("kubectl get pods -l app.kubernetes.io/name=stellar-operator -o name");
        names.lines().map(str::to_owned).collect()
    }

    fn restarts(&self) -> String {
        self.types("kubectl get statefulsets -o jsonpath={.items[*].spec.template.metadata.annotations}")
    }

    /// Waits until both validators have loaded each other.
    async fn both_know_each_other(&self) {
        let reasons =
            "kubectl get stellarnodes -o jsonpath={.items[*].status.conditions[?(@.type==\"PeersReady\")].reason}";
        wait_for("both to have loaded each other", SOON, async || {
            (self.types(reasons) == "Loaded Loaded").then_some(())
        })
        .await;
    }

    /// The pods of the validators, by uid.
    fn validators_pods(&self) -> String {
        self.types("kubectl get pods -l app.kubernetes.io/name=stellar-node -o jsonpath={.items[*].metadata.uid}")
    }

    async fn has_peers(&self, count: usize) {
        wait_for("the list of peers", SOON, async || {
            let list = self.tries("kubectl get configmap stellar-peers -o json");
            let list: Value = serde_json::from_str(&list.stdout).ok()?;
            (list["data"]["KNOWN_PEERS"].as_str()?.lines().count() == count).then_some(())
        })
        .await;
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = "kubectl logs -l app.kubernetes.io/name=stellar-operator --tail=200 --prefix";
            eprintln!("{}", self.tries(logs).stdout);
        }
        // Delete them while the webhook still answers, so that their StatefulSets are deleted as well.
        self.tries("kubectl delete stellarnodes --all --timeout=60s");
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Splits a command line that begins with `kubectl` into arguments, as a shell does.
fn words(namespace: &str, line: &str) -> Vec<String> {
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("kubectl"), "{line}");
    let words = words.map(|word| word.replace('\'', ""));
    words.chain(["--namespace", namespace].map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_the_guide_work_verbatim() {
    let mut all = objects(&kustomize("crd"));
    all.extend(objects(&kustomize("overlays/namespace")));
    all.retain(|[kind, ..], _| kind != "Namespace");
    let deployed = Deployed::of(all);
    let validators = Validators::new(3);
    deployed
        .alone
        .kubectl(
            &["apply", "--namespace", NAMESPACE, "-f", "-"],
            &validators.manifests(1..=2),
        )
        .ok("apply");
    deployed.has_peers(2).await;

    deployed.types("kubectl set env deployment/stellar-operator RUST_LOG=stellar_k8s=debug");
    deployed.alone.rolled_out();
    let follow = "kubectl logs -f -l app.kubernetes.io/name=stellar-operator";
    deployed
        .follows(follow, |line| {
            line.contains("DEBUG") && line.contains("peers unchanged")
        })
        .await;
    let list = deployed.types("kubectl get configmap stellar-peers -o yaml");
    assert!(
        list.contains("KNOWN_PEERS") && list.contains("discovery_metadata"),
        "{list}"
    );
    let names = deployed.types("kubectl get stellarnodes -o jsonpath='{.items[*].metadata.name}'");
    assert_eq!(names, "validator-1 validator-2");
    let wide = deployed.types("kubectl get pods -l app.kubernetes.io/name=stellar-node -o wide");
    assert!(
        wide.contains("validator-1-0") && wide.contains("validator-2-0"),
        "{wide}"
    );

    // The two commands that do not end by themselves, while a third validator joins.
    let manifests = validators.manifests([3]);
    let list = deployed.follows("kubectl get configmap stellar-peers -w", |line| {
        line.starts_with("stellar-peers")
    });
    let pods = deployed.follows("kubectl get pods -l app.kubernetes.io/name=stellar-node -w", |line| {
        line.starts_with("validator-3-0")
    });
    let join = async {
        deployed
            .alone
            .kubectl(&["apply", "--namespace", NAMESPACE, "-f", "-"], &manifests)
            .ok("apply");
    };
    tokio::join!(list, pods, join);
    deployed.has_peers(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_replicas_one_by_one_restarts_no_validator() {
    let deployed = Deployed::of(objects(&chart(NAMESPACE, &["--skip-tests"])));
    let validators = Validators::new(2);
    deployed
        .alone
        .kubectl(
            &["apply", "--namespace", NAMESPACE, "-f", "-"],
            &validators.manifests(1..=2),
        )
        .ok("apply");
    deployed.has_peers(2).await;
    deployed.both_know_each_other().await;
    let (before, restarts) = (deployed.pods(), deployed.restarts());

    deployed.types("kubectl rollout restart deployment/stellar-operator");
    let mut admitted = 0;
    let rollout = "kubectl rollout status deployment/stellar-operator --timeout=60s";
    let replaced = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let rollout = scope.spawn(|| deployed.tries(rollout));
            while !rollout.is_finished() {
                // Each update calls both webhooks.
                deployed.types("kubectl label stellarnode/validator-1 round=one --overwrite --dry-run=server");
                deployed.types("kubectl label stellarnode/validator-1 round=two --overwrite --dry-run=server");
                admitted += 2;
            }
            rollout.join().expect("it ends")
        })
    });
    replaced.ok("the rollout");
    assert!(admitted > 0);
    wait_for("the replaced pods to be gone", SOON, async || {
        let now = deployed.pods();
        (now.len() == 2 && before.iter().all(|name| !now.contains(name))).then_some(())
    })
    .await;
    assert_eq!(deployed.restarts(), restarts, "the operator restarted no validator");

    // The new leader continues the work.
    deployed.types("kubectl delete configmap stellar-peers");
    deployed.has_peers(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reinstalling_the_operator_restarts_no_validator() {
    let mut all = objects(&kustomize("overlays/namespace"));
    all.retain(|[kind, ..], _| kind != "Namespace");
    let deployed = Deployed::of(all);
    let validators = Validators::new(2);
    let apply = ["apply", "--namespace", NAMESPACE, "-f", "-"];
    deployed.alone.kubectl(&apply, &validators.manifests(1..=2)).ok("apply");
    deployed.has_peers(2).await;
    deployed.both_know_each_other().await;
    let (pods, restarts) = (deployed.validators_pods(), deployed.restarts());

    // docs/upgrade.md: first delete the webhooks, which would refuse StellarNodes while no operator answers.
    for line in UNINSTALL {
        deployed.types(line);
    }
    deployed.types("kubectl label stellarnode/validator-1 seen=without-operator");
    deployed.types("kubectl delete pod validator-1-0");
    wait_for("Kubernetes to replace it", SOON, async || {
        let phase = deployed.tries("kubectl get pod validator-1-0 -o jsonpath={.status.phase}");
        (phase.stdout == "Running").then_some(())
    })
    .await;
    let pods_without = deployed.validators_pods();
    assert_ne!(pods_without, pods);

    let again = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    deployed.alone.kubectl(&again, &deployed.manifests).ok("apply again");
    deployed.alone.rolled_out();
    // The reinstalled operator finds its objects unchanged, and one address that changed meanwhile.
    wait_for("the list to follow", SOON, async || {
        let ips = deployed
            .types("kubectl get pods -l app.kubernetes.io/name=stellar-node -o jsonpath={.items[*].status.podIP}");
        let list = deployed
            .tries("kubectl get configmap stellar-peers -o jsonpath={.data.KNOWN_PEERS}")
            .stdout;
        ips.split(' ').all(|ip| list.contains(&format!("{ip}:"))).then_some(())
    })
    .await;
    deployed.both_know_each_other().await;
    assert_eq!(deployed.restarts(), restarts, "no validator was restarted");
    assert_eq!(deployed.validators_pods(), pods_without);

    // Remove everything: first the StellarNodes, while the operator runs.
    deployed.types("kubectl delete stellarnodes --all --timeout=60s");
    wait_for("their StatefulSets to be gone", SOON, async || {
        deployed
            .types("kubectl get statefulsets -o name")
            .is_empty()
            .then_some(())
    })
    .await;
}
