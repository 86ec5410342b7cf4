//! Parsers of durations on the command line.

use std::str::FromStr as _;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};

/// The longest lifetime of a certificate.
const LONGEST_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 36_500);
/// The shortest lifetime of a certificate; tests use it.
const SHORTEST_LIFETIME: SignedDuration = SignedDuration::from_secs(3);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotADuration {
    #[error("{0:?} is not a time: write a number and a unit, such as 250ms, 30s or 5m")]
    Unreadable(String),
    #[error("{0:?} is not a lifetime: write for example 90d, 12h or 30s")]
    NoLifetime(String),
    #[error("must be between 3 s and 36500 days")]
    Lifetime,
    /// `leaseDurationSeconds` cannot hold this duration.
    #[error("must be whole seconds, from 1s to 1h")]
    Lease,
}

/// Parses a duration such as `250ms`, `30s`, `5m` or `2h`.
pub fn duration(text: &str) -> Result<Duration, NotADuration> {
    SignedDuration::from_str(text)
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| NotADuration::Unreadable(text.to_owned()))
}

/// Parses the lifetime of a certificate, such as `90d` or `12h`. A day has 24 hours.
pub fn lifetime(text: &str) -> Result<SignedDuration, NotADuration> {
    let span = Span::from_str(text).and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    let lifetime = span.map_err(|_| NotADuration::NoLifetime(text.to_owned()))?;
    if (SHORTEST_LIFETIME..=LONGEST_LIFETIME).contains(&lifetime) {
        Ok(lifetime)
    } else {
        Err(NotADuration::Lifetime)
    }
}

/// Parses the duration of a Lease. `leaseDurationSeconds` is a whole number.
pub fn lease_duration(text: &str) -> Result<Duration, NotADuration> {
    let duration = duration(text)?;
    if duration.subsec_nanos() == 0 && (1..=3600).contains(&duration.as_secs()) {
        Ok(duration)
    } else {
        Err(NotADuration::Lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for wrong in ["", "5", "-1s", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_durations_that_a_lease_can_hold_are_taken() {
        assert_eq!(lease_duration("15s"), Ok(Duration::from_secs(15)));
        for wrong in ["0s", "500ms", "1500ms", "2h", "soon"] {
            assert!(lease_duration(wrong).is_err(), "{wrong}");
        }
    }
}
