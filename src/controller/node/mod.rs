//! One StellarNode: `read` what is stored → [`decide`] (pure) → `apply` the writes.
//!
//! `stored` and `write` are the data between these steps. `horizon_rpc` decides for a Horizon or SorobanRpc, `workload`
//! for the StatefulSet of a validator, `volume` for a volume claim, `orphan` for a pod whose StatefulSet was deleted.

pub(crate) mod apply;
pub mod decide;
#[cfg(test)]
mod decide_tests;
#[cfg(test)]
mod fixtures;
mod horizon_rpc;
#[cfg(test)]
mod horizon_rpc_tests;
mod orphan;
pub(crate) mod read;
pub mod stored;
pub mod volume;
mod workload;
pub mod write;
