//! The failures that a validator's quorum set tolerates, in total and while one member is down.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::examine;
use super::table::QuorumSet;
use crate::core_config::{base, document};
use crate::crd::StellarNodeSpec;

/// The failures that a quorum set tolerates before the validator stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tolerance {
    /// Number of validators in the set.
    pub validators: usize,
    /// Number of validators that can be down, for any choice of them.
    pub failures: usize,
    /// For each member, the number of further validators that can be down while it is; `None` if its failure alone
    /// stops the validator.
    pub while_down: BTreeMap<String, Option<usize>>,
}

impl Tolerance {
    /// The tolerance of a validator; `None` if it is not a validator, or stellar-core would refuse its config.
    ///
    /// A validator whose key is not known appears as `$self`.
    pub fn of(spec: &StellarNodeSpec) -> Option<Self> {
        let base = document::parse("the base config", &base::base_config(spec).ok()?).ok()?;
        examine(&base, None).set.map(|set| Self::of_set(&set))
    }

    fn of_set(set: &QuorumSet) -> Self {
        let keys = set.keys();
        let more = |down: &BTreeSet<&str>| set.fewest_more_that_block(down).checked_sub(1);
        Self {
            validators: keys.len(),
            failures: more(&BTreeSet::new()).unwrap_or_default(),
            while_down: keys
                .iter()
                .map(|key| ((*key).to_owned(), more(&BTreeSet::from([*key]))))
                .collect(),
        }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            validators, failures, ..
        } = self;
        write!(f, "the quorum set of {validators} tolerates {}", counted(*failures))?;
        let mut alike: BTreeMap<Option<usize>, Vec<&str>> = BTreeMap::new();
        for (key, more) in &self.while_down {
            alike.entry(*more).or_default().push(key);
        }
        let one = alike.len() == 1;
        for (more, keys) in alike {
            let who = if one { "any one".to_owned() } else { keys.join(" or ") };
            match more {
                None => write!(f, "; with {who} down it halts")?,
                Some(0) => write!(f, "; with {who} down no more")?,
                Some(more) => write!(f, "; with {who} down {more} more")?,
            }
        }
        Ok(())
    }
}

fn counted(failures: usize) -> String {
    match failures {
        0 => "no failure".to_owned(),
        1 => "1 failure".to_owned(),
        more => format!("{more} failures"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core_config::rules_tests::{flat, spec};

    fn set(threshold: usize, validators: &[&str], inner: Vec<QuorumSet>) -> QuorumSet {
        QuorumSet {
            threshold,
            validators: validators.iter().map(|key| (*key).to_owned()).collect(),
            inner,
        }
    }

    #[test]
    fn it_says_what_is_left_with_each_member_down() {
        let organisation = |prefix: &str| {
            let keys: Vec<String> = (1..=3).map(|i| format!("{prefix}{i}")).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            set(2, &keys, Vec::new())
        };
        let organisations = || {
            vec![
                organisation("a"),
                organisation("b"),
                organisation("c"),
                organisation("d"),
            ]
        };
        for (set, said) in [
            (
                set(3, &["a", "b", "c", "d"], Vec::new()),
                "the quorum set of 4 tolerates 1 failure; with any one down no more",
            ),
            (
                set(3, &["a", "b", "c"], Vec::new()),
                "the quorum set of 3 tolerates no failure; with any one down it halts",
            ),
            (
                set(5, &["a", "b", "c", "d", "e", "f", "g"], Vec::new()),
                "the quorum set of 7 tolerates 2 failures; with any one down 1 more",
            ),
            (
                // Three of four organisations of three: two organisations must lose two validators each.
                set(3, &[], organisations()),
                "the quorum set of 12 tolerates 3 failures; with any one down 2 more",
            ),
            (
                // All four: one organisation that loses two is enough, and so is a validator that is an organisation of
                // its own.
                set(5, &["self"], organisations()),
                "the quorum set of 13 tolerates no failure; with self down it halts; with a1 or a2 or a3 or b1 or b2 or b3 or \
                 c1 or c2 or c3 or d1 or d2 or d3 down no more",
            ),
        ] {
            assert_eq!(Tolerance::of_set(&set).to_string(), said);
        }
    }

    #[test]
    fn it_follows_from_the_spec_with_the_default_of_the_network() {
        let mut testnet = spec(None);
        testnet.network = "testnet".to_owned();
        let found = Tolerance::of(&testnet).unwrap();
        assert_eq!(found.validators, 4, "three of SDF's and itself: {found}");
        assert_eq!(Tolerance::of(&spec(Some(flat(4, "")))).unwrap().failures, 1);
        assert_eq!(Tolerance::of(&spec(Some("no TOML [".to_owned()))), None);
        assert_eq!(Tolerance::of(&spec(None)), None, "a network without a default");
    }
}
