//! The rules for StellarNodes and StatefulSets, one file per subject. Pure.
//!
//! `stellar_node`, `horizon_rpc` and `workload` hold the rules for each kind of object. `readable` is the last rule: it
//! refuses a node that the controller could not parse.

pub(crate) mod disruption;
pub(crate) mod exclusivity;
#[cfg(test)]
mod exclusivity_tests;
pub(crate) mod history;
pub(crate) mod horizon_rpc;
pub(crate) mod key_source;
pub(crate) mod network;
pub(crate) mod pod;
pub(crate) mod port;
pub(crate) mod readable;
#[cfg(test)]
mod readable_tests;
pub(crate) mod stellar_node;
pub(crate) mod storage;
pub(crate) mod url;
pub(crate) mod workload;
