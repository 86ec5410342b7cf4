//! Promises that change the CustomResourceDefinition, so that no other test may use the cluster meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod definition_awaited;
mod unreadable_node;
