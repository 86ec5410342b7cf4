//! Who belongs together, and what their list says. Pure.
//!
//! [`groups`] and [`agreement`] say who is a member, also across namespaces; [`links`] whether members can meet;
//! [`lists`] and [`budgets`] what the ConfigMap and the PodDisruptionBudget of a group hold.

pub mod agreement;
pub mod budgets;
pub mod groups;
#[cfg(test)]
mod groups_tests;
pub mod links;
pub mod lists;
