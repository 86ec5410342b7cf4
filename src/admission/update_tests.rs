//! Updates: changes that are refused, and problems that the stored object already has.

use serde_json::{Value, json};

use super::context::NoContext;
use super::fixtures::{horizon, validator, with};
use super::validate::validate;
use super::validate_tests::{config, fields};

#[test]
fn what_must_not_change_or_shrink_does_not() {
    let sized = |size: &str| with(validator("v1"), "/spec/storage", &json!({ "size": size }));
    let class = |class: &Value| with(sized("1Gi"), "/spec/storage/storageClass", class);
    for (old, new, field) in [
        (sized("100Gi"), sized("99Gi"), Some("spec.storage.size")),
        (validator("v1"), sized("99Gi"), Some("spec.storage.size")),
        (sized("1Gi"), sized("1024Mi"), None),
        (sized("1Gi"), sized("2Gi"), None),
        (
            class(&json!("a")),
            class(&json!("b")),
            Some("spec.storage.storageClass"),
        ),
        (class(&json!("a")), sized("1Gi"), Some("spec.storage.storageClass")),
        (sized("1Gi"), class(&json!("a")), Some("spec.storage.storageClass")),
        (
            validator("v1"),
            with(validator("v1"), "/spec/network", &json!("mainnet")),
            Some("spec.network"),
        ),
        (
            validator("v1"),
            with(validator("v1"), "/spec/network", &json!("Testnet")),
            None,
        ),
    ] {
        let verdict = validate(&new, Some(&old), &NoContext);
        assert_eq!(fields(&verdict), Vec::from_iter(field), "{old} → {new}");
    }
    let verdict = validate(&horizon(), Some(&validator("v1")), &NoContext);
    assert_eq!(fields(&verdict), ["spec.nodeType"]);
}

#[test]
fn an_old_problem_is_a_warning_and_a_new_one_is_not() {
    let old = config("peerPort", &json!(11626));
    let suspended = with(old.clone(), "/spec/suspended", &json!(true));
    let verdict = validate(&suspended, Some(&old), &NoContext);
    assert!(verdict.passes());
    assert!(
        verdict.warnings[0].contains("as before, spec.validatorConfig.peerPort: 11626"),
        "{verdict:?}"
    );
    let worse = config("peerPort", &json!(70000));
    assert_eq!(
        fields(&validate(&worse, Some(&old), &NoContext)),
        ["spec.validatorConfig.peerPort"]
    );
    assert_eq!(
        fields(&validate(&old, Some(&validator("v1")), &NoContext)),
        ["spec.validatorConfig.peerPort"]
    );
}

#[test]
fn an_old_problem_stays_one_where_others_before_it_go() {
    let node = |images: &[Option<&str>]| {
        let sidecar = |(place, image): (usize, &Option<&str>)| {
            let security = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
            json!({ "name": format!("sidecar-{place}"), "image": image, "securityContext": security })
        };
        let sidecars: Vec<Value> = images.iter().enumerate().map(sidecar).collect();
        with(validator("v1"), "/spec/sidecars", &json!(sidecars))
    };
    let old = node(&[Some("a:1"), None]);
    assert_eq!(fields(&validate(&old, None, &NoContext)), ["spec.sidecars[1].image"]);
    let verdict = validate(&node(&[None]), Some(&old), &NoContext);
    assert!(verdict.passes(), "{verdict:?}");
    assert!(
        verdict
            .warnings
            .iter()
            .any(|one| one.starts_with("as before, spec.sidecars[0].image")),
        "{verdict:?}"
    );
    // One known problem excuses only one error.
    let verdict = validate(&node(&[Some("a:1"), None, None]), Some(&old), &NoContext);
    assert_eq!(fields(&verdict), ["spec.sidecars[2].image"]);
    let verdict = validate(&node(&[None, None]), Some(&old), &NoContext);
    assert_eq!(verdict.errors.len(), 1, "{verdict:?}");
}

#[test]
fn an_older_version_of_a_validator_is_warned_of() {
    let of = |version: &str| with(validator("v1"), "/spec/version", &json!(version));
    for (was, now, warned) in [
        ("26.0.1", "26.0.0", true),
        ("26.0.1-3109.e78c97ed0.jammy", "25.9.0-3000.0000000.noble", true),
        ("v26.0.1", "v25", true),
        ("26.0.1", "26.0.1-3109.e78c97ed0.jammy", false),
        ("9.0.0", "10.0.0", false),
        ("26.0.1", "latest", false),
    ] {
        let verdict = validate(&of(now), Some(&of(was)), &NoContext);
        assert!(verdict.passes());
        let warnings = verdict.warnings.iter().filter(|one| one.contains("is older than"));
        assert_eq!(warnings.count(), usize::from(warned), "{was} → {now}: {verdict:?}");
    }
    let horizon = |version: &str| with(horizon(), "/spec/version", &json!(version));
    let verdict = validate(&horizon("22.0.0"), Some(&horizon("23.0.0")), &NoContext);
    assert!(!verdict.warnings.iter().any(|one| one.contains("is older than")));
}

#[test]
fn an_older_version_than_before_is_a_warning() {
    let of = |version: &str| with(validator("v1"), "/spec/version", &json!(version));
    for (was, now, warned) in [
        ("26.0.1-3109.e78c97ed0.jammy", "25.2.0-2998.abc.jammy", true),
        ("v26.0.1", "26.0.0", true),
        ("26.1", "26.0.9", true),
        ("26.0.1", "26.0.1", false),
        ("26.0.1-3109.e78c97ed0.jammy", "26.0.1-3110.aaaaaaaaa.jammy", false),
        ("9.0.0", "26.0.1", false),
        ("latest", "26.0.1", false),
        ("26.0.1", "my-build", false),
    ] {
        let verdict = validate(&of(now), Some(&of(was)), &NoContext);
        assert!(verdict.passes());
        let found = verdict.warnings.iter().any(|text| text.starts_with("spec.version:"));
        assert_eq!(found, warned, "{was} to {now}: {verdict:?}");
    }
}

#[test]
fn a_validators_data_is_never_moved() {
    let database = json!({ "secretKeyRef": { "name": "db", "key": "url" } });
    let other = json!({ "secretKeyRef": { "name": "other", "key": "url" } });
    let none = validator("v1");
    let changed = |field: &str, value: &Value| with(none.clone(), &format!("/spec/{field}"), value);
    let mode = |mode: &str| changed("storage", &json!({ "mode": mode }));
    for (before, after, refused) in [
        (&none, mode("PersistentVolume"), None),
        (&mode("PersistentVolume"), none.clone(), None),
        (&none, mode("EmptyDir"), Some("spec.storage.mode")),
        (&mode("EmptyDir"), none.clone(), Some("spec.storage.mode")),
        (
            &none,
            changed("validatorConfig/database", &database),
            Some("spec.validatorConfig.database"),
        ),
        (
            &changed("validatorConfig/database", &database),
            none.clone(),
            Some("spec.validatorConfig.database"),
        ),
        (
            &changed("validatorConfig/database", &database),
            changed("validatorConfig/database", &other),
            None,
        ),
        (&none, changed("validatorConfig/peersAs", &json!("Preferred")), None),
    ] {
        let verdict = validate(&after, Some(before), &NoContext);
        let fields: Vec<&str> = verdict.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, refused.as_slice(), "{verdict:?}");
    }
}
