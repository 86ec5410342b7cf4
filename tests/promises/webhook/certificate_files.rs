//! With a certificate from files, as cert-manager provides it, the operator has no rights to Secrets or webhook
//! configurations and needs none.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use serde_json::{Value, json};
use stellar_k8s::tls::issue;
use stellar_k8s::util::clock;
use test_kit::{Options, SOON, TestEnv, Validators, wait_for};

const OVERLAY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/overlays/cert-manager");

/// Removes the rights that the overlay for cert-manager removes.
fn take_rights(env: &TestEnv) {
    let overlay = env.kubectl(&["kustomize", OVERLAY]).ok("the overlay");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&overlay).expect("YAML");
    for (kind, name) in [("Role", "stellar-operator"), ("ClusterRole", &env.configuration())] {
        let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == "stellar-operator";
        let role = objects.iter().find(is_it).expect("the role");
        let rules = json!({ "rules": role["rules"] }).to_string();
        assert!(
            !rules.contains("secrets") && !rules.contains("webhookconfigurations"),
            "{rules}"
        );
        env.kubectl(&["patch", kind, name, "--type=merge", "-p", &rules])
            .ok(kind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_serves_with_only_the_rights_of_the_cert_manager_overlay() {
    let env = TestEnv::installed("cert-files").await;
    take_rights(&env);
    // The work of cert-manager: a CA, a certificate signed by it, and the CA in caBundle.
    let authority = issue::authority(clock::now(), SignedDuration::from_hours(1)).unwrap();
    let names = BTreeSet::from(["127.0.0.1".to_owned()]);
    let leaf = issue::leaf(&authority, &names, clock::now(), SignedDuration::from_hours(1)).unwrap();
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let bundle = STANDARD.encode(&authority.certificate.pem);
    let write =
        |place: u8| json!({ "op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": bundle });
    let injected = json!([write(0), write(1)]).to_string();
    for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
        env.kubectl(&["patch", kind, &env.configuration(), "--type=json", "-p", &injected])
            .ok("caBundle");
    }

    let options = Options::default()
        .with("--tls-cert-file", &file("tls.crt", &leaf.certificate.pem))
        .with("--tls-key-file", &file("tls.key", &leaf.key));
    let _operator = env.run(&options).await;
    let validators = Validators::new(2);
    let mut wrong = validators.node(2);
    wrong["spec"]["validatorConfig"]["peerPort"] = json!(11626);
    wait_for("the webhook to refuse", SOON, async || {
        let output = env.kubectl_with(&["create", "--dry-run=server", "-f", "-"], &wrong.to_string());
        output.stderr.contains("11626").then_some(())
    })
    .await;
    env.apply(&validators.manifests([1]));
    let node = env.get("stellarnode/validator-1").unwrap();
    assert_eq!(node["spec"]["validatorConfig"]["peerPort"], 11625);
    wait_for("the validator to be reconciled", SOON, async || {
        env.get("statefulset/validator-1")
    })
    .await;
    assert!(!env.log().contains("ERROR"), "{}", env.log());
}
