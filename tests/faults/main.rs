//! Faults that need their own cluster or a minute. `make faults` runs them and every other test that docs/faults.md
//! names. They run one by one, because most of them disturb the whole cluster.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod certificate_expired;
mod component;
mod control_plane;
mod definition_removed;
mod etcd_restored;
mod four;
mod objects;
mod operator_stopped;
mod pods;
mod rights_removed;
