//! One problem of one field, in the words of the Kubernetes API.

use serde::Serialize;

use crate::util::text::{cut, plain};

/// Characters of the longest message: it may quote what the author wrote, of any length.
pub(crate) const LONGEST: usize = 1000;
/// Characters of the longest path, which may hold the name of a label.
const LONGEST_FIELD: usize = 400;

/// What is wrong with a field, for programs (`StatusCause`, apimachinery `meta/v1/types.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Reason {
    /// The value cannot work.
    FieldValueInvalid,
    /// The value is absent and needed.
    FieldValueRequired,
    /// The value must be absent, or must not change.
    FieldValueForbidden,
    /// The value is used elsewhere and must be used once.
    FieldValueDuplicate,
}

/// A problem: what is wrong, what was found, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct FieldError {
    /// What is wrong, for programs.
    pub reason: Reason,
    /// What is wrong and what to write instead, for people; does not repeat the field.
    pub message: String,
    /// The field, as a path in the object.
    pub field: String,
}

impl FieldError {
    /// The value of a field cannot work.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Reason::FieldValueInvalid, field, message)
    }

    /// A field is absent and needed.
    pub fn required(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Reason::FieldValueRequired, field, message)
    }

    /// A field must be absent, or must not change.
    pub fn forbidden(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Reason::FieldValueForbidden, field, message)
    }

    /// The value of a field is used elsewhere and must be used once.
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
