//! Which changes of a stored StellarNode are allowed, and which do not call the webhook.

use serde_json::{Value, json};
use test_kit::{Options, TestEnv};

use super::objects::{configured, private, running, validator, with};
use super::request::Step;
use super::{Case, check};

const CLASS: &str = "spec.storage.storageClass";
const SIZE: &str = "spec.storage.size";

fn spec(spec: Value) -> Value {
    json!({ "spec": spec })
}

fn config(config: Value) -> Value {
    spec(json!({ "validatorConfig": config }))
}

fn identity() -> Vec<Case> {
    let plain = |name: &str| validator(name, json!({}));
    vec![
        Case::patch(
            "a validator cannot become a Horizon server",
            plain("type"),
            spec(json!({
                "nodeType": "Horizon",
                "validatorConfig": null,
                "horizonConfig": { "databaseSecretRef": "db", "stellarCoreUrl": "http://core:11626" },
            })),
        )
        .invalid_by_schema("spec", "nodeType never changes"),
        Case::patch(
            "the network cannot change",
            plain("network"),
            spec(json!({ "network": "mainnet" })),
        )
        .forbidden("spec.network", "testnet cannot become mainnet")
        .warns("shared with validators of another network")
        .warns("quorumSet: absent"),
        Case::patch(
            "another spelling means the same network",
            plain("spelling"),
            spec(json!({ "network": "Testnet" })),
        )
        .stores("/spec/network", json!("Testnet")),
        Case::patch(
            "the passphrase is a spelling of the network as well",
            plain("passphrase"),
            spec(json!({ "network": "Test SDF Network ; September 2015" })),
        ),
        Case::patch(
            "an older stellar-core",
            plain("older"),
            spec(json!({ "version": "25.1.0" })),
        )
        .warns("25.1.0 is older than 26.0.1-3109.e78c97ed0.jammy")
        .stores("/spec/version", json!("25.1.0")),
        Case::patch(
            "a newer stellar-core",
            plain("newer"),
            spec(json!({ "version": "27.0.0" })),
        ),
        Case::patch("a second pod", plain("replicas"), spec(json!({ "replicas": 2 })))
            .invalid_by_schema("spec", "replicas is 1 for a Validator"),
        Case::patch("the port changes", plain("port"), config(json!({ "peerPort": 21625 })))
            .stores("/spec/validatorConfig/peerPort", json!(21625)),
        Case::patch(
            "the port changes to a reserved one",
            plain("port-http"),
            config(json!({ "peerPort": 11626 })),
        )
        .invalid("spec.validatorConfig.peerPort", "HTTP port"),
        Case::patch(
            "a validator resumes with an unused seed",
            with(running("resumed", "kept"), spec(json!({ "suspended": true }))),
            spec(json!({ "suspended": false })),
        )
        .stores("/spec/suspended", json!(false)),
        Case::patch(
            "a validator cannot resume with the seed of another",
            with(running("sleeper", "lent"), spec(json!({ "suspended": true }))),
            spec(json!({ "suspended": false })),
        )
        .after(Step::create(running("borrower", "lent")))
        .duplicate("spec.validatorConfig.seedSecretRef", "validator \"borrower\""),
    ]
}

fn volumes() -> Vec<Case> {
    let stored = |name: &str| validator(name, json!({ "storage": { "size": "10Gi", "storageClass": "fast" } }));
    let storage = |storage: Value| spec(json!({ "storage": storage }));
    vec![
        Case::patch("a volume grows", stored("grows"), storage(json!({ "size": "11Gi" })))
            .stores("/spec/storage/size", json!("11Gi")),
        Case::patch(
            "a volume size is written in another unit",
            stored("as-large"),
            storage(json!({ "size": "10240Mi" })),
        ),
        Case::patch("a volume shrinks", stored("shrinks"), storage(json!({ "size": "9Gi" })))
            .forbidden(SIZE, "write 10Gi or more"),
        Case::patch(
            "a volume of the default size shrinks",
            validator("shrinks-too", json!({})),
            storage(json!({ "size": "99Gi" })),
        )
        .forbidden(SIZE, "write 100Gi or more"),
        Case::patch(
            "the class changes",
            stored("class"),
            storage(json!({ "storageClass": "slow" })),
        )
        .forbidden(CLASS, "write \"fast\""),
        Case::patch(
            "the class is removed",
            stored("class-gone"),
            storage(json!({ "storageClass": null })),
        )
        .forbidden(CLASS, "write \"fast\""),
        Case::patch(
            "a class is added",
            validator("class-new", json!({ "storage": { "size": "10Gi" } })),
            storage(json!({ "storageClass": "fast" })),
        )
        .forbidden(CLASS, "leave it out"),
    ]
}

/// Each spec would cause a warning: without a warning, the API server did not call the webhook.
fn unasked() -> Vec<Case> {
    let held = with(
        private("held", json!({})),
        json!({ "metadata": { "finalizers": ["test.stellar.org/hold"] } }),
    );
    let deleted = private("deleted", json!({}));
    let status = private("status", json!({}));
    let released = json!({ "metadata": { "finalizers": null }, "spec": { "network": "mainnet" } });
    vec![
        Case::patch(
            "a change of the spec is reviewed as a whole",
            private("judged", json!({})),
            spec(json!({ "version": "27.0.0" })),
        )
        .warns("quorumSet: absent"),
        Case::patch(
            "a change of metadata passes",
            private("metadata", json!({})),
            json!({ "metadata": { "annotations": { "stellar.org/peer-prot": "1" }, "labels": { "team": "a" } } }),
        )
        .stores("/metadata/labels/team", json!("a")),
        Case::new(
            "a change of the status passes",
            Step::patch_status(&status, &json!({ "replicas": 7 })),
        )
        .after(Step::create(status))
        .stores("/status/replicas", json!(7)),
        Case::new("a deletion passes", Step::delete(&deleted)).after(Step::create(deleted)),
        Case::new(
            "a change of an object that is being deleted passes",
            Step::patch(&held, released),
        )
        .after(Step::create(held.clone()))
        .after(Step::delete(&held))
        .stores("/spec/network", json!("mainnet")),
        Case::patch(
            "an unchanged update passes",
            configured("nothing", json!({ "peerPort": 80 })),
            spec(json!({ "version": "26.0.1-3109.e78c97ed0.jammy" })),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn only_allowed_node_changes_pass() {
    let env = TestEnv::start("cases-nodes-changed", Options::default()).await;
    check(&env, [identity(), volumes(), unasked()].into_iter().flatten().collect()).await;
}
