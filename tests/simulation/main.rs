//! Rules R1–R8 in a simulated cluster: named situations, and arbitrary histories.
//!
//! `world` is what the API server holds, `kubelet` what Kubernetes does of itself, `view` how an operator sees it, and
//! `operator` what that then writes. `checks` says what always holds. `reconciles` plays the StellarNode controller.

#![allow(clippy::unwrap_used)]

mod checks;
mod clocks;
mod happenings;
mod histories;
mod kubelet;
mod members;
mod operator;
mod power_cuts;
mod reconciles;
mod rollouts;
mod tenants;
mod view;
mod world;
