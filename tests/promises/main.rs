//! What the README promises, on a real control plane: one file a promise, each test in a namespace of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

mod bad_ports;
mod config_map_content;
mod known_peers_reference;
mod left_alone;
mod peer_port_default;
mod rendered_config;
mod validator_joins;
mod validator_suspended;
