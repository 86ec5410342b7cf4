//! Requests and responses on the wire, and the requests that always pass.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionResponse, AdmissionReview};
use serde_json::{Value, json};

use super::context::NoContext;
use super::fixtures::{stateful_set, validator, with};
use super::reviewer::Rules;
use crate::webhook::reviewer::{Answer, Reviewer as _};
use crate::webhook::wire::review;

pub(super) fn rules() -> Rules {
    Rules::new(Arc::new(NoContext))
}

pub(super) fn request(operation: &str, object: &Value, old: &Value) -> Value {
    let some = if object.is_null() { old } else { object };
    let (group, version) = if some["kind"] == "StellarNode" {
        ("stellar.org", "v1alpha1")
    } else {
        ("apps", "v1")
    };
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": { "group": group, "version": version, "kind": some["kind"] },
            "resource": { "group": group, "version": version, "resource": "things" },
            "name": "v1",
            "namespace": "stellar",
            "operation": operation,
            "userInfo": { "username": "someone" },
            "object": object,
            "oldObject": old,
            "dryRun": false,
        },
    })
}

pub(super) fn decided(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice::<Value>(&answer.body).expect("JSON")["response"].clone()
}

fn validated(review: &Value) -> Value {
    decided(&rules().validate(review.to_string().as_bytes()))
}

pub(super) fn bad_node() -> Value {
    with(validator("v1"), "/spec/validatorConfig/peerPort", &json!(11626))
}

