//! Which changes restart a validator, when, and in which order.

mod bad_version;
mod combined_changes;
mod disruption_budgets;
mod left_behind;
mod manual_mode;
mod no_restart_without_cause;
mod ordered_ready;
mod restarts_paused;
mod spec_changes;
