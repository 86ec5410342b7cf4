//! The webhook's HTTPS side on a real API server, with a reviewer that allows everything.
//!
//! Each test has a namespace and webhook configurations of its own. The webhook runs with the rights that it needs and
//! no others. Where there are two replicas, the mutating configuration points at one and the validating one at the
//! other, so that each object that is created has been through both.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod cluster;
mod replica;

mod certificates;
