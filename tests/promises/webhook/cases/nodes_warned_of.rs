//! Values that a new StellarNode may have but that cause a warning.

use serde_json::json;
use test_kit::{Options, TestEnv};

use super::objects::{configured, horizon, private, quorum_set, rpc, validator, with};
use super::request::Step;
use super::{Case, check};

fn cases() -> Vec<Case> {
    let annotated = |name: &str, annotation: &str| {
        let annotations = json!({ "metadata": { "annotations": { annotation: "" } } });
        with(validator(name, json!({})), annotations)
    };
    vec![
        Case::create("a privileged port", configured("port-80", json!({ "peerPort": 80 })))
            .stores("/spec/validatorConfig/peerPort", json!(80))
            .warns("spec.validatorConfig.peerPort: 80 is below 1024"),
        Case::create("a private network without a quorum set", private("private", json!({})))
            .warns("spec.validatorConfig.quorumSet: absent"),
        Case::create(
            "history archives enabled but none named",
            configured("archive", json!({ "enableHistoryArchive": true })),
        )
        .warns("spec.validatorConfig.historyArchiveUrls: history archives are enabled and none is named"),
        Case::create(
            "a quorum set of three that says it is unsafe",
            private(
                "three",
                json!({ "quorumSet": format!("UNSAFE_QUORUM=true\n{}", quorum_set(3)) }),
            ),
        )
        .warns("this quorum set tolerates no failure"),
        Case::create(
            "a quorum set of three, marked as unsafe in coreConfig",
            private(
                "three-too",
                json!({ "quorumSet": quorum_set(3), "coreConfig": "UNSAFE_QUORUM=true\n" }),
            ),
        )
        .warns("this quorum set tolerates no failure"),
        Case::create(
            "a setting that only a newer stellar-core may know",
            with(
                configured("tomorrow", json!({ "coreConfig": "KEY_OF_TOMORROW=1\n" })),
                json!({ "spec": { "version": "99.0.0" } }),
            ),
        )
        .warns("KEY_OF_TOMORROW is not a key of stellar-core 27.1.0 or older"),
        Case::create(
            "a setting that this stellar-core ignores",
            configured(
                "ignored",
                json!({ "coreConfig": "EXPERIMENTAL_PARALLEL_LEDGER_APPLY=true\n" }),
            ),
        )
        .warns("ignores EXPERIMENTAL_PARALLEL_LEDGER_APPLY: write PARALLEL_LEDGER_APPLY"),
        Case::create(
            "a quorum set of four needs no warning",
            private("four", json!({ "quorumSet": quorum_set(4) })),
        ),
        Case::create(
            "a validator of another network in the group",
            with(
                private("stranger", json!({ "quorumSet": quorum_set(4) })),
                json!({ "spec": { "validatorConfig": { "knownPeersRef": { "name": "shared-peers" } } } }),
            ),
        )
        .after(Step::create(configured(
            "local",
            json!({ "knownPeersRef": { "name": "shared-peers" } }),
        )))
        .warns("shared with validators of another network, local (testnet)"),
        Case::create(
            "the HTTP port of a validator, which is on localhost",
            with(
                horizon("of-a-validator"),
                json!({ "spec": { "horizonConfig": { "stellarCoreUrl": "http://v-core-0.v-core-headless:11626" } } }),
            ),
        )
        .after(Step::create(validator("v-core", json!({}))))
        .warns("is the HTTP port of validator v-core, which is on localhost in its own pod"),
        Case::create(
            "settings that Horizon removed",
            with(
                horizon("workers"),
                json!({ "spec": { "horizonConfig": { "ingestWorkers": 4 } } }),
            ),
        )
        .warns("spec.horizonConfig.ingestWorkers: Horizon has no such setting any more"),
        Case::create(
            "settings that Stellar RPC removed, and a budget that allows no eviction",
            rpc(
                "preflight",
                json!({ "minAvailable": 1, "sorobanConfig": { "enablePreflight": true } }),
            ),
        )
        .warns("spec.sorobanConfig.enablePreflight: Stellar RPC always simulates")
        .warns("spec.minAvailable: with 1 replicas no pod may ever be evicted"),
        Case::create("a misspelled annotation", annotated("slip", "stellar.org/peer-prot"))
            .warns("stellar.org/peer-prot means nothing to the operator; did you mean stellar.org/peer-port?"),
        Case::create(
            "an unknown annotation with the operator's prefix",
            annotated("none", "stellar.org/restart-now"),
        )
        .warns("stellar.org/restart-now means nothing to the operator; the operator reads stellar.org/peer-port"),
        Case::create(
            "an annotation of the operator",
            annotated("ours", "stellar.org/pause-restarts"),
        ),
        Case::create(
            "an annotation of another program",
            annotated("others", "example.org/peer-prot"),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn risky_node_settings_cause_a_warning() {
    let env = TestEnv::start("cases-nodes-warned", Options::default()).await;
    check(&env, cases()).await;
}
