//! What is promised too, and can only be tried while no other test uses the cluster: its CustomResourceDefinition is
//! changed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../promises/common/mod.rs"]
#[allow(dead_code, unused_imports, reason = "it also serves the promises")]
mod common;

mod definition_awaited;
mod unreadable_node;
