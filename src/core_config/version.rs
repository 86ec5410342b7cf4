//! The configuration keys that a version of stellar-core knows.

use std::fmt;

use super::keys;

/// The keys of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// All keys of the listed releases: no version is given, as in a pod of an older operator, whose stellar-core
    /// already runs.
    #[default]
    Listed,
    /// Perhaps more than the listed keys: the version is not a number, such as `latest`.
    PerhapsMore,
    /// The keys of this release, or of the listed one before it. A release newer than the list may know more.
    Of {
        release: Release,
        /// Whether it is a test build, which knows more keys.
        tests: bool,
    },
}

impl Keys {
    /// The keys of a stellar-core with this image tag.
    pub fn of(version: &str) -> Self {
        match Release::of(version) {
            None => Self::PerhapsMore,
            Some(release) if keys::releases().first().is_some_and(|first| release < *first) => Self::Listed,
            Some(release) => Self::Of {
                release,
                // The tag suffixes of stellar-core's docker/setup.
                tests: version.contains("buildtests") || version.contains("perftests"),
            },
        }
    }

    /// Whether this version knows the key; `None` if unknown.
    pub fn knows(self, key: &str) -> Option<bool> {
        match (self, keys::judge(key, self)) {
            (Self::Listed | Self::PerhapsMore, _) => None,
            (_, keys::Judgement::Known(_)) => Some(true),
            (_, keys::Judgement::Gone(_)) => Some(false),
            (_, _) => self.are_listed().then_some(false),
        }
    }

    /// Whether this version certainly does not know a key that is not listed for it. That is uncertain if the release
    /// is newer than all listed releases of its series.
    pub(super) fn are_listed(self) -> bool {
        match self {
            Self::Listed => true,
            Self::PerhapsMore => false,
            Self::Of { release, .. } => keys::releases()
                .iter()
                .any(|listed| listed.major() == release.major() && release <= *listed),
        }
    }

    /// Whether the version is certainly before this release.
    pub(super) fn are_before(self, release: Release) -> bool {
        matches!(self, Self::Of { release: own, .. } if own < release)
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed | Self::PerhapsMore => f.write_str("stellar-core"),
            Self::Of { release, tests: false } => write!(f, "stellar-core {release}"),
            Self::Of { release, tests: true } => write!(f, "stellar-core {release}, built for tests,"),
        }
    }
}

/// A release of stellar-core as three numbers. A shorter version stands for the newest release with that prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release([u32; 3]);

impl Release {
    pub(super) const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self([major, minor, patch])
    }

    pub(super) fn of(tag: &str) -> Option<Self> {
        let mut numbers = [u32::MAX; 3];
        for (number, given) in numbers.iter_mut().zip(release(tag)?) {
            *number = given;
        }
        Some(Self(numbers))
    }

    /// The newest protocol of the release.
    fn major(self) -> u32 {
        let [major, ..] = self.0;
        major
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.0.iter().filter(|number| **number != u32::MAX);
        let given: Vec<String> = given.map(u32::to_string).collect();
        f.write_str(&given.join("."))
    }
}

/// The version numbers at the start of an image tag such as `26.0.1-3109.e78c97ed0.jammy` or `v26.0.1`.
pub fn release(tag: &str) -> Option<Vec<u32>> {
    let numbers = tag.strip_prefix('v').unwrap_or(tag).split('-').next()?;
    numbers.split('.').map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_says_which_keys_are_known() {
        const PARALLEL: &str = "PARALLEL_LEDGER_APPLY";
        const EXPERIMENTAL: &str = "EXPERIMENTAL_PARALLEL_LEDGER_APPLY";
        let (yes, no) = (Some(true), Some(false));
        for (version, key, expected) in [
            ("22.1.0", PARALLEL, no),
            ("22.1.0", EXPERIMENTAL, no),
            ("22.2.0", EXPERIMENTAL, yes),
            ("24.1.0", PARALLEL, no),
            ("24.1.0", EXPERIMENTAL, yes),
            ("25.0.1", PARALLEL, no),
            ("25.1.0", PARALLEL, yes),
            // An unlisted patch release counts as the listed one before it.
            ("25.1.2", PARALLEL, yes),
            ("v25.2.0", PARALLEL, yes),
            ("26.0.1-3109.e78c97ed0.jammy", PARALLEL, yes),
            ("26", PARALLEL, yes),
            // A release newer than the list knows the keys of the newest one, and perhaps more, but no removed ones.
            ("99.0.0", PARALLEL, yes),
            ("99.0.0", "KEY_OF_TOMORROW", None),
            ("99.0.0", "EXPERIMENTAL_BUCKETLIST_DB", no),
            ("26.0.1", "KEY_OF_TOMORROW", no),
            ("26.9.0", "NTP_DRIFT_CHECK_SERVER", None),
            ("26.1.0", "NTP_DRIFT_CHECK_SERVER", no),
            ("27.1.0", "NTP_DRIFT_CHECK_SERVER", yes),
            ("26.1.0", "IGNORE_MESSAGE_LIMITS_FOR_TESTING", no),
            (
                "26.1.0-3315.a1b2c3d4e.noble-buildtests",
                "IGNORE_MESSAGE_LIMITS_FOR_TESTING",
                yes,
            ),
            ("latest", PARALLEL, None),
            ("18.5.0", PARALLEL, None),
        ] {
            assert_eq!(Keys::of(version).knows(key), expected, "{version} {key}");
        }
        assert_eq!(Keys::Listed.knows(PARALLEL), None);
    }

    #[test]
    fn a_release_is_written_as_it_was_given() {
        for (tag, text) in [
            ("v26.0.1-3109.e78c97ed0.jammy", "26.0.1"),
            ("26", "26"),
            ("26.1", "26.1"),
        ] {
            assert_eq!(Release::of(tag).unwrap().to_string(), text);
        }
        assert!(
            ["", "latest", "26.x", "4294967296.0.0"]
                .iter()
                .all(|tag| Release::of(tag).is_none())
        );
        assert!(Release::of("26") > Release::of("26.9.9"));
    }
}
