//! Until the CustomResourceDefinition is installed and established, the operator waits: it runs, is not ready, and logs
//! the install command. Then it starts by itself.

use serde_json::json;
use test_kit::{Options, SOON, TestEnv, Validators, wait_for};

const CRD: &str = "crd/stellarnodes.stellar.org";
/// The beginning of the command in the log.
const COMMAND: &str = "kubectl apply";

/// Another definition of the same kind. While it exists, the operator's CRD is stored but not established.
fn rival() -> String {
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "rivals.stellar.org" },
        "spec": {
            "group": "stellar.org",
            "names": { "kind": "StellarNode", "plural": "rivals" },
            "scope": "Namespaced",
            "versions": [{ "name": "v1alpha1", "served": true, "storage": true, "schema": { "openAPIV3Schema": anything } }],
        },
    })
    .to_string()
}

/// Dropping the value deletes the rival and restores the CRD for the next tests.
struct PutBack<'a>(&'a TestEnv);

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        self.0
            .kubectl(&["delete", "crd/rivals.stellar.org", "--ignore-not-found"]);
        let definition = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/crd");
        self.0.kubectl(&["apply", "--server-side", "-k", definition]);
    }
}

fn is_established(env: &TestEnv) -> bool {
    let crd = env.get(CRD).unwrap_or_default();
    let conditions = crd["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions
        .iter()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_waits_for_its_crd_and_names_the_install_command() {
    let env = TestEnv::installed("awaited").await;
    env.kubectl(&["delete", CRD, "--timeout=60s"]).ok("delete");
    let _put_back = PutBack(&env);
    env.kubectl_with(&["create", "-f", "-"], &rival()).ok("the rival");
    let established = [
        "wait",
        "--for=condition=Established",
        "crd/rivals.stellar.org",
        "--timeout=30s",
    ];
    env.kubectl(&established).ok("the rival is established first");

    let mut operator = env.replica(&Options::default(), env.webhook_port());
    wait_for("/readyz to name what it waits for", SOON, async || {
        let answer = operator.readyz().await;
        let waits =
            answer.starts_with("HTTP/1.1 503 ") && answer.contains("the CustomResourceDefinition is not installed");
        waits.then_some(())
    })
    .await;
    let command = wait_for("the log to name the command", SOON, async || {
        let log = env.log();
        let line = log
            .lines()
            .find(|line| line.contains("ERROR") && line.contains(COMMAND))?;
        let words = &line[line.find(COMMAND)?..];
        Some(words.split(" crd=").next()?.trim().to_owned())
    })
    .await;

    // Run the logged command unchanged, in the root of the project.
    let words: Vec<String> = command
        .split(' ')
        .skip(1)
        .map(|word| word.replace("manifests/", concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/")))
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    env.kubectl(&words).ok(&command);
    wait_for("the log to say that the CRD is not established", SOON, async || {
        env.log().contains("installed, not established yet").then_some(())
    })
    .await;
    assert!(!is_established(&env));
    assert!(!operator.is_ready().await, "the operator is not ready yet");

    env.kubectl(&["delete", "crd/rivals.stellar.org"]).ok("the rival");
    wait_for("the operator to start by itself", SOON, async || {
        operator.is_ready().await.then_some(())
    })
    .await;
    assert!(is_established(&env));
    env.create_settled(&Validators::new(2), 2).await;
}
