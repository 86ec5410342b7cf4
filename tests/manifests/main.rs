//! The shipped manifests: the chart and the overlays are equal, and a real API server accepts them.
//!
//! The tests find helm and kubectl of `tests/tools` and `tests/cluster` in `PATH`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod accepted;
mod alone;
mod chart_equals_overlays;
mod deployed;
mod documented_commands;
mod gitops;
mod lifecycle;
mod monitoring;
mod rendering;
mod values;
mod versions;
mod whole_cluster;
