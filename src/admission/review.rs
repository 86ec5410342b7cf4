//! The wire: `AdmissionReview` of `admission.k8s.io/v1`, in and out.
//!
//! The envelope is borrowed from the body and the object in it stays raw JSON, so that fields of API versions newer than
//! ours pass through unharmed. Nothing here knows what a StellarNode is.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::field_error::FieldError;
use super::strict_json::Strict;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";
/// Ends every cause.
const SPEAKER: &str = "(refused by the admission webhook of stellar-operator)";
/// Longest sentence about a body that is no review: it repeats parts of the body.
const SENTENCE: usize = 500;
/// HTTP status of a denial, as the API server gives it for an invalid object.
pub const UNPROCESSABLE: u16 = 422;

/// Why a body is no review that can be decided; each is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum BadReview {
    /// The body is not text.
    #[error("the body is not UTF-8: send an AdmissionReview as JSON")]
    Utf8(#[from] std::str::Utf8Error),
    /// The body is not JSON, or not of the shape of a review.
    #[error("the body is not an AdmissionReview: {0}")]
    Json(#[source] serde_json::Error),
    /// The body is JSON of another form.
    #[error("the body is not a JSON object: send an {KIND}")]
    NotObject,
    /// The body is JSON of another kind.
    #[error("the kind is {0:?}: send an {KIND}")]
    Kind(String),
    /// The body is a review of another version.
    #[error("the apiVersion is {0:?}: this webhook speaks {API_VERSION}")]
    Version(String),
    /// The review asks nothing.
    #[error("the review has no request")]
    NoRequest,
    /// The answer could not be told from others.
    #[error("request.uid is empty")]
    NoUid,
    /// The object to decide on is absent.
    #[error("request.{0} is absent, which {1} needs")]
    NoObject(&'static str, Operation),
    /// The object is JSON of another form.
    #[error("request.{0} is not a JSON object")]
    ObjectForm(&'static str),
    /// The object is not what the request says that it is: by whose rules would it be judged?
    #[error("request.{field} is of kind {found:?}, and request.kind says {said:?}")]
    ObjectKind {
        /// Which object.
        field: &'static str,
        /// What the object says.
        found: String,
        /// What the request says.
        said: String,
    },
    /// The object is JSON that cannot be read, for example nested too deeply or with one key twice.
    #[error("request.{0} cannot be read: {1}")]
    Object(&'static str, #[source] serde_json::Error),
}

impl BadReview {
    /// The sentence, in one line of bounded length, whatever the body said.
    pub fn sentence(&self) -> String {
        one_line(self.to_string()).chars().take(SENTENCE).collect()
    }
}

/// A review whose envelope is sound.
#[derive(Debug)]
pub struct Review<'a> {
    /// What is asked.
    pub request: Request<'a>,
}

/// The part of `request` that is needed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// Goes back in the response.
    #[serde(borrow, default)]
    pub uid: Cow<'a, str>,
    /// What kind of object it is.
    #[serde(borrow, default)]
    pub kind: GroupVersionKind<'a>,
    /// `status`, `scale` and the like; absent or empty for the object itself.
    #[serde(borrow, default)]
    pub sub_resource: Option<Cow<'a, str>>,
    /// Name of the object; empty on a create with `generateName`.
    #[serde(borrow, default)]
    pub name: Option<Cow<'a, str>>,
    /// Namespace of the object.
    #[serde(borrow, default)]
    pub namespace: Option<Cow<'a, str>>,
    /// What is to be done.
    pub operation: Operation,
    /// The object as it would be stored; null on a delete.
    #[serde(borrow, default)]
    pub object: Option<&'a RawValue>,
    /// The object as it is stored; null on a create.
    #[serde(borrow, default)]
    pub old_object: Option<&'a RawValue>,
}

/// Group, version and kind of an object.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct GroupVersionKind<'a> {
    /// API group; empty for the core group.
    #[serde(borrow, default)]
    pub group: Cow<'a, str>,
    /// Version in the group.
    #[serde(borrow, default)]
    pub version: Cow<'a, str>,
    /// Kind, in the singular.
    #[serde(borrow, default)]
    pub kind: Cow<'a, str>,
}

/// What a request does.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// A new object.
    Create,
    /// A change of a stored object.
    Update,
    /// The end of an object.
    Delete,
    /// A call through an object, `exec` and the like.
    Connect,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    request: Option<&'a RawValue>,
}

