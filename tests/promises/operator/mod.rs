//! What the operator costs at rest, and what it shows of itself: log and metrics.

mod at_rest;
mod log;
mod metrics;
