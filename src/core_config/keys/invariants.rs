//! INVARIANT_CHECKS: each entry is a regular expression that must enable a further invariant
//! (`InvariantManagerImpl::enableInvariant`).

use regex::{Regex, RegexBuilder};

use crate::core_config::Keys;
use crate::core_config::version::Release;

/// The invariants that `ApplicationImpl::initialize` registers, each with its first release.
const INVARIANTS: [(&str, Release); 10] = [
    ("AccountSubEntriesCountIsValid", Release::new(19, 0, 0)),
    ("ArchivedStateConsistency", Release::new(24, 1, 0)),
    ("BucketListIsConsistentWithDatabase", Release::new(19, 0, 0)),
    ("BucketListStateConsistency", Release::new(25, 2, 0)),
    ("ConservationOfLumens", Release::new(19, 0, 0)),
    ("ConstantProductInvariant", Release::new(19, 0, 0)),
    (EVENTS, Release::new(23, 0, 0)),
    ("LedgerEntryIsValid", Release::new(19, 0, 0)),
    ("LiabilitiesMatchOffers", Release::new(19, 0, 0)),
    ("SponsorshipCountIsValid", Release::new(19, 0, 0)),
];

/// The invariant that needs a stream of metadata.
pub(super) const EVENTS: &str = "EventsAreConsistentWithEntryDiffs";

/// Largest compiled pattern; a larger one is not checked.
const SIZE_LIMIT: usize = 1 << 16;
/// Most entries: each must enable an invariant of its own, and there are ten.
const MOST: usize = 32;
/// Longest entry in bytes that is checked.
const LONGEST: usize = 256;
/// Most excluded prefixes of an entry that is checked.
const MOST_EXCLUDED: usize = 4;
/// Most expressions that are checked, since each costs some tenths of a millisecond. Apart from names, a config has one
/// or two.
const MOST_EXPRESSIONS: usize = 4;

/// A parsed entry of INVARIANT_CHECKS.
enum Pattern<'a> {
    /// A name, the most common form.
    Name(&'a str),
    /// Excluded prefixes, as in `(?!BucketList).*`, and the expression that the whole name must match.
    Expression(Vec<Regex>, Regex),
    /// Invalid in ECMAScript, the syntax that stellar-core reads.
    Broken,
    /// Possibly valid ECMAScript that this parser does not support.
    Foreign,
}

impl<'a> Pattern<'a> {
    fn read(text: &'a str) -> Self {
        if is_name(text) {
            return Self::Name(text);
        }
        if text.len() > LONGEST {
            return Self::Foreign;
        }
        let mut excluded = Vec::new();
        let mut rest = text;
        while let Some((inner, behind)) = split_exclusion(rest) {
            match compile(&format!("^(?:{inner})")) {
                _ if excluded.len() == MOST_EXCLUDED => return Self::Foreign,
                Some(beginning) => excluded.push(beginning),
                None => return Self::Foreign,
            }
            rest = behind;
        }
        let is_foreign = ["(?=", "(?!", "\\", "[]", "[^]", "[[", "&&", "--", "~~"]
            .iter()
            .any(|part| rest.contains(part));
        if is_foreign {
            return Self::Foreign;
        }
        if rest.replace("(?:", "(").contains("(?") {
            return Self::Broken;
        }
        match regex_of(rest).map(|_| compile(&format!("^(?:{rest})$"))) {
            Ok(Some(whole)) => Self::Expression(excluded, whole),
            Ok(None) | Err(regex::Error::CompiledTooBig(_)) => Self::Foreign,
            Err(_) => Self::Broken,
        }
    }

    /// Whether it enables an invariant; `None` if unknown.
    fn matches(&self, name: &str) -> Option<bool> {
        match self {
            Self::Name(given) => Some(given.eq_ignore_ascii_case(name)),
            Self::Expression(excluded, whole) => {
                Some(whole.is_match(name) && !excluded.iter().any(|beginning| beginning.is_match(name)))
            }
            Self::Broken => Some(false),
            Self::Foreign => None,
        }
    }
}

/// Each entry with its pattern. Expressions beyond [`MOST_EXPRESSIONS`] are not checked.
fn read_all<'a>(texts: &[&'a str]) -> impl Iterator<Item = (&'a str, Pattern<'a>)> {
    let mut expressions = 0;
    texts.iter().take(MOST).map(move |text| {
        expressions += usize::from(!is_name(text));
        let pattern = if is_name(text) || expressions <= MOST_EXPRESSIONS {
            Pattern::read(text)
        } else {
            Pattern::Foreign
        };
        (*text, pattern)
    })
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// `(?!inner)rest` if `inner` has no parentheses.
fn split_exclusion(text: &str) -> Option<(&str, &str)> {
    let (inner, rest) = text.strip_prefix("(?!")?.split_once(')')?;
    (!inner.contains(['(', '\\', '['])).then_some((inner, rest))
}

fn compile(pattern: &str) -> Option<Regex> {
    regex_of(pattern).ok()
}

fn regex_of(pattern: &str) -> Result<Regex, regex::Error> {
    let mut builder = RegexBuilder::new(pattern);
    builder.case_insensitive(true).size_limit(SIZE_LIMIT).build()
}

/// The invariants of a version.
fn known(keys: Keys) -> impl Iterator<Item = &'static str> {
    let known = INVARIANTS.iter().filter(move |(_, since)| !keys.are_before(*since));
    known.map(|(name, _)| *name)
}

