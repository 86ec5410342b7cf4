//! Parses an explicit `[QUORUM_SET]`, and checks its safety.

use toml::Value;

use super::Reader;
use super::table::{DEEPEST, Level, QuorumSet};
use crate::core_config::keys::found;

impl Reader<'_> {
    /// `loadQset`.
    pub(crate) fn quorum_set(&mut self, place: &str, value: &Value, level: usize) -> Option<QuorumSet> {
        let Some(table) = value.as_table() else {
            self.problems
                .push(format!("{place} is {}: write a table below [{place}]", found(value)));
            return None;
        };
        if level > DEEPEST {
            self.problems
                .push(format!("{place} is nested more than {DEEPEST} levels deep: flatten it"));
            return None;
        }
        let mut percent = 67;
        let mut set = QuorumSet::default();
        let mut complete = true;
        for (key, value) in table {
            match (key.as_str(), value) {
                ("THRESHOLD_PERCENT", Value::Integer(number)) if (1..=100).contains(number) => {
                    percent = usize::try_from(*number).unwrap_or(100);
                }
                ("THRESHOLD_PERCENT", other) => self.problems.push(format!(
                    "{place}: THRESHOLD_PERCENT is {}: write a whole number from 1 to 100",
                    found(other)
                )),
                ("VALIDATORS", Value::Array(items)) => {
                    // Names that inner tables define may be unknown yet: cpptoml has no order of tables.
                    let before = self.names.order.len();
                    for item in items {
                        let Some(text) = item.as_str() else {
                            self.problems.push(format!(
                                "{place}: VALIDATORS holds {}: write public keys as strings",
                                found(item)
                            ));
                            continue;
                        };
                        match self.node_id(place, text) {
                            Some(key) => set.validators.push(key),
                            None => complete = false,
                        }
                    }
                    self.names.truncate(before);
                }
                ("VALIDATORS", other) => self.problems.push(format!(
                    "{place}: VALIDATORS is {}: write an array of public keys, as [\"G…\", \"G…\"]",
                    found(other)
                )),
                (_, Value::Table(_)) => match self.quorum_set(&format!("{place}.{key}"), value, level + 1) {
                    Some(inner) => set.inner.push(inner),
                    None => complete = false,
                },
                _ => self.unknown_key(
                    &format!("[{place}]"),
                    key,
                    "THRESHOLD_PERCENT, VALIDATORS and inner tables",
                ),
            }
        }
        if set.entries() == 0 {
            if complete {
                self.problems
                    .push(format!("{place} is empty: add VALIDATORS or inner tables"));
            }
            return None;
        }
        set.threshold = 1 + (set.entries() * percent - 1) / 100;
        complete.then_some(set)
    }

    /// `validateConfig`.
    pub(crate) fn validate(&mut self, set: &QuorumSet, level: Level) {
        let entries = set.entries();
        let least = set.safe_threshold(level);
        let blocking = set.fewest_that_block();
        let wanted = match self.document.get("FAILURE_SAFETY").and_then(Value::as_integer) {
            None | Some(-1) => entries - least,
            Some(number) => usize::try_from(number).unwrap_or(0),
        };
        let tolerated = blocking.saturating_sub(1);
        if wanted >= blocking {
            self.problems.push(format!(
                "the quorum set stops when {blocking} of its validators fail, and FAILURE_SAFETY requires a tolerance of {wanted}: lower \
                 THRESHOLD_PERCENT (67 is usual), or set FAILURE_SAFETY to {tolerated}"
            ));
        }
        if !self.is_unsafe() {
            if wanted == 0 {
                self.problems.push(format!(
                    "a quorum set of {entries} entries that tolerates no failure (FAILURE_SAFETY 0) is refused by stellar-core: \
                     name at least 4, or set UNSAFE_QUORUM=true if that is what you want"
                ));
            }
            if set.threshold < least {
                self.problems.push(format!(
                    "the quorum set needs {} of its {entries} entries, {least} is the safe minimum: raise \
                     THRESHOLD_PERCENT (67 is usual), or set UNSAFE_QUORUM=true",
                    set.threshold
                ));
            }
        }
        if let Some(insanity) = set.insanity(!self.is_unsafe()) {
            self.problems.push(insanity);
        }
    }
}
