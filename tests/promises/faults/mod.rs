//! Faults that tests can cause on a shared control plane. `tests/faults` has the others.

mod api_server_away;
mod killed_at_each_write;
mod namespace_deleted;
mod pods_deleted;
mod power_cut;
mod slow_writes;
mod two_leaders;
