//! The last rule for a StellarNode: the controller can read it.
//!
//! The API server holds an object to the schema, and the rules above to what they know; the controller reads it as a
//! type. What is let in and cannot be read would be a node that nobody manages.

use serde::Deserialize;
use serde_json::Value;

use crate::admission::validate::Verdict;
use crate::crd::{PodSettings, StellarNodeSpec};
use crate::kubernetes::field_error::FieldError;

/// Refuses a spec that cannot be read, by the first field that is why. A rule that has spoken of that field speaks
/// better.
pub(crate) fn check(spec: &Value, verdict: &mut Verdict) {
    if StellarNodeSpec::deserialize(spec).is_ok() {
        return;
    }
    // A flattened struct is read from a copy, which has no path: by itself it has one.
    let found = problem::<PodSettings>(spec).or_else(|| problem::<StellarNodeSpec>(spec));
    let Some((path, reason)) = found else {
        return;
    };
    let field = match path.as_str() {
        "." => "spec".to_owned(),
        path => format!("spec.{path}"),
    };
    let is_told = |error: &FieldError| {
        let rest = error.field.strip_prefix(&field);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    if field == "spec" || !verdict.errors.iter().any(is_told) {
        let message = format!("cannot be read: {reason}; see kubectl explain stellarnode.spec");
        verdict.error(FieldError::invalid(field, message));
    }
}

/// Which field of a spec cannot be read as part of `T`, and why.
fn problem<'a, T: Deserialize<'a>>(spec: &'a Value) -> Option<(String, String)> {
    let error = serde_path_to_error::deserialize::<_, T>(spec).err()?;
    Some((error.path().to_string(), error.inner().to_string()))
}
