//! What the version of a stellar-core says of the keys that it knows.

use super::keys;

/// Which keys a stellar-core knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Those that are listed here, and no others.
    #[default]
    Listed,
    /// Others, too, perhaps: it is newer than the list, or of a version that says nothing.
    PerhapsMore,
}

impl Keys {
    /// Those of the stellar-core with this image tag.
    pub fn of(version: &str) -> Self {
        // The first number is the newest protocol that it knows.
        let protocol = release(version).and_then(|numbers| numbers.first().copied());
        match protocol {
            Some(protocol) if protocol <= keys::PROTOCOL => Self::Listed,
            Some(_) | None => Self::PerhapsMore,
        }
    }
}

/// The numbers that an image tag such as `26.0.1-3109.e78c97ed0.jammy` or `v26.0.1` begins with.
pub fn release(tag: &str) -> Option<Vec<u32>> {
    let numbers = tag.strip_prefix('v').unwrap_or(tag).split('-').next()?;
    numbers.split('.').map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_stellar_core_may_know_more() {
        for (version, expected) in [
            ("24.1.0", Keys::Listed),
            ("v22.0.0", Keys::Listed),
            ("26.0.1-3109.e78c97ed0.jammy", Keys::PerhapsMore),
            ("latest", Keys::PerhapsMore),
        ] {
            assert_eq!(Keys::of(version), expected, "{version}");
        }
    }
}
