//! The operator's cost at rest, its log and its metrics.

mod at_rest;
mod log;
mod metrics;
