//! A policy limits the operator's account to `caBundle` in webhook configurations, whatever its rights are: an account
//! that can redirect a webhook is close to cluster-admin.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use test_kit::{Output, SOON, TestEnv, wait_for};

const KINDS: [&str; 2] = ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"];
const SENTENCE: &str = "stellar-operator changes nothing of a webhook";

/// Runs kubectl with the operator's name and all rights, so that only the policy can refuse.
fn as_operator(env: &TestEnv, arguments: &[&str], stdin: &str) -> Output {
    let user = format!("--as=system:serviceaccount:{}:stellar-operator", env.namespace());
    let arguments = [arguments, &[user.as_str(), "--as-group=system:masters"]].concat();
    env.kubectl_with(&arguments, stdin)
}

fn patch(env: &TestEnv, kind: &str, operations: &Value) -> Output {
    let (name, operations) = (env.configuration(), operations.to_string());
    as_operator(env, &["patch", kind, &name, "--type=json", "-p", &operations], "")
}

fn write(operation: &str, path: &str, value: &Value) -> Value {
    json!([{ "op": operation, "path": path, "value": value }])
}

/// Changes that the policy must refuse.
fn changes() -> Vec<Value> {
    let place = |field: &str| format!("/webhooks/1/{field}");
    let elsewhere = json!({ "namespace": "default", "name": "elsewhere", "port": 443 });
    vec![
        write("replace", &place("failurePolicy"), &json!("Fail")),
        write("replace", "/webhooks/0/timeoutSeconds", &json!(9)),
        write("replace", &place("rules/0/resources/0"), &json!("deployments")),
        write(
            "add",
            &place("rules/-"),
            &json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"] }),
        ),
        write(
            "replace",
            &place("clientConfig/url"),
            &json!("https://127.0.0.1:1/elsewhere"),
        ),
        write("replace", &place("clientConfig"), &json!({ "service": elsewhere })),
        write("remove", &place("namespaceSelector"), &Value::Null),
        write("remove", &place("objectSelector"), &Value::Null),
        write("remove", "/webhooks/0/matchConditions", &Value::Null),
        write("replace", &place("matchConditions/0/expression"), &json!("true")),
        write("replace", &place("name"), &json!("other.stellar.org")),
        write("remove", "/webhooks/0", &Value::Null),
        write("remove", "/webhooks", &Value::Null),
        write("add", "/metadata/labels/other", &json!("label")),
        write("remove", "/metadata/labels", &Value::Null),
        write("add", "/metadata/annotations", &json!({ "other": "annotation" })),
        write("add", "/metadata/finalizers", &json!(["example.org/never"])),
        // A copy of a webhook under another name, and the two webhooks in reverse order.
        json!([
            { "op": "copy", "from": "/webhooks/0", "path": "/webhooks/-" },
            { "op": "replace", "path": "/webhooks/2/name", "value": "third.stellar.org" },
        ]),
        json!([{ "op": "move", "from": "/webhooks/0", "path": "/webhooks/1" }]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_can_change_only_the_ca_bundle() {
    let env = TestEnv::installed("policy").await;
    // The API server enforces a new policy only some time after it was stored.
    wait_for("the policy to be in force", SOON, async || {
        let label = write("add", "/metadata/labels/other", &json!("label")).to_string();
        let try_it = [
            "patch",
            KINDS[0],
            &env.configuration(),
            "--dry-run=server",
            "--type=json",
            "-p",
            &label,
        ];
        (!as_operator(&env, &try_it, "").success).then_some(())
    })
    .await;

    let authority = rcgen::generate_simple_self_signed(["a.example.org".to_owned()]).expect("a certificate");
    let authority = STANDARD.encode(authority.cert.pem());
    for kind in KINDS {
        let bundle = |place: u8| format!("/webhooks/{place}/clientConfig/caBundle");
        let both = json!([
            { "op": "add", "path": bundle(0), "value": authority },
            { "op": "add", "path": bundle(1), "value": authority },
        ]);
        patch(&env, kind, &both).ok("a bundle");
        patch(&env, kind, &write("remove", &bundle(0), &Value::Null)).ok("none");

        for change in changes() {
            let output = patch(&env, kind, &change);
            assert!(!output.success, "{kind}: allowed {change}");
            assert!(output.stderr.contains(SENTENCE), "{kind} {change}: {}", output.stderr);
        }
        // The administrator can still change the configuration.
        let restored = write("add", "/metadata/labels/note", &json!("mine")).to_string();
        env.kubectl(&["patch", kind, &env.configuration(), "--type=json", "-p", &restored])
            .ok("the administrator");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_cannot_create_or_delete_webhook_configurations() {
    let env = TestEnv::installed("policy-all").await;
    let name = env.configuration();
    for kind in KINDS {
        let mut other = env.get(&format!("{kind}/{name}")).expect("it is there");
        other["metadata"] = json!({ "name": format!("{name}-other") });
        other["webhooks"] = json!([]);
        wait_for("the creation to be refused", SOON, async || {
            let create = ["create", "--dry-run=server", "-f", "-"];
            let output = as_operator(&env, &create, &other.to_string());
            output
                .stderr
                .contains("stellar-operator neither creates nor deletes")
                .then_some(())
        })
        .await;
        let output = as_operator(&env, &["delete", kind, &name, "--dry-run=server"], "");
        assert!(
            output.stderr.contains("stellar-operator neither creates nor deletes"),
            "{}",
            output.stderr
        );
    }
}
