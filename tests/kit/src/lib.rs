//! An operator of the test's own in a real cluster: one namespace, the shipped manifests, the shipped rights.
//!
//! The cluster comes from `STELLAR_TEST_KUBECONFIG` and from nowhere else; `make test` makes one and sets it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod cluster;
mod env;
mod load;
mod loss;
mod operator;
mod paths;
mod validators;
mod wait;

pub use cluster::{Audit, Calls, Cluster, History, Output, Recorder};
pub use env::{Options, Running, SecondNamespace, TestEnv, reason_of};
pub use load::{Counts, Load};
pub use loss::Loss;
pub use operator::{Balancer, Call, Fate, Operator, Pair, Proxy, free_port};
pub use paths::{operator_binary, root};
pub use validators::{EIGHT, FOUR, SIX, THREE, TWO, Validators};
pub use wait::{SOON, wait_for};
