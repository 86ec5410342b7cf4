//! The tests that run the commands of the documentation.

/// Commands that a test runs, by the file that has them unchanged.
pub(crate) const RUN_BY: &[(&str, &[&str])] = &[
    (
        "tests/manifests/documented_commands/mod.rs",
        &[
            "kubectl delete validatingwebhookconfigurations,mutatingwebhookconfigurations -l app.kubernetes.io/name=stellar-operator",
            "kubectl delete deployments -l app.kubernetes.io/name=stellar-operator --namespace stellar --cascade=foreground",
            "kubectl delete services,networkpolicies,poddisruptionbudgets -l app.kubernetes.io/name=stellar-operator --namespace stellar",
            "kubectl delete serviceaccounts,roles,rolebindings -l app.kubernetes.io/name=stellar-operator --namespace stellar",
            "kubectl delete clusterroles,clusterrolebindings -l app.kubernetes.io/name=stellar-operator",
            "kubectl delete validatingadmissionpolicies,validatingadmissionpolicybindings -l app.kubernetes.io/name=stellar-operator",
            "kubectl delete secrets/stellar-operator-webhook-cert leases/stellar-operator-leader --namespace stellar --ignore-not-found",
        ],
    ),
    (
        "tests/manifests/documented_commands/installs.rs",
        &[
            "kubectl apply --server-side -f manifests/install.yaml",
            "kubectl rollout status deployment/stellar-operator --namespace stellar",
            "kubectl apply --server-side -k manifests/crd",
            "kubectl apply --server-side -k manifests/overlays/namespace",
            "kubectl apply --server-side -k manifests/overlays/cluster",
            "kubectl apply --server-side -k manifests/overlays/cert-manager",
            "kubectl get certificates --namespace stellar",
            "kubectl apply --namespace stellar --kustomize manifests/monitoring",
            "helm install stellar-operator manifests/chart --namespace stellar --create-namespace",
            "helm install stellar-operator manifests/chart --namespace stellar --create-namespace --set watch.allNamespaces=true",
            "helm install stellar-operator manifests/chart --namespace stellar --create-namespace --set 'watch.namespaces={stellar,stellar-two}'",
            "helm upgrade stellar-operator manifests/chart --namespace stellar",
            "helm rollback stellar-operator --namespace stellar",
            "helm upgrade stellar-operator manifests/chart --namespace stellar --reset-then-reuse-values --set-string image.tag=TAG",
            "kubectl delete validatingwebhookconfigurations,mutatingwebhookconfigurations stellar-operator",
            "kubectl delete validatingadmissionpolicies,validatingadmissionpolicybindings stellar-operator stellar-operator-one-pod",
            "kubectl delete clusterrolebindings,clusterroles stellar-operator stellar-operator-nodes stellar-operator-view --ignore-not-found",
            "helm uninstall stellar-operator --namespace stellar",
            "kubectl label namespace stellar pod-security.kubernetes.io/enforce=restricted",
            "kubectl get stellarnodes --all-namespaces",
            "kubectl delete --namespace stellar --kustomize manifests/monitoring --ignore-not-found",
            "kubectl delete certificates,issuers -l app.kubernetes.io/name=stellar-operator --namespace stellar",
            "kubectl delete secrets/stellar-operator-authority secrets/stellar-operator-webhook-tls --namespace stellar --ignore-not-found",
        ],
    ),
    (
        "tests/manifests/documented_commands/first_validator.rs",
        &[
            "kubectl create secret generic validator-1-seed --namespace stellar --from-file=STELLAR_CORE_SEED=/dev/stdin",
            "kubectl apply --namespace stellar -f manifests/samples/validator.yaml",
            "kubectl get stellarnodes --namespace stellar",
            "kubectl get stellarnodes --all-namespaces -o yaml",
            "kubectl describe stellarnode validator-1 --namespace stellar",
            "kubectl events --for stellarnode/validator-1 --namespace stellar",
            "kubectl logs -l app.kubernetes.io/name=stellar-operator --namespace stellar --tail=-1 --prefix",
            "kubectl get stellarnode validator-1 --namespace stellar -o yaml",
            "kubectl describe pod validator-1-0 --namespace stellar",
            "kubectl get configmap stellar-peers --namespace stellar -o yaml --show-managed-fields",
            "kubectl get stellarnode validator-1 --namespace stellar -o jsonpath='{.status.peers.pendingHash}'",
            "kubectl annotate stellarnode validator-1 --namespace stellar --overwrite stellar.org/approve-restart=HASH",
            "kubectl delete stellarnodes --all --namespace stellar",
            "kubectl wait --for=delete statefulsets -l app.kubernetes.io/name=stellar-node --namespace stellar --timeout=5m",
            "kubectl delete leases -l app.kubernetes.io/managed-by=stellar-operator --namespace stellar",
            "kubectl delete crd stellarnodes.stellar.org",
            "kubectl delete namespace stellar",
        ],
    ),
    (
        "tests/manifests/documented_commands/migration.rs",
        &[
            "kubectl get stellarnodes --namespace stellar -o yaml",
            "stellar-operator peers --namespace stellar",
            "stellar-operator peers --namespace stellar --dry-run",
            "kubectl annotate namespace stellar stellar.org/pause-restarts=true",
            "kubectl annotate namespace stellar stellar.org/pause-restarts-",
            "kubectl label statefulsets -l app.kubernetes.io/name=stellar-node --namespace stellar app.kubernetes.io/managed-by=stellar-operator --overwrite",
            "kubectl label configmap stellar-peers --namespace stellar app.kubernetes.io/managed-by=stellar-operator --overwrite",
            "kubectl annotate stellarnode validator-2 --namespace stellar stellar.org/pause-restarts=true",
            "kubectl annotate stellarnode validator-2 --namespace stellar stellar.org/pause-restarts-",
        ],
    ),
    (
        "tests/node/run",
        &[
            "kubectl apply -k manifests/samples/private-network",
            "kubectl wait --for=condition=Voting stellarnodes --all --namespace stellar --timeout=5m",
            "kubectl run seed --rm -i --restart=Never --image stellar/stellar-core:26.0.1-3109.e78c97ed0.jammy --command -- stellar-core gen-seed",
            "kubectl delete -k manifests/samples/private-network",
            "kubectl exec validator-1-0 --container stellar-core --namespace stellar -- curl -s http://127.0.0.1:11626/info",
            "kubectl delete pvc data-validator-1-0 --namespace stellar --wait=false",
            "kubectl delete pod validator-1-0 --namespace stellar",
        ],
    ),
    ("tests/documentation/certificates.rs", &["certs/make"]),
    (
        "tests/documentation/completion.rs",
        &["stellar-operator completion bash"],
    ),
    (
        "Makefile",
        &[
            "make demo",
            "make real-node",
            "make cluster-tests",
            "make oldest",
            "make image",
            "make instructions",
        ],
    ),
];

