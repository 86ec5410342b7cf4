//! The documented commands for the first validator, for reading its state, and for removing everything.

use test_kit::{SOON, Validators, wait_for};

use super::{left, overlay, put_definition_back, tries, types, uninstalls};
use crate::deployed::Deployed;
use crate::rendering::NAMESPACE;

#[tokio::test(flavor = "multi_thread")]
async fn first_validator_to_complete_removal() {
    let deployed = Deployed::of(overlay());
    let seed = Validators::new(4).seed(1).to_owned();
    let secret =
        "kubectl create secret generic validator-1-seed --namespace stellar --from-file=STELLAR_CORE_SEED=/dev/stdin";
    tries(secret, &seed).ok(secret);
    types("kubectl apply --namespace stellar -f manifests/samples/validator.yaml");
    wait_for("the validator to vote", SOON, async || {
        types("stellar-operator peers --namespace stellar")
            .contains("yes")
            .then_some(())
    })
    .await;
    let nodes = types("kubectl get stellarnodes --namespace stellar");
    let columns: Vec<&str> = nodes.lines().next().expect("a heading").split_whitespace().collect();
    let expected = ["NAME", "TYPE", "NETWORK", "READY", "STATUS", "PAUSED", "PEERS", "AGE"];
    assert_eq!(columns, expected);
    let row: Vec<&str> = nodes.lines().nth(1).expect("a row").split_whitespace().collect();
    // It is not paused, so its cell is empty.
    assert_eq!(
        row[..6],
        ["validator-1", "Validator", "testnet", "True", "PodReady", "0"]
    );
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
    // A change of the spec, so that there is an Event.
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
