//! Writes that any part of the controller makes, each with a deadline and a precondition.
//!
//! Nothing is decided here. The writes of lists and slots are in `discovery`. A conflict means that the object changed,
//! came or went after it was read.

mod objects;
mod status;

use super::resources::{BuildError, Obstacle};
use crate::kubernetes::api::ApiError;

pub(super) use objects::{apply_object, apply_object_with, ensure};
pub use status::{StatusPatcher, recorder};

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server refused, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("the objects of the StellarNode cannot be built")]
    Build(#[from] BuildError),
    /// What was built is not what the API takes: a defect of this program.
    #[error("the object does not have the shape of its kind")]
    Shape(#[from] serde_json::Error),
    /// An object of another owner has the name of one of ours.
    #[error(transparent)]
    InTheWay(#[from] Obstacle),
    /// The spec or the object changed after the decision was made: it is made again.
    #[error("the decision is out of date")]
    Outdated,
}

impl ApplyError {
    /// Whether another writer was first: decide again, and log it at DEBUG.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Api(error) => error.is_conflict() || error.code() == Some(404),
            Self::Outdated => true,
            Self::Build(_) | Self::Shape(_) | Self::InTheWay(_) => false,
        }
    }
}
