//! Tests of rules R1–R8 in a simulated cluster: named situations and random histories.
//!
//! `world` holds the objects of the API server, `kubelet` simulates Kubernetes, `view` makes the operator's snapshots,
//! and `operator` executes its writes. `checks` has the invariants. `reconciles` simulates the StellarNode controller.

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
