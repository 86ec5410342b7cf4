//! Writes a decision as an `AdmissionReview` response.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use serde::Serialize;
use serde_json::value::RawValue;

use super::review::{API_VERSION, KIND, Request};
use crate::kubernetes::field_error::{FieldError, LONGEST};
use crate::kubernetes::names::SUBDOMAIN_LIMIT;
use crate::util::text::{cut, plain};

const SPEAKER: &str = "(refused by the admission webhook of stellar-operator)";
/// Status code of a denial, the API server's own for an invalid object.
pub const UNPROCESSABLE: u16 = 422;
/// Most problems, and most warnings, of an answer. The API server shows some twenty warnings.
pub(crate) const MOST: usize = 50;
/// Approximate bytes of an answer without patch and warnings; the buffer then rarely grows.
const ENVELOPE: usize = 256;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    /// Quoted base64: already JSON, and the larger part of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Debug, Serialize)]
struct Status {
    status: &'static str,
    code: u16,
    reason: &'static str,
    message: String,
    details: Details,
}

#[derive(Debug, Serialize)]
struct Details {
    name: String,
    group: String,
    kind: String,
    causes: Vec<FieldError>,
}

impl Response {
    pub fn allow(uid: &str, warnings: Vec<String>) -> Self {
        Self {
            uid: uid.to_owned(),
            allowed: true,
            patch_type: None,
            patch: None,
            warnings: bounded_warnings(warnings),
            status: None,
        }
    }

    /// Allows the request with a change. An empty patch is no change.
    pub fn patched(uid: &str, patch: &Patch, warnings: Vec<String>) -> Result<Self, serde_json::Error> {
        let mut response = Self::allow(uid, warnings);
        if !patch.0.is_empty() {
            let mut quoted = "\"".to_owned();
            STANDARD.encode_string(serde_json::to_vec(patch)?, &mut quoted);
            quoted.push('"');
            response.patch = Some(RawValue::from_string(quoted)?);
            response.patch_type = Some("JSONPatch");
        }
        Ok(response)
    }

    /// Denies the request. Each problem is both in the message and a cause: `kubectl` prints only the causes, client
    /// libraries only the message. The API server prefixes the message with the webhook's name; a cause must name the
    /// webhook itself.
    pub fn deny(request: &Request<'_>, name: &str, errors: Vec<FieldError>, warnings: Vec<String>) -> Self {
        let errors = bounded_errors(errors);
        let name = cut(plain(name), SUBDOMAIN_LIMIT);
        let problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let kind = &request.kind;
        let subject = if kind.group.is_empty() {
            kind.kind.to_string()
        } else {
            format!("{}.{}", kind.kind, kind.group)
        };
        let mut response = Self::allow(&request.uid, warnings);
        response.allowed = false;
        response.status = Some(Status {
            status: "Failure",
            code: UNPROCESSABLE,
            reason: "Invalid",
            message: format!("{subject} {name:?} is invalid: {}", problems.join("; ")),
            details: Details {
                name,
                group: kind.group.to_string(),
                kind: kind.kind.to_string(),
                causes: errors
                    .into_iter()
                    .map(|error| FieldError {
                        message: format!("{} {SPEAKER}", error.message),
                        ..error
                    })
                    .collect(),
            },
        });
        response
    }

    pub fn allowed(&self) -> bool {
        self.allowed
    }

    /// `status.code` of a denial.
    pub fn code(&self) -> Option<u16> {
        self.status.as_ref().map(|status| status.code)
    }

    /// The `AdmissionReview` with this response, as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer<'a> {
            api_version: &'static str,
            kind: &'static str,
            response: &'a Response,
        }
        let patch = self.patch.as_ref().map_or(0, |patch| patch.get().len());
        let mut json = Vec::with_capacity(ENVELOPE + patch);
        let answer = Answer {
            api_version: API_VERSION,
            kind: KIND,
            response: self,
        };
        serde_json::to_writer(&mut json, &answer)?;
        Ok(json)
    }
}

/// The first errors, and the number of the others.
fn bounded_errors(mut errors: Vec<FieldError>) -> Vec<FieldError> {
    let more = errors.len().saturating_sub(MOST);
    if more > 0 {
        errors.truncate(MOST);
        let message = format!("there are {more} more problems: fix these first");
        errors.push(FieldError::invalid("spec", message));
    }
    errors
}

/// The first warnings, one line each, and the number of the others.
fn bounded_warnings(mut warnings: Vec<String>) -> Vec<String> {
    let more = warnings.len().saturating_sub(MOST);
    if more > 0 {
        warnings.truncate(MOST);
        warnings.push(format!("there are {more} more warnings"));
    }
    let shown = |warning| cut(plain(&one_line(cut(warning, LONGEST))), LONGEST);
    warnings.into_iter().map(shown).collect()
}

/// Replaces control characters: the API server silently drops a warning with a newline or tab.
pub(crate) fn one_line(warning: String) -> String {
    if warning.contains(char::is_control) {
        warning
            .split(char::is_control)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    } else {
        warning
    }
}
