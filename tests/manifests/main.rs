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

mod accepted;
mod alone;
mod deployed;
mod documented_commands;
mod lifecycle;
mod monitoring;
mod one_truth;
mod rendering;
mod values;
mod versions;
mod whole_cluster;
