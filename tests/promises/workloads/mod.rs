//! The objects that the StellarNode controller builds: StatefulSets, Deployments, volumes, pods.

mod adoption;
mod horizon_rpc;
mod invalid_stored_spec;
mod name_conflicts_and_quota;
mod no_node_controller;
mod one_pod;
mod pod_blocked;
mod pod_settings;
mod volumes;
