//! The table of keys by release, `keys.tsv`, which `tests/tools/core-keys` makes from stellar-core's source.

use std::sync::LazyLock;

use crate::core_config::Keys;
use crate::core_config::version::Release;
use crate::kubernetes::names::distance;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::parse(TEXT));
const TEXT: &str = include_str!("../keys.tsv");

/// What stellar-core reads a key as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// `readBool`.
    Bool,
    /// `readInt`.
    Int,
    /// `readDouble`.
    Double,
    /// `readString`.
    Text,
    /// `readArray<std::string>`.
    Texts,
    /// `readIntArray`.
    Ints,
    /// `readXdrEnumArray<OperationType>`.
    Operations,
    /// Tables, which have rules of their own.
    Tables,
    /// Read and ignored.
    Ignored,
}

/// How some releases read a key.
#[derive(Debug)]
pub(in super::super) struct Row {
    /// The key.
    pub(super) name: &'static str,
    /// The key without separators.
    plain: String,
    pub(super) kind: Kind,
    /// Least value of an int; what a double must be above.
    pub(super) min: Option<i64>,
    /// Greatest value.
    pub(super) max: Option<i64>,
    /// The first release that reads it so.
    since: Release,
    /// The first release that no longer reads it so.
    gone: Option<Release>,
    /// Whether only a build for tests knows it.
    tests: bool,
}

impl Row {
    fn parse(line: &'static str) -> Option<Self> {
        let [name, kind, min, max, since, gone, tests] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
        let optional = |text: &str| match text {
            "-" => Some(None),
            text => text.parse::<i64>().ok().map(Some),
        };
        Some(Self {
            name,
            plain: plain(name),
            kind: match kind {
                "bool" => Kind::Bool,
                "int" => Kind::Int,
                "double" => Kind::Double,
                "string" => Kind::Text,
                "strings" => Kind::Texts,
                "ints" => Kind::Ints,
                "operations" => Kind::Operations,
                "tables" => Kind::Tables,
                "ignored" => Kind::Ignored,
                _ => return None,
            },
            min: optional(min)?,
            max: optional(max)?,
            since: Release::of(since)?,
            gone: match gone {
                "-" => None,
                gone => Some(Release::of(gone)?),
            },
            tests: match tests {
                "tests" => true,
                "-" => false,
                _ => return None,
            },
        })
    }

    /// The first release that no longer reads it so.
    pub(super) fn gone(&self) -> Option<Release> {
        self.gone
    }

    /// Whether it is read whatever it holds, and has no effect.
    pub(super) fn is_ignored(&self) -> bool {
        self.kind == Kind::Ignored
    }

    fn is_of(&self, release: Release) -> bool {
        self.since <= release && self.gone.is_none_or(|gone| release < gone)
    }
}

#[derive(Debug)]
struct Table {
    /// By name, then by release.
    rows: Vec<Row>,
    /// Ascending.
    releases: Vec<Release>,
}

impl Table {
    fn parse(text: &'static str) -> Self {
        let releases = text.lines().find_map(|line| line.strip_prefix("# releases\t"));
        Self {
            rows: content(text).filter_map(Row::parse).collect(),
            releases: releases
                .unwrap_or_default()
                .split(' ')
                .filter_map(Release::of)
                .collect(),
        }
    }
}

fn content(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

/// The releases that are listed, from the oldest to the newest.
pub(in super::super) fn releases() -> &'static [Release] {
    &TABLE.releases
}

/// The keys that this one may be meant for: equal but for case and separators, or but for two letters. Digits count
/// keys of one family, as in `_V2`. One that releases read differently is there more than once.
pub(super) fn similar(key: &str) -> impl Iterator<Item = &'static str> {
    let key = plain(key);
    let is_meant = move |name: &str| name == key || (distance(name, &key, 2).is_some() && family(name) != family(&key));
    let rows = TABLE.rows.iter().filter(move |row| is_meant(&row.plain));
    rows.map(|row| row.name)
}

fn plain(text: &str) -> String {
    let letters = text.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_uppercase()).collect()
}

fn family(text: &str) -> &str {
    text.trim_end_matches(|letter: char| letter.is_ascii_digit())
}

/// How releases read a key.
pub(super) fn rows(key: &str) -> &'static [Row] {
    let from = TABLE.rows.partition_point(|row| row.name < key);
    let rows = TABLE.rows.get(from..).unwrap_or_default();
    let count = rows.iter().take_while(|row| row.name == key).count();
    rows.get(..count).unwrap_or_default()
}

/// What a version says of a key.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Judgement {
    /// It is read in one of these ways.
    Known(&'static [Row]),
    /// Only builds for tests know it.
    TestsOnly,
    /// It came with this release, which is a later one.
    Later(Release),
    /// It went with this release.
    Gone(Release),
    /// No release knows it.
    Unknown,
}

/// What a version says of a key.
pub(in super::super) fn judge(key: &str, keys: Keys) -> Judgement {
    let rows = rows(key);
    let Some(first) = rows.first() else {
        return Judgement::Unknown;
    };
    let Keys::Of { release, tests } = keys else {
        return if rows.iter().all(|row| row.tests) {
            Judgement::TestsOnly
        } else {
            Judgement::Known(rows)
        };
    };
    match rows.iter().find(|row| row.is_of(release)) {
        Some(row) if row.tests && !tests => Judgement::TestsOnly,
        Some(row) => Judgement::Known(std::slice::from_ref(row)),
        None => {
            let went = rows.iter().filter_map(|row| row.gone).rfind(|gone| *gone <= release);
            went.map_or(Judgement::Later(first.since), Judgement::Gone)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_line_of_it_is_read() {
        assert_eq!(TABLE.rows.len(), content(TEXT).count());
        assert!(TABLE.rows.len() > 250 && TABLE.releases.len() > 40);
        assert!(releases().is_sorted_by(|one, next| one < next));
        for pair in TABLE.rows.windows(2) {
            let [one, next] = pair else { unreachable!() };
            assert!((one.name, one.since) < (next.name, next.since), "{one:?} {next:?}");
            if one.name == next.name {
                assert!(one.gone.is_some_and(|gone| gone <= next.since), "{one:?} {next:?}");
            }
        }
        for row in &TABLE.rows {
            let named = |release: &Release| releases().contains(release);
            assert!(named(&row.since) && row.gone.as_ref().is_none_or(named), "{row:?}");
            assert!(row.gone.is_none_or(|gone| row.since < gone), "{row:?}");
            let bounded = matches!(row.kind, Kind::Int | Kind::Ints);
            assert!(!bounded || row.min.is_some() && row.max.is_some(), "{row:?}");
        }
        assert!(rows("KEY_OF_TOMORROW").is_empty() && rows("").is_empty() && rows("~").is_empty());
        assert_eq!(rows("EXPERIMENTAL_PARALLEL_LEDGER_APPLY").len(), 2);
    }

    #[test]
    fn a_row_in_another_form_is_none() {
        assert!(Row::parse("A\tbool\t-\t-\t19.0.0\t-\t-").is_some());
        for line in [
            "",
            "A\tbool",
            "A\tword\t-\t-\t19.0.0\t-\t-",
            "A\tint\tx\t-\t19.0.0\t-\t-",
            "A\tbool\t-\t-\tx\t-\t-",
            "A\tbool\t-\t-\t19.0.0\tx\t-",
            "A\tbool\t-\t-\t19.0.0\t-\tx",
            "A\tbool\t-\t-\t19.0.0\t-\t-\t-",
        ] {
            assert!(Row::parse(line).is_none(), "{line}");
        }
    }
}
