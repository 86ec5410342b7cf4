//! Runs the unchanged commands of the documentation: each way to install, the first validator, reading its state, the
//! migration from the original loop, and uninstalling. `tests/documentation` checks that these files have all commands.
//!
//! Shipped installs are only applied, read and removed. No StellarNode is created meanwhile, because no server listens
//! behind their Service. Tests with validators run the operator on loopback (`deployed.rs`).

mod first_validator;
mod installs;
mod migration;

use std::process::Command;

use test_kit::{Cluster, Output};

use crate::alone::Alone;
use crate::rendering::{NAMESPACE, Objects, kustomize, objects, run};

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

/// Splits a line into words, as a shell does: quotes keep a word together and are removed.
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

/// Runs a command line with an input, in the root of the project.
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
            let mut command = Command::new(test_kit::operator_binary());
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
        other => panic!("{other} is not supported here"),
    }
}

/// Runs a command line without an input; it must succeed.
fn types(line: &str) -> String {
    tries(line, "").ok(line)
}

/// Removes the operator.
fn uninstalls() {
    for line in UNINSTALL {
        types(line);
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

fn overlay() -> Objects {
    let mut all = objects(&kustomize("crd"));
    all.extend(objects(&kustomize("overlays/namespace")));
    all.retain(|[kind, ..], _| kind != "Namespace");
    all
}

/// The names of all remaining objects of the operator, except its namespace and the CRD.
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
