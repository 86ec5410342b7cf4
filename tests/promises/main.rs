//! What the README promises, on a real control plane: one file a promise, each test in a namespace of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

mod admission_cases;
mod bad_ports;
mod bad_version;
mod config_map_content;
mod known_peers_reference;
mod later_rules;
mod left_alone;
mod list_damaged;
mod networks_apart;
mod peer_port_default;
mod pods_deleted;
mod power_cut;
mod rendered_config;
mod unlinked_mode;
mod validator_joins;
mod validator_suspended;
