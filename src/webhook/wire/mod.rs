//! `AdmissionReview` in and out, and JSON in which no key is given twice.

pub mod response;
pub mod review;
pub(crate) mod strict_json;
