//! A field error in the form of the Kubernetes API.

use serde::Serialize;

use crate::util::text::{cut, plain};

/// Longest message in characters. A message may quote the author's text, which has no limit.
pub(crate) const LONGEST: usize = 1000;
/// Longest path in characters. A path may hold the name of a label.
const LONGEST_FIELD: usize = 400;

/// The machine-readable reason of a field error (`StatusCause`, apimachinery `meta/v1/types.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Reason {
    FieldValueInvalid,
    FieldValueRequired,
    FieldValueForbidden,
    FieldValueDuplicate,
}

/// A field error: what is wrong, which value was found, and which value to use.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct FieldError {
    pub reason: Reason,
    /// The message for people. It does not repeat the field.
    pub message: String,
    pub field: String,
}

impl FieldError {
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Reason::FieldValueInvalid, field, message)
    }

    pub fn required(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Reason::FieldValueRequired, field, message)
    }

    pub fn forbidden(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Reason::FieldValueForbidden, field, message)
    }

    pub fn duplicate(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Reason::FieldValueDuplicate, field, message)
    }

    fn new(reason: Reason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: cut(plain(&message.into()), LONGEST),
            field: cut(plain(&field.into()), LONGEST_FIELD),
        }
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}
