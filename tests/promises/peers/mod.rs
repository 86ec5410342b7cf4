//! The content of the list of peers, in the ConfigMap and in the `stellar-core.cfg` of each pod.

mod config_map_content;
mod dns_addresses;
mod list_damaged;
mod rendered_config;
