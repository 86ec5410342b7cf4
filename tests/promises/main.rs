//! Tests of the README's promises on a real control plane: a folder for each feature, a file for each promise, and a
//! namespace for each test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod commands;
mod faults;
mod interference;
mod join;
mod operator;
mod peers;
mod rollout;
mod seeds;
mod webhook;
mod workloads;
