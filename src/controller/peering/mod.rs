//! Peer groups and their peer lists. Pure.
//!
//! [`groups`] and [`agreement`] form the groups and find their members, also across namespaces. [`links`] checks
//! whether the members can connect. [`lists`] and [`budgets`] plan the ConfigMap and the PodDisruptionBudget of a
//! group.

pub mod agreement;
#[cfg(test)]
mod agreement_tests;
pub mod budgets;
pub mod groups;
#[cfg(test)]
mod groups_tests;
pub mod links;
pub mod lists;
