//! The webhook as the API server calls it, and what the API server then stores.

mod bad_ports;
mod ca_bundle_policy;
mod cases;
mod certificate_files;
mod known_peers_reference;
mod peer_port_default;
mod scope;
mod two_replicas;
mod webhook_down;
