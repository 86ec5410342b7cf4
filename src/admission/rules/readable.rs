//! The last rule for a StellarNode: the controller must be able to parse it.
//!
//! The API server checks the schema, and the other rules check raw JSON, but the controller parses a type. A node that
//! passes both and fails to parse would have no controller.

use serde::Deserialize;
use serde_json::Value;

use crate::admission::validate::Verdict;
use crate::crd::{PodSettings, StellarNodeSpec};
use crate::kubernetes::field_error::FieldError;

/// Refuses a spec that cannot be parsed and names the first bad field. If another rule already reports that field, its
/// error stays alone.
pub(crate) fn check(spec: &Value, verdict: &mut Verdict) {
    if StellarNodeSpec::deserialize(spec).is_ok() {
        return;
    }
    // serde gives no path inside a flattened struct, so `PodSettings` is parsed separately.
    let found = problem::<PodSettings>(spec).or_else(|| problem::<StellarNodeSpec>(spec));
    let Some((path, reason)) = found else {
        return;
    };
    let field = match path.as_str() {
        "." => "spec".to_owned(),
        path => format!("spec.{path}"),
    };
    let is_reported = |error: &FieldError| {
        let rest = error.field.strip_prefix(&field);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    if field == "spec" || !verdict.errors.iter().any(is_reported) {
        let message = format!("cannot be read: {reason}; see kubectl explain stellarnode.spec");
        verdict.error(FieldError::invalid(field, message));
    }
}

/// The first field of a spec that does not parse as `T`, with the reason.
fn problem<'a, T: Deserialize<'a>>(spec: &'a Value) -> Option<(String, String)> {
    let error = serde_path_to_error::deserialize::<_, T>(spec).err()?;
    Some((error.path().to_string(), error.inner().to_string()))
}
