//! The webhook's HTTPS server over real TLS on loopback: bad input, limits, certificate changes, and shutdown.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod client;
mod server;

mod bad_input;
mod certificates;
mod drain;
mod files;
mod limits;
