//! The image: its content, its revision, its SBOM, and its build if a builder exists.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod builder;
mod content;
mod packed;
mod parts;
mod revision;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
