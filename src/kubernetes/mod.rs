//! Kubernetes basics: call deadlines, names, quantities, field errors, and readers of stored objects.
//!
//! This module makes no decision and does not depend on peers.

pub mod api;
pub mod core_container;
pub mod field_error;
pub mod names;
#[cfg(test)]
pub(crate) mod played;
pub(crate) mod quantity;
pub mod stored;
