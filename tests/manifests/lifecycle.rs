//! A release of the chart is installed, upgraded and uninstalled.

use serde_json::{Value, json};

use crate::alone::{Alone, bundle};
use crate::rendering::{NAMESPACE, path, run};

const CRD: &str = "customresourcedefinition/stellarnodes.stellar.org";
const MAXIMUM: &str =
    "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/validatorConfig/properties/peerPort/maximum";
const CONFIGURATION: &str = "mutatingwebhookconfiguration/stellar-operator-stellar";

fn helm(arguments: &[&str]) -> String {
    let kubeconfig = std::env::var("STELLAR_TEST_KUBECONFIG").expect("run this with: make test");
    let place = ["--kubeconfig", kubeconfig.as_str(), "--namespace", NAMESPACE];
    run("helm", [arguments, &place].concat()).ok(arguments[0])
}

#[test]
fn upgrade_installs_the_crd_and_uninstall_keeps_it() {
    let alone = Alone::new();
    let chart = path("chart");
    // kubectl has already applied the CRD.
    let install = [
        "upgrade",
        "--install",
        "operator",
        &chart,
        "--create-namespace",
        "--take-ownership",
        "--wait",
    ];
    let notes = helm(&install);
    assert!(notes.contains("looks after stellar."), "{notes}");
    let bundle = bundle();
    alone.write_bundle(CONFIGURATION, &bundle);
    let older = json!([{ "op": "remove", "path": MAXIMUM }]).to_string();
    alone
        .kubectl(&["patch", CRD, "--type=json", "-p", &older], "")
        .ok("an older CRD");

    helm(&["upgrade", "operator", &chart, "--set", "replicas=3", "--wait"]);
    assert_eq!(alone.get("deployment/stellar-operator")["spec"]["replicas"], 3);
    assert_eq!(alone.get(CRD).pointer(MAXIMUM), Some(&Value::from(65535)));
    assert_eq!(alone.bundles(CONFIGURATION), [bundle.as_str(); 2]);

    let one = alone.cluster_scoped();
    assert!(one.iter().all(|name| name.ends_with("-stellar")), "{one:?}");
    let notes = helm(&[
        "upgrade",
        "operator",
        &chart,
        "--reset-then-reuse-values",
        "--set",
        "watch.allNamespaces=true",
    ]);
    assert_eq!(
        alone.get("deployment/stellar-operator")["spec"]["replicas"],
        3,
        "the upgrade keeps the values"
    );
    assert!(notes.contains("looks after every namespace."), "{notes}");
    let all = alone.cluster_scoped();
    assert!(!all.iter().any(|name| name.ends_with("-stellar")), "{all:?}");

    helm(&["uninstall", "operator", "--wait"]);
    assert_eq!(alone.cluster_scoped(), [""; 0]);
    assert_eq!(alone.get(CRD).pointer(MAXIMUM), Some(&Value::from(65535)));
}
