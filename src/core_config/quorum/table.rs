//! Quorum sets: thresholds, the failures that they tolerate, and their generation from a list of validators.
//!
//! Independent of TOML. Sources: `Config.cpp`, `src/scp/LocalNode.cpp`, `src/scp/QuorumSetUtils.cpp`.

use std::collections::BTreeSet;

/// Deepest nesting; 0 is a flat set (`QuorumSetUtils.cpp`, `MAXIMUM_QUORUM_NESTING_LEVEL`).
pub(crate) const DEEPEST: usize = 4;
/// Most validators in one quorum set (`QuorumSetSanityChecker`).
const MOST: usize = 1000;

/// A quorum set: `threshold` of its validators and inner sets must agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QuorumSet {
    /// Number of entries that must agree.
    pub(crate) threshold: usize,
    pub(crate) validators: Vec<String>,
    /// Inner sets, which count as one entry each.
    pub(crate) inner: Vec<Self>,
}

/// The failures that a set must tolerate (`ValidationThresholdLevels`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// More than half, for a set without inner sets.
    SimpleMajority,
    /// n − ⌊(n − 1) / 3⌋.
    Byzantine,
    All,
}

/// Trust in a validator (`kQualities`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Quality {
    /// No weight in leader election.
    Low,
    /// One entry of its level.
    Medium,
    /// At least three validators per home domain, each with an archive.
    High,
    /// As high, and the quorum needs every such home domain.
    Critical,
}

impl Quality {
    /// Parses a quality (`parseQuality`).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "LOW" => Some(Self::Low),
            "MEDIUM" => Some(Self::Medium),
            "HIGH" => Some(Self::High),
            "CRITICAL" => Some(Self::Critical),
            _ => None,
        }
    }

    /// Whether its home domain needs three validators, each with an archive.
    pub(crate) fn is_high(self) -> bool {
        self >= Self::High
    }
}

/// One validator of the list that a set is generated from.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) home_domain: String,
    pub(crate) quality: Quality,
    pub(crate) has_history: bool,
}

impl QuorumSet {
    /// Number of validators and inner sets of the top level.
    pub(crate) fn entries(&self) -> usize {
        self.validators.len() + self.inner.len()
    }

    /// The smallest safe threshold (`computeDefaultThreshold`).
    pub(crate) fn safe_threshold(&self, level: Level) -> usize {
        let entries = self.entries();
        match level {
            _ if entries == 0 => 0,
            Level::SimpleMajority if self.inner.is_empty() => entries - (entries - 1) / 2,
            Level::All => entries,
            Level::SimpleMajority | Level::Byzantine => entries - (entries - 1) / 3,
        }
    }

    /// The smallest number of validators whose failure stops this set (`LocalNode::findClosestVBlocking`).
    pub(crate) fn fewest_that_block(&self) -> usize {
        self.fewest_more_that_block(&BTreeSet::new())
    }

    /// The smallest number of further failures that stops this set, after these; 0 if it has stopped.
    pub(crate) fn fewest_more_that_block(&self, failed: &BTreeSet<&str>) -> usize {
        let needed = (self.entries() + 1).saturating_sub(self.threshold);
        let inner = self.inner.iter().map(|set| set.fewest_more_that_block(failed));
        let mut costs: Vec<usize> = inner.collect();
        costs.extend(
            self.validators
                .iter()
                .map(|key| usize::from(!failed.contains(key.as_str()))),
        );
        costs.sort_unstable();
        costs.iter().take(needed).sum()
    }

    /// Whether these validators together can stop this set (`LocalNode::isVBlocking`).
    pub(crate) fn is_blocked_by(&self, keys: &BTreeSet<&str>) -> bool {
        if self.threshold == 0 {
            return false;
        }
        let needed = (self.entries() + 1).saturating_sub(self.threshold);
        let blocked = self.validators.iter().filter(|key| keys.contains(key.as_str())).count()
            + self.inner.iter().filter(|set| set.is_blocked_by(keys)).count();
        blocked >= needed
    }

