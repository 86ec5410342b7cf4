//! What is shipped to install the operator with: that the chart and the overlays are one, and that a real API server
//! takes them.
//!
//! helm and kubectl are those of `tests/tools` and `tests/cluster`, found in `PATH`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../promises/common/mod.rs"]
#[allow(dead_code, unused_imports, reason = "it also serves the promises")]
mod common;

mod accepted;
mod alone;
mod deployed;
mod lifecycle;
mod monitoring;
mod one_truth;
mod rendering;
mod typed;
mod values;
mod versions;
mod whole_cluster;
