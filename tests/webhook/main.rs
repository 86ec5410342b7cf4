//! The webhook's HTTPS server, called by a real API server, with a reviewer that allows everything.
//!
//! Each test has its own namespace and webhook configurations. The webhook runs with exactly the rights that it needs.
//! With two replicas, the mutating configuration points at one and the validating one at the other, so that both review
//! each created object.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod cluster;
mod replica;

mod certificates;
