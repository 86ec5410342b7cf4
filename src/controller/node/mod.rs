//! One StellarNode: the objects of Horizon and Stellar RPC, the volume claim, a pod that outlived its StatefulSet.
//!
//! `workload` decides what a reconcile does to a StatefulSet that is there.

pub(crate) mod orphan;
pub(crate) mod server;
pub(crate) mod volume;
pub(crate) mod workload;
