//! The promises of every answer of the webhook, for any input.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_patch::{Patch, PatchOperation};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use stellar_k8s::admission::reviewer::Rules;
use stellar_k8s::labels;
use stellar_k8s::webhook::reviewer::{Answer, Reviewer};

/// The path of the annotation with the peer port.
const PEER_PORT: &str = "/metadata/annotations/stellar.org~1peer-port";

/// The outcome of one body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The body was a review and was decided.
    pub(crate) readable: bool,
    /// `/mutate` changed the object.
    pub(crate) patched: bool,
    /// `/validate` refused the object.
    pub(crate) denied: bool,
    /// One of the two answers had a warning.
    pub(crate) warned: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Reply {
    api_version: String,
    kind: String,
    response: Response,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Response {
    uid: String,
    allowed: bool,
    patch: Option<String>,
    patch_type: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    status: Option<Value>,
}

/// Sends this body to both paths, and then the patched review again.
pub(crate) fn keep(rules: &Rules, body: &[u8]) -> Result<Outcome, TestCaseError> {
    let (mutated, validated) = (rules.mutate(body), rules.validate(body));
    prop_assert_eq!(
        mutated.status,
        validated.status,
        "both paths accept or refuse the same body"
    );
    if mutated.status != 200 {
        no_review(&mutated)?;
        no_review(&validated)?;
        return Ok(Outcome::default());
    }
    let (mutated, validated) = (response(&mutated)?, response(&validated)?);
    let request = parts(parts(body)?["request"].get())?;
    let uid: String = serde_json::from_str(request["uid"].get()).map_err(fail)?;
    prop_assert_eq!(&mutated.uid, &uid);
    prop_assert_eq!(&validated.uid, &uid);
    prop_assert!(mutated.allowed, "only validation refuses");
    prop_assert!(validated.patch.is_none(), "only mutation changes");
    if let Some(patch) = &mutated.patch {
        let completed = complete(body, patch)?;
        let again = rules.mutate(&completed);
        prop_assert_eq!(again.status, 200);
        let again = response(&again)?;
        prop_assert!(
            again.patch.is_none(),
            "a second mutation changes {}",
            patch_text(&again)
        );
        let judged = rules.validate(&completed);
        prop_assert_eq!(judged.status, 200);
        let judged = response(&judged)?;
        prop_assert!(
            judged.allowed || !validated.allowed,
            "an accepted review is refused after the patch {}: {:?}",
            patch_text(&mutated),
            judged.status
        );
    }
    Ok(Outcome {
        readable: true,
        patched: mutated.patch.is_some(),
        denied: !validated.allowed,
        warned: !mutated.warnings.is_empty() || !validated.warnings.is_empty(),
    })
}

fn fail(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

/// Checks the answer to a body that is no review: one sentence and no decision.
fn no_review(answer: &Answer) -> Result<(), TestCaseError> {
    prop_assert_eq!(answer.status, 400);
    prop_assert_eq!(answer.facts.allowed, None);
    let said = std::str::from_utf8(&answer.body).map_err(fail)?;
    prop_assert!(
        !said.is_empty() && said.len() <= 2000 && !said.contains(char::is_control),
        "{said:?}"
    );
    Ok(())
}

/// Reads a decision as the API server does, and checks the API server's requirements.
fn response(answer: &Answer) -> Result<Response, TestCaseError> {
    let reply: Reply = serde_json::from_slice(&answer.body).map_err(fail)?;
    prop_assert_eq!(reply.api_version, "admission.k8s.io/v1");
    prop_assert_eq!(reply.kind, "AdmissionReview");
    let response = reply.response;
    prop_assert_eq!(
        response.patch_type.as_deref(),
        response.patch.as_ref().map(|_| "JSONPatch"),
        "there is a patch type exactly if there is a patch"
    );
    prop_assert_eq!(response.status.is_none(), response.allowed);
    if let Some(status) = &response.status {
        prop_assert_eq!(&status["code"], 422);
        prop_assert!(status["message"].as_str().is_some_and(|message| !message.is_empty()));
        let causes = status["details"]["causes"].as_array();
        prop_assert!(causes.is_some_and(|causes| !causes.is_empty()));
        for cause in causes.into_iter().flatten() {
            let named = |field: &str| cause[field].as_str().is_some_and(|text| !text.is_empty());
            prop_assert!(named("field") && named("message") && named("reason"), "{cause}");
        }
    }
    for warning in &response.warnings {
        prop_assert!(
            !warning.is_empty() && !warning.contains(char::is_control),
            "{warning:?}"
        );
    }
    prop_assert_eq!(answer.facts.allowed, Some(response.allowed));
    Ok(response)
}

fn patch_text(response: &Response) -> String {
    let patch = response.patch.as_ref().and_then(|patch| STANDARD.decode(patch).ok());
    String::from_utf8(patch.unwrap_or_default()).unwrap_or_default()
}

type Parts = BTreeMap<String, Box<RawValue>>;

fn parts(json: impl AsRef<[u8]>) -> Result<Parts, TestCaseError> {
    serde_json::from_slice(json.as_ref()).map_err(fail)
}

/// Removes the managedFields of an object, which the webhook skips: only they may have a number that `Value` cannot
/// hold.
fn without_managed_fields(object: &RawValue) -> Result<Box<RawValue>, TestCaseError> {
    let mut object = parts(object.get())?;
    if let Some(metadata) = object.get_mut("metadata")
        && let Ok(mut fields) = parts(metadata.get())
    {
        fields.remove("managedFields");
        *metadata = to_raw_value(&fields).map_err(fail)?;
    }
    to_raw_value(&object).map_err(fail)
}

/// The review after the API server has applied the patch.
fn complete(body: &[u8], patch: &str) -> Result<Vec<u8>, TestCaseError> {
    let patch: Patch = serde_json::from_slice(&STANDARD.decode(patch).map_err(fail)?).map_err(fail)?;
    prop_assert!(!patch.0.is_empty(), "the patch is not empty");
    for operation in &patch.0 {
        prop_assert!(is_ours(operation), "{operation}");
    }
    let mut review = parts(body)?;
    let mut request = parts(review["request"].get())?;
    let before: Value = serde_json::from_str(without_managed_fields(&request["object"])?.get()).map_err(fail)?;
    let mut object = before.clone();
    json_patch::patch(&mut object, &patch).map_err(fail)?;
    let mut kept = before;
    if patch.0.iter().any(|operation| operation.path().as_str() == PEER_PORT) {
        // The annotation may change together with the port.
        kept["metadata"]["annotations"][labels::PEER_PORT] = Value::Null;
    }
    prop_assert!(is_kept(&kept, &object), "{patch} changes an existing value");
    request.insert("object".to_owned(), to_raw_value(&object).map_err(fail)?);
    // Write both objects again, as the API server does: otherwise a number could differ in its last digit.
    if let Some(old) = request.get_mut("oldObject")
        && let Ok(stored) = serde_json::from_str::<Value>(old.get())
    {
        *old = to_raw_value(&stored).map_err(fail)?;
    }
    review.insert("request".to_owned(), to_raw_value(&request).map_err(fail)?);
    serde_json::to_vec(&review).map_err(fail)
}

/// Whether an operation adds one of the webhook's values at its place.
fn is_ours(operation: &PatchOperation) -> bool {
    let PatchOperation::Add(operation) = operation else {
        return false;
    };
    let path = operation.path.as_str();
    let in_container = || {
        let place = path.strip_prefix("/spec/template/spec/containers/")?;
        let (index, list) = place.split_once('/')?;
        Some(index.parse::<usize>().is_ok() && ["env", "env/-", "ports", "ports/-"].contains(&list))
    };
    [
        "/spec/validatorConfig/peerPort",
        "/spec/validatorConfig/knownPeersRef",
        "/metadata/annotations",
        PEER_PORT,
    ]
    .contains(&path)
        || in_container().unwrap_or_default()
}

/// Whether `after` has everything of `before` unchanged. Null counts as absent, as in Kubernetes.
fn is_kept(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Null, _) => true,
        (Value::Object(before), Value::Object(after)) => before
            .iter()
            .all(|(key, value)| after.get(key).is_some_and(|other| is_kept(value, other))),
        (Value::Array(before), Value::Array(after)) => {
            before.len() <= after.len() && before.iter().zip(after).all(|(value, other)| is_kept(value, other))
        }
        _ => before == after,
    }
}
