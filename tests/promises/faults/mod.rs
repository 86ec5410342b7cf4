//! Faults that need no control plane of their own; those that do are in `tests/faults`.

mod api_server_away;
mod killed_at_each_write;
mod namespace_deleted;
mod pods_deleted;
mod power_cut;
mod slow_writes;
mod two_leaders;
