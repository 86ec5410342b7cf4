//! What the README promises, on a real control plane: one file a promise, each test in a namespace of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

mod across_namespaces;
mod admission_cases;
mod adopted;
mod api_server_away;
mod at_rest;
mod bad_ports;
mod bad_version;
mod certificate_files;
mod config_command;
mod config_map_content;
mod disruption_budgets;
mod disturbed;
mod dns_addresses;
mod horizon_rpc;
mod killed_at_each_write;
mod known_peers_reference;
mod kubectl_behaves;
mod later_rules;
mod left_alone;
mod list_damaged;
mod log;
mod manual_mode;
mod metrics;
mod namespace_deleted;
mod networks_apart;
mod no_node_controller;
mod not_called;
mod one_pod;
mod one_rollout_for_all;
mod only_ca_bundle;
mod ordered_ready;
mod peer_port_default;
mod peers_command;
mod peers_rights;
mod pod_settings;
mod pods_deleted;
mod power_cut;
mod public_names;
mod rendered_config;
mod restarts_paused;
mod seed_from_driver;
mod seeds_stay;
mod slow_writes;
mod sole_use;
mod spec_changes;
mod stays_behind;
mod stood_in_the_way;
mod storage;
mod two_leaders;
mod two_replicas;
mod unlinked_mode;
mod validator_joins;
mod validator_suspended;
mod webhook_down;
