//! Writes that any part of the controller makes, each with a deadline and a precondition; why a write was not made.
//!
//! Nothing is decided here, and nothing is known of lists and slots: discovery has its own writes.

mod objects;
mod status;

use kube::api::{DeleteParams, PatchParams, PostParams, Preconditions};

use super::exclusivity::{Exclusive, InUse};
use super::resources::{BuildError, OtherOwner};
use crate::kubernetes::api::ApiError;

pub(super) use objects::applied;
pub use objects::{adopt, apply_object, change_metadata, check_owner, ensure, remove_owned, without_type};
pub use status::{raw_node, status, unreadable};

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server refused, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The objects of the StellarNode cannot be built.
    #[error("the objects of the StellarNode cannot be built")]
    Build(#[from] BuildError),
    /// What was built is not what the API takes: a defect of this program.
    #[error("the object does not have the shape of its kind")]
    Shape(#[from] serde_json::Error),
    /// Somebody else's object stands where one of ours should be.
    #[error("{0} is there and not managed by stellar-operator: rename or delete it")]
    NotOurs(String),
    /// An object that is ours by its label belongs to another owner.
    #[error("{object} belongs to {owner}")]
    Owned {
        /// Which object.
        object: String,
        /// Its owner.
        owner: OtherOwner,
    },
    /// What only one may use is another validator's.
    #[error("{} has the same {}", .0.holder, match .0.what { Exclusive::Seed => "seed", Exclusive::Database => "database" })]
    InUse(InUse),
    /// What was decided is about a spec or an object that is another by now: it is decided again.
    #[error("what was decided is out of date")]
    Outdated,
}

impl ApplyError {
    /// Whether somebody else wrote in between: decide again, and say nothing above DEBUG.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Api(error) => error.is_conflict() || error.code() == Some(404),
            Self::Outdated => true,
            Self::Build(_) | Self::Shape(_) | Self::NotOurs(_) | Self::Owned { .. } | Self::InUse(_) => false,
        }
    }
}

/// A merge patch by this manager.
pub(super) fn merge(manager: &str) -> PatchParams {
    PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    }
}

/// A server-side apply by this manager.
pub(super) fn server_side(manager: &str) -> PatchParams {
    PatchParams::apply(manager).force()
}

/// A create by this manager.
pub(super) fn created_by(manager: &str) -> PostParams {
    PostParams {
        field_manager: Some(manager.to_owned()),
        ..PostParams::default()
    }
}

/// A delete of just this object.
pub(super) fn only_uid(uid: &str) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            ..Preconditions::default()
        }),
        ..DeleteParams::default()
    }
}
