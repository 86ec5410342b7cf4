//! The rule for a validator's peer port.

use crate::admission::validate::Verdict;
use crate::kubernetes::field_error::FieldError;
use crate::labels;

/// Checks the peer port in `field`; `found` is its text there.
pub(crate) fn check(field: &str, number: Option<i64>, found: &str, verdict: &mut Verdict) {
    match number {
        Some(number) if number == i64::from(labels::HTTP_PORT) => verdict.error(FieldError::invalid(
            field,
            format!("{found} is stellar-core's HTTP port: write another peer port, for example 11625"),
        )),
        Some(number @ 1..=65535) => {
            if number < 1024 {
                verdict.warn(format!(
                    "{field}: {found} is below 1024; whether a non-root process can bind it depends on the node: 11625 is safe"
                ));
            }
        }
        _ => verdict.error(FieldError::invalid(
            field,
            format!("{found} is not a port: write a whole number from 1 to 65535, for example 11625"),
        )),
    }
}
