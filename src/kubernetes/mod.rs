//! Kubernetes itself: deadlines of calls, names, quantities, problems of fields, what stored objects say.
//!
//! Knows nothing of peers and decides nothing.

pub mod api;
pub mod connection;
pub mod core_container;
pub mod field_error;
pub mod names;
#[cfg(test)]
pub(crate) mod played;
pub(crate) mod quantity;
pub mod stored;
