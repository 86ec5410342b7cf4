//! What is promised too, and can only be tried while no other test uses the cluster: its CustomResourceDefinition is
//! changed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod definition_awaited;
mod unreadable_node;
