//! Helpers that depend on neither Kubernetes nor Stellar.

pub mod clock;
pub mod digest;
pub mod durations;
pub mod error_chain;
pub mod http;
pub(crate) mod retry;
pub mod survive;
pub mod telemetry;
pub mod text;
