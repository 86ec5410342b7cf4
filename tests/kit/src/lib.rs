//! A test kit: each test gets its own operator in a real cluster, with one namespace, the shipped manifests and rights.
//!
//! Only `STELLAR_TEST_KUBECONFIG` names the cluster; `make test` creates a cluster and sets the variable.

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
