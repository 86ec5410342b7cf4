//! Decides a review: handles requests that always pass, and calls the rules for the rest.
//!
//! Deletes, requests for a subresource, updates that change nothing the rules check, and updates of an object that is
//! being deleted always pass. So the webhook never blocks the removal of an object.

use serde_json::Value;

use super::context::Context;
use super::mutate::{Mutation, mutate};
use super::validate::validate;
use crate::labels;
use crate::webhook::wire::response::Response;
use crate::webhook::wire::review::{BadReview, Operation, Request, Review};

/// Answers a review to `/mutate`.
pub fn decide_mutate(review: &mut Review<'_>, context: &dyn Context) -> Result<Response, BadReview> {
    let request = &mut review.request;
    let Some((object, old)) = subject(request)? else {
        return Ok(pass(request));
    };
    let Mutation { patch, warnings } = mutate(&object, old.as_ref(), context);
    Response::patched(&request.uid, &patch, warnings).map_err(BadReview::Json)
}

/// Answers a review to `/validate`.
pub fn decide_validate(review: &mut Review<'_>, context: &dyn Context) -> Result<Response, BadReview> {
    let request = &mut review.request;
    let Some((object, old)) = subject(request)? else {
        return Ok(pass(request));
    };
    let verdict = validate(&object, old.as_ref(), context);
    if verdict.passes() {
        return Ok(Response::allow(&request.uid, verdict.warnings));
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Ok(Response::deny(request, name, verdict.errors, verdict.warnings))
}

/// The new object and the stored one; `None` if the request always passes.
fn subject(request: &mut Request<'_>) -> Result<Option<(Value, Option<Value>)>, BadReview> {
    let decides = matches!(request.operation, Operation::Create | Operation::Update);
    if !decides || !request.is_whole_object() || !is_known(request) {
        return Ok(None);
    }
    let mut object = request.take_object()?;
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Ok(None);
    }
    let old = request.take_old_object()?;
    if old.as_ref().is_some_and(|old| is_untouched(&object, old)) {
        return Ok(None);
    }
    // On a create, the object may omit the namespace of the request.
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let (Some(namespace), Some(metadata)) = (&request.namespace, metadata) {
        metadata
            .entry("namespace")
            .or_insert_with(|| Value::from(namespace.as_ref()));
    }
    Ok(Some((object, old)))
}

/// Whether the rules cover objects of this kind.
pub(super) fn is_known(request: &Request<'_>) -> bool {
    matches!(
        (request.kind.group.as_ref(), request.kind.kind.as_ref()),
        (labels::GROUP, labels::KIND) | ("apps", "StatefulSet")
    )
}

fn pass(request: &Request<'_>) -> Response {
    let warnings = if is_known(request) {
        Vec::new()
    } else {
        vec![format!(
            "stellar-operator has no rules for {} {:?}: its webhook configuration should not send them",
            request.kind.kind, request.kind.group
        )]
    };
    Response::allow(&request.uid, warnings)
}

/// Whether an update keeps everything that the rules check: the spec, and the annotation with the peer port.
fn is_untouched(object: &Value, old: &Value) -> bool {
    let port = |object: &Value| object["metadata"]["annotations"][labels::PEER_PORT].clone();
    object["spec"] == old["spec"] && (object["kind"] == labels::KIND || port(object) == port(old))
}
