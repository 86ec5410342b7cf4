//! The rules for StellarNodes and StatefulSets, one file a subject. Pure.
//!
//! `stellar_node`, `horizon_rpc` and `workload` are the rules for each kind of object, `readable` the last rule: the
//! controller can read what is let in.

pub(crate) mod disruption;
pub(crate) mod exclusivity;
#[cfg(test)]
mod exclusivity_tests;
pub(crate) mod history;
pub(crate) mod horizon_rpc;
pub(crate) mod key_source;
pub(crate) mod pod;
pub(crate) mod port;
pub(crate) mod readable;
#[cfg(test)]
mod readable_tests;
pub(crate) mod stellar_node;
pub(crate) mod storage;
pub(crate) mod url;
pub(crate) mod workload;