/// Commands that no test runs, by reason.
pub(crate) const NOT_RUN: &[(&str, &[&str])] = &[
    (
        "`make test` runs this test",
        &["make test", "cargo test --test simulation"],
    ),
    (
        "a part of `make cluster-tests`, run by `tests/one`",
        &["make one T=validator_joins"],
    ),
    (
        "it needs an image builder: `make test` builds the image if there is one, and tests/image runs its content",
        &["docker build --build-arg REVISION=$(git rev-parse --short=12 HEAD) --tag stellar-operator:0.1.0 ."],
    ),
    (
        "its names are placeholders; tests run it with real ones: refused.rs, and config_command and peers_command of the promises",
        &[
            "stellar-operator check FILE…",
            "stellar-operator config NODE",
            "stellar-operator run --help",
            "stellar-operator peers --dry-run",
            "kubectl stellar-peers",
            "kubectl exec validator-1-0 --container stellar-core --namespace stellar -- curl -sf -o /dev/null http://validator-2-0.validator-2-headless.stellar.svc.cluster.local:11629/ledger/00/00/00/ledger-0000007f.xdr.gz",
        ],
    ),
    (
        "its port is fixed and may be in use; webhook::certificate_files of the promises runs it with another port",
        &[
            "stellar-operator run --webhook-listen 127.0.0.1:9443 --webhook-url https://127.0.0.1:9443 \
           --tls-cert-file certs/tls.crt --tls-key-file certs/tls.key --tls-ca-file certs/ca.crt",
        ],
    ),
    (
        "pods of the simulated cluster have no reachable address, and their containers write no log",
        &[
            "kubectl get --raw /api/v1/namespaces/stellar/pods/POD:8080/proxy/readyz",
            "kubectl logs validator-1-0 --container stellar-core --namespace stellar",
            "kubectl logs validator-1-0 --container stellar-core --namespace stellar --previous",
            "helm test stellar-operator --namespace stellar",
        ],
    ),
    (
        "a part of a longer command that deployed.rs runs",
        &["kubectl logs -f", "kubectl rollout restart"],
    ),
    (
        "it takes from five minutes to half an hour; docs/results.md says what it last showed",
        &[
            "make faults",
            "make leaders-killed",
            "make fuzz",
            "make soak",
            "make scale",
            "make histories",
            "make bench",
            "make hostile",
            "make upgrade",
        ],
    ),
    ("tests/image runs its script", &["make sbom"]),
    (
        "it starts or ends a cluster for manual use; `make demo` and every test use the same scripts",
        &["make up", "make down"],
    ),
    (
        "a release build takes minutes; `make scale` and `make fuzz` run one",
        &["cargo build --release"],
    ),
];

/// The commands of the demo that the README shows.
pub(crate) const DEMO: [&str; 4] = [
    "kubectl apply -f four.yaml",
    "kubectl get configmap stellar-peers -n stellar -o 'jsonpath={.data.KNOWN_PEERS}{\"\\n\"}'",
    "kubectl get pods -n stellar -l app.kubernetes.io/name=stellar-node -o wide",
    "kubectl stellar-peers -n stellar",
];
