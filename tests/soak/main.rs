//! Long tests with the shipped waits: `make soak`, about eight minutes on its own control plane.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod five_minutes;
mod idle;
mod late_kubelets;