#[test]
fn a_denial_is_a_status_with_a_cause_for_each_field() {
    let body = request("CREATE", &with(bad_node(), "/spec/replicas", &json!(2)), &Value::Null).to_string();
    let answer = rules().validate(body.as_bytes());
    let response = decided(&answer);
    assert_eq!(response["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(response["allowed"], false);
    let status = &response["status"];
    assert_eq!(
        (&status["code"], &status["reason"], &status["status"]),
        (&json!(422), &json!("Invalid"), &json!("Failure"))
    );
    assert_eq!(status["details"]["name"], "v1");
    assert_eq!(status["details"]["group"], "stellar.org");
    assert_eq!(status["details"]["kind"], "StellarNode");
    let causes = status["details"]["causes"].as_array().expect("causes");
    assert_eq!(causes.len(), 2);
    for cause in causes {
        let message = status["message"].as_str().expect("a message");
        let (problem, speaker) = cause["message"]
            .as_str()
            .and_then(|cause| cause.split_once(" ("))
            .expect("a speaker");
        assert!(message.contains(cause["field"].as_str().unwrap()) && message.contains(problem));
        assert!(speaker.contains("admission webhook"), "{speaker}");
        assert_eq!(cause["reason"], "FieldValueInvalid");
    }
    assert_eq!((answer.facts.allowed, answer.facts.code), (Some(false), Some(422)));
}

#[test]
fn a_patch_is_base64_and_has_its_type() {
    let object = stateful_set(&json!([{ "name": "core" }]));
    let response = decided(&rules().mutate(request("CREATE", &object, &Value::Null).to_string().as_bytes()));
    assert_eq!(response["patchType"], "JSONPatch");
    let patch = STANDARD
        .decode(response["patch"].as_str().expect("text"))
        .expect("base64");
    let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a patch");
    let mut stored = object;
    json_patch::patch(&mut stored, &patch).expect("it applies");
    let again = decided(&rules().mutate(request("CREATE", &stored, &Value::Null).to_string().as_bytes()));
    assert_eq!(
        (&again["allowed"], again.get("patch"), again.get("patchType")),
        (&json!(true), None, None)
    );
}

/// The answer, parsed by kube's types after a correction of two differences from the API server's types
/// (`admission/v1/types.go`): kube expects the patch as a list of bytes, not base64 (kube-rs/kube#1781), and a status
/// in every answer.
fn as_kube_reads_it(answer: &Answer) -> AdmissionResponse {
    let mut review: Value = serde_json::from_slice(&answer.body).expect("JSON");
    if let Some(patch) = review["response"].get_mut("patch") {
        *patch = json!(STANDARD.decode(patch.as_str().expect("text")).expect("base64"));
    }
    if review["response"].get("status").is_none() {
        review["response"]["status"] = json!({});
    }
    let review: AdmissionReview<DynamicObject> = serde_json::from_value(review).expect("kube's types read it");
    assert_eq!(
        (review.types.api_version.as_str(), review.types.kind.as_str()),
        ("admission.k8s.io/v1", "AdmissionReview")
    );
    review.response.expect("a response")
}

#[test]
fn kube_reads_the_same_question_and_the_same_answer() {
    let set = stateful_set(&json!([{ "name": "core" }]));
    for (operation, object, old) in [
        ("CREATE", validator("v1"), Value::Null),
        ("CREATE", bad_node(), Value::Null),
        ("UPDATE", bad_node(), validator("v1")),
        ("UPDATE", set.clone(), set.clone()),
        ("CREATE", set, Value::Null),
        ("DELETE", Value::Null, validator("v1")),
    ] {
        let body = request(operation, &object, &old).to_string();
        let ours = review::parse(body.as_bytes()).expect("a review").request;
        let theirs: AdmissionReview<DynamicObject> = serde_json::from_str(&body).expect("kube's types read it");
        let theirs = theirs.request.expect("a request");
        assert_eq!(
            (&*ours.uid, &*ours.kind.group, &*ours.kind.version, &*ours.kind.kind),
            (
                &*theirs.uid,
                &*theirs.kind.group,
                &*theirs.kind.version,
                &*theirs.kind.kind
            )
        );
        assert_eq!(
            (ours.name.as_deref(), ours.namespace.as_deref()),
            (Some(&*theirs.name), theirs.namespace.as_deref())
        );
        assert_eq!(ours.operation.to_string(), json!(theirs.operation));

        let answer = rules().mutate(body.as_bytes());
        let read = as_kube_reads_it(&answer);
        assert!(read.allowed && read.uid == theirs.uid, "{read:?}");
        let patch = decided(&answer);
        assert_eq!(
            read.patch.is_some(),
            patch.get("patchType") == Some(&json!("JSONPatch")),
            "{body}"
        );
        assert_eq!(json!(read).get("patchType"), patch.get("patchType"));
        if let Some(patch) = read.patch {
            let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a patch");
            json_patch::patch(&mut object.clone(), &patch).expect("it applies");
        }

        let read = as_kube_reads_it(&rules().validate(body.as_bytes()));
        assert_eq!(read.uid, theirs.uid);
        assert_eq!(read.allowed, object != bad_node(), "{body}");
        if !read.allowed {
            let details = read.result.details.expect("details");
            assert_eq!((read.result.code, &*read.result.reason), (422, "Invalid"));
            assert_eq!(
                (&*details.name, &*details.group, &*details.kind),
                ("v1", "stellar.org", "StellarNode")
            );
            assert_eq!(details.causes[0].field, "spec.validatorConfig.peerPort");
            assert_eq!(details.causes[0].reason, "FieldValueInvalid");
        }
    }
}

#[test]
fn what_must_always_pass_does() {
    let bad = bad_node();
    let annotated = with(bad.clone(), "/metadata/finalizers", &json!([]));
    let leaving = with(
        bad.clone(),
        "/metadata/deletionTimestamp",
        &json!("2026-01-01T00:00:00Z"),
    );
    let mut status = request("UPDATE", &bad, &validator("v1"));
    status["request"]["subResource"] = json!("status");
    let mut unknown = request("CREATE", &bad, &Value::Null);
    unknown["request"]["kind"] = json!({ "group": "", "version": "v1", "kind": "Pod" });
    for review in [
        request("DELETE", &Value::Null, &bad),
        request("CONNECT", &Value::Null, &bad),
        request("UPDATE", &annotated, &bad),
        request("UPDATE", &leaving, &validator("v1")),
        status,
        unknown.clone(),
    ] {
        let body = review.to_string();
        for answer in [rules().validate(body.as_bytes()), rules().mutate(body.as_bytes())] {
            assert_eq!(decided(&answer)["allowed"], true, "{review}");
        }
    }
    assert!(
        validated(&unknown)["warnings"][0]
            .as_str()
            .unwrap()
            .contains("no rules for Pod")
    );
    assert!(rules().validate(unknown.to_string().as_bytes()).facts.unknown_kind);
    assert_eq!(validated(&request("UPDATE", &bad, &validator("v1")))["allowed"], false);
}

#[test]
fn an_update_of_metadata_alone_is_not_changed() {
    for old in [validator("v1"), stateful_set(&json!([{ "name": "core" }]))] {
        let patch = |new: &Value| {
            let body = request("UPDATE", new, &old).to_string();
            decided(&rules().mutate(body.as_bytes())).get("patch").cloned()
        };
        assert_eq!(patch(&with(old.clone(), "/metadata/finalizers", &json!(["a/b"]))), None);
        let mut changed = with(old.clone(), "/spec/version", &json!("2"));
        changed["spec"]["template"]["fieldOfTomorrow"] = json!(1);
        assert!(patch(&changed).is_some(), "{changed}");
    }
}

#[test]
fn an_annotation_that_becomes_wrong_is_refused() {
    let old = stateful_set(&json!([{ "name": "core" }]));
    let new = with(
        old.clone(),
        "/metadata/annotations",
        &json!({ "stellar.org/peer-port": "70000" }),
    );
    assert_eq!(validated(&request("UPDATE", &new, &old))["allowed"], false);
    let relabelled = with(new.clone(), "/metadata/labels/team", &json!("a"));
    assert_eq!(validated(&request("UPDATE", &relabelled, &new))["allowed"], true);
}

#[test]
fn a_sound_review_is_read_at_once() {
    for (operation, object, old) in [
        ("CREATE", validator("v1"), Value::Null),
        ("UPDATE", bad_node(), validator("v1")),
        ("DELETE", Value::Null, validator("v1")),
    ] {
        let body = request(operation, &object, &old).to_string();
        assert!(review::parse_at_once(&body).is_some(), "{body}");
    }
}
