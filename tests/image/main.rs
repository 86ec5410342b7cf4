//! The image: what is in it, which revision it says it is, what it is made of, and that it is built where that is
//! possible.

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
