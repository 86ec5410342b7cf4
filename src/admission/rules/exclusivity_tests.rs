//! The rules about other validators, one case each.

use serde_json::{Value, json};

use crate::admission::fixtures::{Known, horizon, validator, with};
use crate::admission::validate::{Verdict, validate};

const SEED: &str = "spec.validatorConfig.seedSecretRef";
const LIST: &str = "spec.validatorConfig.knownPeersRef.name";

fn fields(verdict: &Verdict) -> Vec<&str> {
    verdict.errors.iter().map(|error| error.field.as_str()).collect()
}

/// The refused fields of `object` next to `other`.
fn beside(object: &Value, other: &Value) -> Vec<String> {
    let verdict = validate(object, None, &Known(vec![other.clone()]));
    verdict.errors.into_iter().map(|error| error.field).collect()
}

#[test]
fn a_seed_is_used_once_on_a_network() {
    let other = |network: &str, suspended: bool| {
        let other = with(
            validator("v2"),
            "/spec/validatorConfig/seedSecretRef",
            &json!("v1-seed"),
        );
        let other = with(other, "/spec/network", &json!(network));
        Known(vec![validator("v1"), with(other, "/spec/suspended", &json!(suspended))])
    };
    let sleeping = with(validator("v1"), "/spec/suspended", &json!(true));
    let check = |object: &Value, old: Option<&Value>, context: &Known| validate(object, old, context);
    assert_eq!(fields(&check(&validator("v1"), None, &other("Testnet", false))), [SEED]);
    assert!(check(&validator("v1"), None, &other("testnet", true)).passes());
    assert!(check(&sleeping, None, &other("testnet", false)).passes());
    assert!(check(&validator("v1"), None, &other("mainnet", false)).passes());
    let resumed = check(&validator("v1"), Some(&sleeping), &other("testnet", false));
    assert_eq!(fields(&resumed), [SEED]);
    assert!(resumed.errors[0].message.contains("\"v2\""), "{resumed:?}");
}

#[test]
fn another_network_in_the_group_is_a_warning_that_names_the_fix() {
    let other = with(validator("v2"), "/spec/network", &json!("mainnet"));
    let verdict = validate(&validator("v1"), None, &Known(vec![other.clone()]));
    assert!(verdict.passes());
    assert!(
        verdict
            .warnings
            .iter()
            .any(|text| text.contains("v2 (mainnet)") && text.contains("knownPeersRef.name")),
        "{verdict:?}"
    );
    let apart = with(
        other,
        "/spec/validatorConfig/knownPeersRef",
        &json!({ "name": "peers-main" }),
    );
    assert_eq!(
        validate(&validator("v1"), None, &Known(vec![apart])),
        Verdict::default()
    );
}

/// A validator with a seed in a file of a CSI driver.
fn with_driver(name: &str, secret: &str, class: &str, path: &str) -> Value {
    let config = json!({
        "seedSecretRef": secret, "keySource": "KMS",
        "kmsConfig": { "seedPath": path, "csi": { "driver": "d.example.org", "volumeAttributes": { "class": class } } },
    });
    with(validator(name), "/spec/validatorConfig", &config)
}

#[test]
fn of_a_seed_in_a_file_the_file_counts_and_not_the_secret_that_is_not_read() {
    let one = with_driver("v1", "none", "a", "/seeds/1");
    let kms = vec!["spec.validatorConfig.kmsConfig".to_owned()];
    assert_eq!(beside(&one, &with_driver("v2", "none", "b", "/seeds/1")), [""; 0]);
    assert_eq!(beside(&one, &with_driver("v2", "none", "a", "/seeds/2")), [""; 0]);
    assert_eq!(beside(&one, &with_driver("v2", "other", "a", "/seeds/1")), kms);
    // A Secret with that name is a different source of a seed.
    let secret = with(validator("v2"), "/spec/validatorConfig/seedSecretRef", &json!("none"));
    assert_eq!(beside(&one, &secret), [""; 0]);
    // The content of a file from an agent is unknown.
    let mut agent = one.clone();
    agent["spec"]["validatorConfig"]["kmsConfig"]["csi"] = Value::Null;
    let mut another = agent.clone();
    another["metadata"]["name"] = json!("v2");
    assert_eq!(beside(&agent, &another), [""; 0]);
}

#[test]
fn a_database_is_used_once_whatever_the_network_and_whoever_is_suspended() {
    let with_database = |name: &str, key: &str| {
        let reference = json!({ "secretKeyRef": { "name": "postgres", "key": key } });
        with(validator(name), "/spec/validatorConfig/database", &reference)
    };
    let one = with_database("v1", "core");
    let other = with(with_database("v2", "core"), "/spec/suspended", &json!(true));
    let refused = ["spec.validatorConfig.database.secretKeyRef"];
    assert_eq!(beside(&one, &other), refused);
    assert_eq!(
        beside(&one, &with(other, "/spec/network", &json!("futurenet"))),
        refused
    );
    assert_eq!(beside(&one, &with_database("v2", "other")), [""; 0]);
    assert_eq!(beside(&one, &validator("v2")), [""; 0]);
    assert_eq!(beside(&one, &one), [""; 0], "its own");
}

#[test]
fn no_list_is_the_config_of_a_node() {
    let on = |name: &str, list: &str| {
        let reference = json!({ "name": list, "key": "KNOWN_PEERS" });
        with(validator(name), "/spec/validatorConfig/knownPeersRef", &reference)
    };
    assert_eq!(beside(&on("v1", "v2-config"), &validator("v2")), [LIST]);
    assert_eq!(beside(&on("v1", "api-config"), &horizon()), [LIST]);
    assert_eq!(beside(&on("v1", "nobody-config"), &validator("v2")), [""; 0]);
    // The same in the other direction.
    assert_eq!(beside(&validator("v2"), &on("v1", "v2-config")), ["metadata.name"]);
    assert_eq!(beside(&horizon(), &on("v1", "api-config")), ["metadata.name"]);
    assert_eq!(beside(&validator("v3"), &on("v1", "v2-config")), [""; 0]);
    let two = Known(vec![on("v1", "v2-config"), on("v3", "v2-config")]);
    assert_eq!(
        fields(&validate(&validator("v2"), None, &two)),
        ["metadata.name"],
        "told once"
    );
}

#[test]
fn a_name_that_would_take_anothers_service_or_budget_is_refused() {
    let name = "metadata.name";
    let server = |name: &str| with(horizon(), "/metadata/name", &json!(name));
    assert_eq!(beside(&server("v1-headless"), &validator("v1")), [name]);
    assert_eq!(beside(&validator("v1"), &server("v1-headless")), [name]);
    assert_eq!(beside(&server("stellar-peers"), &validator("v1")), [name]);
    assert!(beside(&server("v2-headless"), &validator("v1")).is_empty());
    assert!(beside(&validator("v1-headless"), &validator("v1")).is_empty());
    assert!(beside(&validator("v1"), &validator("v1-headless")).is_empty());
}
