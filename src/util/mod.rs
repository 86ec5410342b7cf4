//! Small helpers that know neither Kubernetes nor Stellar.

pub mod causes;
pub mod clock;
pub mod digest;
pub mod durations;
pub(crate) mod failures;
pub mod http;
pub mod survive;
pub mod telemetry;
pub mod text;
