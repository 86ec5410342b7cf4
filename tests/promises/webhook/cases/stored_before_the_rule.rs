//! A StellarNode that was stored before a rule existed can be changed: an old problem causes a warning, a new one is
//! refused.

use serde_json::{Value, json};
use test_kit::{Cluster, Options, SOON, TestEnv, wait_for};

use super::objects::{configured, validator};
use super::request::{Server, Step};
use super::{Case, check};

const PORT: &str = "spec.validatorConfig.peerPort";
/// Fields that the API server writes.
const SERVERS_OWN: [&str; 5] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
];

fn wrong(name: &str) -> Value {
    configured(name, json!({ "peerPort": 11626 }))
}

fn cases() -> Vec<Case> {
    let spec = |spec: Value| json!({ "spec": spec });
    let case = |name: &'static str, node: &str, patch: Value| Case::new(name, Step::patch(&wrong(node), patch));
    vec![
        case("another field changes", "changed", spec(json!({ "version": "27.0.0" })))
            .stores("/spec/version", json!("27.0.0"))
            .warns("as before, spec.validatorConfig.peerPort: 11626"),
        case("it is suspended", "suspended", spec(json!({ "suspended": false })))
            .warns("as before, spec.validatorConfig.peerPort: 11626"),
        case(
            "another field becomes invalid",
            "worse",
            spec(json!({ "storage": { "size": "none" } })),
        )
        .invalid("spec.storage.size", "not a size of a volume")
        .warns("as before, spec.validatorConfig.peerPort: 11626"),
        case(
            "the field becomes invalid in another way",
            "otherwise",
            spec(json!({ "validatorConfig": { "peerPort": 11628 } })),
        )
        .invalid(PORT, "container \"health\""),
        case(
            "an immutable field stays immutable",
            "network",
            spec(json!({ "network": "mainnet" })),
        )
        .forbidden("spec.network", "testnet cannot become mainnet")
        .warns("as before, spec.validatorConfig.peerPort: 11626")
        .warns("shared with validators of another network")
        .warns("quorumSet: absent"),
        case(
            "the problem is corrected",
            "right",
            spec(json!({ "validatorConfig": { "peerPort": 11625 } })),
        )
        .stores("/spec/validatorConfig/peerPort", json!(11625)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_problem_causes_a_warning_and_a_new_one_is_refused() {
    let env = TestEnv::start("cases-old-problem", Options::default()).await;
    let registration = format!("validatingwebhookconfiguration/stellar-operator-{}", env.namespace());
    let mut registration = env.get(&registration).expect("the registration");
    let server = Server::new(&env, Cluster::connect().client().await);
    // The API server sees the change only some time later.
    let is_judged = async |judged: bool| {
        let probe = Step::create(wrong("probe")).dry();
        wait_for("the API server to see the registration", SOON, async || {
            (server.send(&probe).await.is_success() != judged).then_some(())
        })
        .await;
    };
    is_judged(true).await;

    env.delete_validating_webhook();
    is_judged(false).await;
    for name in ["changed", "suspended", "worse", "otherwise", "network", "right"] {
        let stored = server.send(&Step::create(wrong(name))).await;
        assert!(stored.is_success(), "{name}: {stored}");
    }
    for field in SERVERS_OWN {
        registration["metadata"][field].take();
    }
    env.apply(&registration.to_string());
    is_judged(true).await;

    check(&env, cases()).await;
    assert!(env.get("stellarnode/probe").is_none());
    let sound = server.send(&Step::create(validator("sound", json!({})))).await;
    assert!(sound.is_success() && sound.warnings.is_empty(), "{sound}");
}
