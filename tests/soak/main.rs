//! What only time shows, with the waits that are shipped: `make soak`, some eight minutes on a control plane of its
//! own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod five_minutes;
mod idle;
mod late_kubelets;