/// The problems of the entries.
pub(super) fn problems(texts: &[&str], keys: Keys) -> Vec<String> {
    if texts.len() > MOST {
        return vec![format!(
            "it has {} entries, each of which must enable an invariant of its own: write at most {MOST}",
            texts.len()
        )];
    }
    let mut problems = Vec::new();
    let mut enabled: Vec<&str> = Vec::new();
    for (text, pattern) in read_all(texts) {
        if text.is_empty() {
            problems.push("an entry is empty: remove it".to_owned());
            continue;
        }
        if matches!(pattern, Pattern::Broken) {
            problems.push(format!(
                "{text:?} is not a regular expression that stellar-core reads: write the name of an invariant, such as {}",
                "ConservationOfLumens"
            ));
            continue;
        }
        if matches!(pattern, Pattern::Foreign) {
            continue;
        }
        let matched: Vec<&str> = known(keys).filter(|name| pattern.matches(name) == Some(true)).collect();
        if matched.is_empty() && keys.are_listed() {
            let names: Vec<&str> = known(keys).collect();
            problems.push(format!(
                "{text:?} matches none of the invariants of {keys}: write {}",
                names.join(", ")
            ));
        }
        if let Some(twice) = matched.iter().find(|name| enabled.contains(name)) {
            problems.push(format!(
                "{text:?} enables {twice}, which an earlier entry already enables: remove one"
            ));
        }
        enabled.extend(matched);
    }
    problems
}

/// Whether an entry certainly enables this invariant in this version.
pub(super) fn enable(texts: &[&str], name: &str, keys: Keys) -> bool {
    let exists = keys != Keys::Listed && known(keys).any(|known| known == name);
    exists && read_all(texts).any(|(_, pattern)| pattern.matches(name) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_must_mean_an_invariant_that_no_other_means() {
        for (texts, version, word) in [
            (&["ConservationOfLumens"][..], "26.1.0", ""),
            (&["conservationoflumens", "LedgerEntryIsValid"], "26.1.0", ""),
            (&["Conservation.*"], "26.1.0", ""),
            (&["(?!BucketList|Events).*"], "26.1.0", ""),
            (&["(?!BucketList)(?!Events).*"], "26.1.0", ""),
            (&["(Conservation|Constant).*"], "26.1.0", ""),
            (&["(?:Conservation|Constant).*"], "26.1.0", ""),
            (
                &["Conservation"],
                "26.1.0",
                "none of the invariants of stellar-core 26.1.0",
            ),
            (&["Conservation"], "99.0.0", ""),
            (&["Conservation"], "latest", ""),
            (&["ArchivedStateConsistency"], "24.1.0", ""),
            (&["ArchivedStateConsistency"], "24.0.0", "none of the invariants"),
            (&["BucketListStateConsistency"], "25.1.3", "none of the invariants"),
            (&["(?!.*).*"], "26.1.0", "none of the invariants"),
            (&["("], "26.1.0", "not a regular expression"),
            (&["*"], "latest", "not a regular expression"),
            (&["[a"], "26.1.0", "not a regular expression"),
            (&["a)(b"], "26.1.0", "not a regular expression"),
            (&["(?i)conservation.*"], "26.1.0", "not a regular expression"),
            (&[""], "26.1.0", "empty"),
            (
                &["Conservation.*", "ConservationOfLumens"],
                "26.1.0",
                "enables ConservationOfLumens",
            ),
            // stellar-core decides about syntax that this parser does not support.
            (&["(?=Con).*", "\\w+", "(?!(a|b)).*", "(a{1000}){1000}"], "26.1.0", ""),
        ] {
            let problems = problems(texts, Keys::of(version));
            let is_right = match word {
                "" => problems.is_empty(),
                word => problems.len() == 1 && problems[0].contains(word),
            };
            assert!(is_right, "{texts:?} {version}: {problems:?}");
        }
    }

    #[test]
    fn what_a_pattern_switches_on_depends_on_the_release() {
        for (text, version, expected) in [
            (".*", "26.1.0", true),
            (".*", "latest", true),
            (".*", "22.4.1", false),
            ("(?!BucketListIsConsistentWithDatabase).*", "23.0.0", true),
            ("(?!Events).*", "23.0.0", false),
            ("eventsareconsistentwithentrydiffs", "23.0.0", true),
            ("\\w+", "23.0.0", false),
        ] {
            assert_eq!(enable(&[text], EVENTS, Keys::of(version)), expected, "{text} {version}");
        }
        assert!(!enable(&[".*"], EVENTS, Keys::Listed));
    }
}
