//! Faults that need a cluster of their own, or a minute: `make faults` runs them, and every other test that
//! docs/faults.md names. One after the other, for most of them take something from under everybody.

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
