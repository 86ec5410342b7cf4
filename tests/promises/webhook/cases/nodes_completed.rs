//! The defaults that a StellarNode gets before it is stored.

use serde_json::{Value, json};
use test_kit::{Options, TestEnv};

use super::objects::{configured, horizon, validator};
use super::{Case, check};

const PORT: &str = "/spec/validatorConfig/peerPort";
const REFERENCE: &str = "/spec/validatorConfig/knownPeersRef";

fn reference(name: &str) -> Value {
    json!({ "name": name, "key": "KNOWN_PEERS" })
}

fn cases() -> Vec<Case> {
    let removed = |field: &str| json!({ "spec": { "validatorConfig": { field: null } } });
    vec![
        Case::create("an absent port is 11625", validator("port-absent", json!({}))).stores(PORT, json!(11625)),
        Case::create("a port is kept", configured("port-kept", json!({ "peerPort": 21625 })))
            .stores(PORT, json!(21625))
            .stores(REFERENCE, reference("stellar-peers")),
        Case::create("an absent list is stellar-peers", validator("list-absent", json!({})))
            .stores(REFERENCE, reference("stellar-peers")),
        Case::create(
            "a list is kept",
            configured(
                "list-kept",
                json!({ "knownPeersRef": { "name": "ours", "key": "KNOWN_PEERS" } }),
            ),
        )
        .stores(REFERENCE, reference("ours"))
        .stores(PORT, json!(11625)),
        Case::create(
            "the key of a list gets its default",
            configured("key-absent", json!({ "knownPeersRef": { "name": "ours" } })),
        )
        .stores(REFERENCE, reference("ours")),
        Case::create(
            "an empty reference becomes stellar-peers",
            configured("reference-empty", json!({ "knownPeersRef": {} })),
        )
        .stores(REFERENCE, reference("stellar-peers")),
        Case::create("a Horizon server gets no defaults", horizon("horizon")).lacks("/spec/validatorConfig"),
        Case::create(
            "a field that the schema does not know is dropped, the rest is completed",
            configured("unknown-field", json!({ "peerPrt": 1 })),
        )
        .lacks("/spec/validatorConfig/peerPrt")
        // The API server's own warning.
        .warns("unknown field \"spec.validatorConfig.peerPrt\"")
        .stores(PORT, json!(11625)),
        Case::patch(
            "a removed port gets the default again",
            configured("port-removed", json!({ "peerPort": 21625 })),
            removed("peerPort"),
        )
        .stores(PORT, json!(11625)),
        Case::patch(
            "a removed list gets the default again",
            configured("list-removed", json!({ "knownPeersRef": { "name": "ours" } })),
            removed("knownPeersRef"),
        )
        .stores(REFERENCE, reference("stellar-peers")),
        Case::patch(
            "a change of something else leaves port and list as they are",
            configured(
                "both-kept",
                json!({ "peerPort": 21625, "knownPeersRef": { "name": "ours" } }),
            ),
            json!({ "spec": { "version": "27.0.0" } }),
        )
        .stores(PORT, json!(21625))
        .stores(REFERENCE, reference("ours")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_node_fields_get_defaults() {
    let env = TestEnv::start("cases-nodes-completed", Options::default()).await;
    check(&env, cases()).await;
}
