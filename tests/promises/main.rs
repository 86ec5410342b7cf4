//! What the README promises, on a real control plane: a folder for each feature, one file for each promise, each test
//! in a namespace of its own.

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