    /// All public keys, with repetitions.
    pub(crate) fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = self.validators.iter().map(String::as_str).collect();
        keys.extend(self.inner.iter().flat_map(Self::keys));
        keys
    }

    /// The reason why the set is not sane (`QuorumSetSanityChecker::checkSanity`), or `None`.
    pub(crate) fn insanity(&self, safe: bool) -> Option<String> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.keys().into_iter().find(|key| !seen.insert(*key)) {
            return Some(format!("{twice} is in the quorum set twice: name each validator once"));
        }
        if seen.len() > MOST {
            return Some(format!(
                "the quorum set has {} validators: stellar-core takes at most {MOST}",
                seen.len()
            ));
        }
        self.insane_level(safe, 0)
    }

    fn insane_level(&self, safe: bool, depth: usize) -> Option<String> {
        let entries = self.entries();
        if depth > DEEPEST {
            return Some(format!("the quorum set is nested more than {DEEPEST} levels deep"));
        }
        if self.threshold < 1 || self.threshold > entries {
            return Some(format!("a threshold is {} of {entries}", self.threshold));
        }
        // The threshold of the outer set has a stricter rule with its own message (`validateConfig`).
        if safe && depth > 0 && 2 * self.threshold < entries + 1 {
            return Some(format!(
                "an inner quorum set needs only {} of its {entries} entries: raise its THRESHOLD_PERCENT to 51 or more, or \
                 set UNSAFE_QUORUM=true",
                self.threshold
            ));
        }
        self.inner.iter().find_map(|set| set.insane_level(safe, depth + 1))
    }

    /// The set that stellar-core generates from a list of validators (`generateQuorumSet`), or the problem of the list.
    pub(crate) fn generate(entries: &[Entry]) -> Result<Self, String> {
        let mut sorted: Vec<&Entry> = entries.iter().collect();
        sorted.sort_by(|a, b| {
            b.quality
                .cmp(&a.quality)
                .then_with(|| a.home_domain.cmp(&b.home_domain))
        });
        let mut set = Self::generate_level(&sorted, Quality::Critical)?;
        set.normalize();
        Ok(set)
    }

    /// `generateQuorumSetHelper`: the home domains of one quality as entries, and all lower ones together as one more
    /// entry.
    fn generate_level(mut entries: &[&Entry], quality: Quality) -> Result<Self, String> {
        let mut set = Self::default();
        while let Some(first) = entries.first().filter(|entry| entry.quality == quality) {
            let count = entries
                .iter()
                .take_while(|entry| entry.home_domain == first.home_domain)
                .count();
            let (domain, rest) = entries.split_at(count);
            if let Some(other) = domain.iter().find(|entry| entry.quality != quality) {
                return Err(format!(
                    "VALIDATORS {:?} and {:?} are of one home domain and must have the same QUALITY",
                    first.name, other.name
                ));
            }
            if quality.is_high() && count < 3 {
                return Err(format!(
                    "home domain {:?} has {count} validators: QUALITY HIGH and CRITICAL need at least 3, write MEDIUM or add \
                     validators",
                    first.home_domain
                ));
            }
            let mut inner = Self {
                validators: domain.iter().map(|entry| entry.key.clone()).collect(),
                ..Self::default()
            };
            inner.threshold = inner.safe_threshold(Level::SimpleMajority);
            set.inner.push(inner);
            entries = rest;
        }
        if let Some(next) = entries.first() {
            set.inner.push(Self::generate_level(entries, next.quality)?);
        }
        let level = if quality == Quality::Critical {
            Level::All
        } else {
            Level::Byzantine
        };
        set.threshold = set.safe_threshold(level);
        Ok(set)
    }

    /// `normalizeQSet`: replaces an inner set of one validator by that validator, and a set of one inner set by that
    /// set.
    fn normalize(&mut self) {
        for mut inner in std::mem::take(&mut self.inner) {
            inner.normalize();
            match (inner.threshold, &inner.validators[..], &inner.inner[..]) {
                (1, [single], []) => self.validators.push(single.clone()),
                _ => self.inner.push(inner),
            }
        }
        if self.threshold == 1
            && self.validators.is_empty()
            && self.inner.len() == 1
            && let Some(only) = self.inner.pop()
        {
            *self = only;
        }
        self.validators.sort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(threshold: usize, count: usize) -> QuorumSet {
        QuorumSet {
            threshold,
            validators: (0..count).map(|i| format!("V{i}")).collect(),
            inner: Vec::new(),
        }
    }

    #[test]
    fn thresholds_are_those_of_stellar_core() {
        for (entries, byzantine, majority) in [
            (1, 1, 1),
            (2, 2, 2),
            (3, 3, 2),
            (4, 3, 3),
            (5, 4, 3),
            (6, 5, 4),
            (7, 5, 4),
            (10, 7, 6),
        ] {
            let set = flat(0, entries);
            assert_eq!(set.safe_threshold(Level::Byzantine), byzantine, "{entries}");
            assert_eq!(set.safe_threshold(Level::SimpleMajority), majority, "{entries}");
            assert_eq!(set.safe_threshold(Level::All), entries);
        }
    }

    #[test]
    fn what_blocks_a_set_is_counted_in_validators() {
        assert_eq!(flat(3, 4).fewest_that_block(), 2);
        assert_eq!(flat(3, 3).fewest_that_block(), 1);
        let nested = QuorumSet {
            threshold: 2,
            validators: Vec::new(),
            inner: vec![flat(2, 3), flat(3, 5), flat(1, 4)],
        };
        assert_eq!(nested.fewest_that_block(), 5);
        assert!(flat(3, 4).is_blocked_by(&BTreeSet::from(["V0", "V3"])));
        assert!(!flat(3, 4).is_blocked_by(&BTreeSet::from(["V0"])));
    }

    #[test]
    fn a_generated_set_has_a_majority_inside_a_home_domain() {
        let entry = |name: &str, domain: &str, quality| Entry {
            name: name.to_owned(),
            key: name.to_owned(),
            home_domain: domain.to_owned(),
            quality,
            has_history: true,
        };
        let mut entries: Vec<Entry> = ["a", "b", "c"]
            .iter()
            .map(|name| entry(name, "x.org", Quality::High))
            .collect();
        assert_eq!(QuorumSet::generate(&entries).unwrap().threshold, 2);
        entries.push(entry("self", "me.org", Quality::Medium));
        let set = QuorumSet::generate(&entries).unwrap();
        assert_eq!((set.threshold, &set.validators[..]), (2, &["self".to_owned()][..]));
        assert_eq!(set.inner[0].threshold, 2);
        entries.remove(0);
        assert!(QuorumSet::generate(&entries).unwrap_err().contains("at least 3"));
    }
}
