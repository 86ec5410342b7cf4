//! Parses and writes `AdmissionReview`, and JSON without duplicate keys.

pub mod response;
pub mod review;
pub(crate) mod strict_json;