/// Reads the envelope of a review.
///
/// # Errors
/// When the body is no review of the one version there is, or lacks what an answer needs.
pub fn parse(body: &[u8]) -> Result<Review<'_>, BadReview> {
    let text = std::str::from_utf8(body)?;
    // The request is read only once the envelope says that it is one: else its shape would be blamed for a wrong kind.
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(BadReview::Json)?;
    // serde reads a struct from a list, too.
    if !text.trim_start().starts_with('{') {
        return Err(BadReview::NotObject);
    }
    if envelope.kind != KIND {
        return Err(BadReview::Kind(envelope.kind.into_owned()));
    }
    if envelope.api_version != API_VERSION {
        return Err(BadReview::Version(envelope.api_version.into_owned()));
    }
    let is_object = |raw: &&RawValue| raw.get().starts_with('{');
    let request = envelope.request.filter(is_object).ok_or(BadReview::NoRequest)?;
    let request: Request<'_> = serde_json::from_str(request.get()).map_err(BadReview::Json)?;
    if request.uid.is_empty() {
        return Err(BadReview::NoUid);
    }
    Ok(Review { request })
}

impl Request<'_> {
    /// The object as it would be stored.
    ///
    /// # Errors
    /// When it is absent, cannot be read, or is of another kind than the request says.
    pub fn object(&self) -> Result<Value, BadReview> {
        self.read("object", self.object)
    }

    /// The object as it is stored, on an update.
    ///
    /// # Errors
    /// When it is an update and the object is absent, cannot be read, or is of another kind than the request says.
    pub fn old_object(&self) -> Result<Option<Value>, BadReview> {
        if self.operation == Operation::Update {
            self.read("oldObject", self.old_object).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Whether the request is about the object itself, not about `status`, `scale` or another part of it.
    pub fn is_whole_object(&self) -> bool {
        self.sub_resource.as_deref().is_none_or(str::is_empty)
    }

    fn read(&self, field: &'static str, raw: Option<&RawValue>) -> Result<Value, BadReview> {
        let raw = raw.ok_or(BadReview::NoObject(field, self.operation))?;
        let Strict(object) = serde_json::from_str(raw.get()).map_err(|error| BadReview::Object(field, error))?;
        if !object.is_object() {
            return Err(BadReview::ObjectForm(field));
        }
        let found = object["kind"].as_str().unwrap_or_default();
        if found != self.kind.kind {
            return Err(BadReview::ObjectKind {
                field,
                found: found.to_owned(),
                said: self.kind.kind.to_string(),
            });
        }
        Ok(object)
    }
}

/// A decision, ready to be written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
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
    /// Lets the request pass.
    pub fn allow(uid: &str, warnings: Vec<String>) -> Self {
        Self {
            uid: uid.to_owned(),
            allowed: true,
            patch_type: None,
            patch: None,
            warnings: warnings.into_iter().map(one_line).collect(),
            status: None,
        }
    }

    /// Lets the request pass with a change; an empty patch is none.
    ///
    /// # Errors
    /// When the patch cannot be written as JSON.
    pub fn patched(uid: &str, patch: &Patch, warnings: Vec<String>) -> Result<Self, serde_json::Error> {
        let mut response = Self::allow(uid, warnings);
        if !patch.0.is_empty() {
            response.patch = Some(STANDARD.encode(serde_json::to_vec(patch)?));
            response.patch_type = Some("JSONPatch");
        }
        Ok(response)
    }

    /// Refuses the request, with every problem in the message and in a cause of its own: `kubectl` prints only the causes,
    /// client libraries only the message. The API server puts the webhook's name before the message; a cause has to say by
    /// itself who speaks.
    pub fn deny(request: &Request<'_>, name: &str, errors: Vec<FieldError>, warnings: Vec<String>) -> Self {
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
                name: name.to_owned(),
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

    /// Whether the request passes.
    pub fn allowed(&self) -> bool {
        self.allowed
    }

    /// `status.code` of a denial.
    pub fn code(&self) -> Option<u16> {
        self.status.as_ref().map(|status| status.code)
    }

    /// The review that answers, as JSON.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer<'a> {
            api_version: &'static str,
            kind: &'static str,
            response: &'a Response,
        }
        serde_json::to_vec(&Answer {
            api_version: API_VERSION,
            kind: KIND,
            response: self,
        })
    }
}

/// A warning that holds a newline or tab vanishes silently in the API server: a warning is one line.
fn one_line(warning: String) -> String {
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
