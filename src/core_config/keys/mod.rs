//! stellar-core's configuration keys, their valid values, and the keys that the operator owns.
//!
//! `keys.tsv` lists each key with its releases and its type, extracted from `Config::processConfig` of each release
//! since 19. An unknown key is fatal in stellar-core: «Unknown configuration entry».
//!
//! | module | what it is for |
//! |---|---|
//! | `table` | `keys.tsv`, and whether a version knows a key |
//! | `values` | valid values of a single key: type and further rules |
//! | `invariants` | the invariants that a pattern of INVARIANT_CHECKS enables |
//! | `combinations` | rules about several keys |

mod combinations;
mod invariants;
#[cfg(test)]
mod key_tests;
mod table;
mod values;

use toml::Value;

use super::Keys;
use table::Row;

pub(super) use combinations::problems as problems_together;
pub(super) use table::{Judgement, judge, releases};

/// Keys that `coreConfig` may not contain, each with the place to set it instead.
#[rustfmt::skip]
const OWNED: &[(&str, &str)] = &[
    ("BUCKET_DIR_PATH", "the operator puts the buckets on the validator's volume"),
    ("CATCHUP_COMPLETE", "set spec.validatorConfig.catchupComplete"),
    ("DATABASE", "the operator puts the database on the validator's volume"),
    ("HOME_DOMAINS", "write it in spec.validatorConfig.quorumSet"),
    ("HTTP_PORT", "the operator keeps it at 11626 on localhost"),
    ("KNOWN_PEERS", "list your own peers in spec.validatorConfig.knownPeers"),
    ("LOG_FILE_PATH", "the log goes to the container's output"),
    ("NETWORK_PASSPHRASE", "set spec.network"),
    ("NODE_HOME_DOMAIN", "set spec.validatorConfig.homeDomain"),
    ("NODE_IS_VALIDATOR", "it follows from spec.nodeType"),
    ("NODE_SEED", "name a Secret in spec.validatorConfig.seedSecretRef"),
    ("PEER_PORT", "set spec.validatorConfig.peerPort"),
    ("PUBLIC_HTTP_PORT", "the HTTP port stays on localhost: its commands ask for no password"),
    ("QUORUM_SET", "write it in spec.validatorConfig.quorumSet"),
    ("VALIDATORS", "write it in spec.validatorConfig.quorumSet"),
];

/// Longest key in characters that is looked up; the longest known key has 56.
const LONGEST: usize = 128;

/// Keys that `quorumSet` may contain.
pub(super) const OF_QUORUM: [&str; 6] = [
    "QUORUM_SET",
    "VALIDATORS",
    "HOME_DOMAINS",
    "NODE_NAMES",
    "UNSAFE_QUORUM",
    "FAILURE_SAFETY",
];

/// The place to set an owned key, or `None` if the operator does not own it.
pub(super) fn owner(key: &str) -> Option<&'static str> {
    OWNED.iter().find(|(owned, _)| *owned == key).map(|(_, place)| *place)
}

/// Whether any release of stellar-core knows this key.
pub(super) fn is_known(key: &str) -> bool {
    !table::rows(key).is_empty()
}

/// Whether an unlisted key may belong to a newer stellar-core: it has the form of a key and resembles no listed one.
fn may_be_new(key: &str) -> bool {
    !is_known(key) && reads_like_a_name(key) && key.len() <= LONGEST && table::similar(key).next().is_none()
}

/// Whether a text has the form of stellar-core's keys and of XDR enumerators.
fn reads_like_a_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.bytes().all(plain)
}

/// The problems of a single top-level key and its value.
pub(super) fn problems(key: &str, value: &Value, keys: Keys) -> Vec<String> {
    let problem = match judge(key, keys) {
        Judgement::Known(rows) => return values::problems(rows, value, keys),
        Judgement::Unknown if !keys.are_listed() && may_be_new(key) => return Vec::new(),
        Judgement::TestsOnly | Judgement::Later(_) if !keys.are_listed() => return Vec::new(),
        Judgement::Unknown => unknown(key, keys),
        Judgement::TestsOnly => {
            format!("{keys} knows {key} only in test builds, and would not start: remove it")
        }
        Judgement::Later(since) => format!(
            "{keys} does not know {key}, added in {since}, and would not start: {}",
            other_name(key, keys)
        ),
        Judgement::Gone(gone) => format!(
            "{keys} does not know {key}, removed in {gone}, and would not start: {}",
            other_name(key, keys)
        ),
    };
    vec![problem]
}

/// The advice for a key that a version does not know: its name with or without EXPERIMENTAL_, if known.
fn other_name(key: &str, keys: Keys) -> String {
    const PREFIX: &str = "EXPERIMENTAL_";
    let other = key
        .strip_prefix(PREFIX)
        .map_or_else(|| format!("{PREFIX}{key}"), str::to_owned);
    let has_effect = |rows: &[Row]| rows.last().is_some_and(|row| !row.is_ignored());
    if matches!(judge(&other, keys), Judgement::Known(rows) if has_effect(rows)) {
        format!("write {other}")
    } else {
        "remove it".to_owned()
    }
}

/// The warning about an accepted key; `None` if this version is known to read it.
pub(super) fn warning(key: &str, value: &Value, keys: Keys) -> Option<String> {
    let look_it_up = "check it, since stellar-core does not start with an unknown key";
    match judge(key, keys) {
        Judgement::Unknown if !keys.are_listed() && may_be_new(key) => {
            let newest = releases().last().map(ToString::to_string).unwrap_or_default();
            Some(format!(
                "{key} is not a key of stellar-core {newest} or older, and a newer one may know it: {look_it_up}"
            ))
        }
        Judgement::Later(since) if !keys.are_listed() => Some(format!(
            "{key} was added in stellar-core {since}, and this version may not know it: {look_it_up}"
        )),
        Judgement::TestsOnly if !keys.are_listed() => Some(format!(
            "{key} is known only to builds of stellar-core for tests: {look_it_up}"
        )),
        Judgement::Known(rows) => match (rows.last(), values::file_of(key, value)) {
            (Some(row), _) if keys == Keys::PerhapsMore && row.gone().is_some() => row.gone().map(|gone| {
                format!(
                    "{key} was removed in stellar-core {gone}: {}, unless this version is older",
                    other_name(key, keys)
                )
            }),
            (Some(row), _) if row.is_ignored() => Some(format!("{keys} ignores {key}: {}", other_name(key, keys))),
            (_, Some(path)) => Some(format!(
                "{key} names the file {path:?}: a pod has only the files of its image and those of the volume below \
                 /data, and without that file stellar-core does not start"
            )),
            (_, None) => None,
        },
        Judgement::Unknown | Judgement::TestsOnly | Judgement::Later(_) | Judgement::Gone(_) => None,
    }
}

fn unknown(key: &str, keys: Keys) -> String {
    let known = |name: &&str| matches!(judge(name, keys), Judgement::Known(_));
    let near = table::similar(key).find(known);
    let advice = match near {
        Some(name) => format!("did you mean {name}?"),
        None => "remove it (stellar-core's example config lists the known keys)".to_owned(),
    };
    if key.len() > LONGEST {
        let length = key.len();
        return format!("{keys} knows no key of {length} characters and would not start: remove it");
    }
    format!("{keys} knows no key {key:?} and would not start: {advice}")
}

/// A value as quoted in messages: scalars literally, strings not at all (one may be a password).
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => value.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, keys: Keys) -> Vec<String> {
        problems(key, &Value::Boolean(true), keys)
    }

    #[test]
    fn the_table_holds_what_we_name() {
        for (key, _) in OWNED {
            assert!(is_known(key), "{key}");
        }
        for key in OF_QUORUM {
            assert!(is_known(key), "{key}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_and_what_was_meant_is_named() {
        for (key, word) in [
            ("log_color", "did you mean LOG_COLOR?"),
            ("LOG_COLOUR", "did you mean LOG_COLOR?"),
            ("NOT_A_KEY", "remove it"),
            ("", "remove it"),
        ] {
            for keys in [Keys::Listed, Keys::of("26.1.0")] {
                let problems = of(key, keys);
                assert!(problems.len() == 1 && problems[0].contains(word), "{key}: {problems:?}");
            }
        }
        // What this release does not know is not what was meant.
        let problems = of("PARALLEL_LEDGER_APLY", Keys::of("24.0.0"));
        assert!(problems[0].contains("remove it"), "{problems:?}");
    }

    #[test]
    fn a_newer_one_may_know_a_key_that_is_not_listed() {
        for keys in [Keys::PerhapsMore, Keys::of("99.0.0"), Keys::of("26.9.0")] {
            for key in ["NOT_A_KEY", "EMIT_LEDGER_CLOSE_META_EXT_V2"] {
                assert_eq!(of(key, keys), Vec::<String>::new(), "{keys:?}");
                assert!(warning(key, &Value::Boolean(true), keys).is_some(), "{keys:?} {key}");
            }
            for key in [
                "log_color",
                "LOGCOLOR",
                "LOG_COLOUR",
                "PEER_PROT",
                "not_a_key",
                "NOT A KEY",
            ] {
                assert_eq!(of(key, keys).len(), 1, "{keys:?} {key}");
                assert_eq!(warning(key, &Value::Boolean(true), keys), None, "{keys:?} {key}");
            }
        }
    }

    #[test]
    fn what_is_accepted_and_has_no_effect_is_told() {
        let path = Value::String("/data/p23.csv".to_owned());
        let on = Value::Boolean(true);
        let file = "PATH_TO_PROTOCOL_23_CORRUPTION_FILE";
        for (key, value, version, word) in [
            (
                "EXPERIMENTAL_PARALLEL_LEDGER_APPLY",
                &on,
                "26.1.0",
                "write PARALLEL_LEDGER_APPLY",
            ),
            ("EXPERIMENTAL_PARALLEL_LEDGER_APPLY", &on, "24.1.0", ""),
            (
                "AUTOMATIC_MAINTENANCE_COUNT",
                &Value::Integer(1),
                "26.1.0",
                "ignores AUTOMATIC_MAINTENANCE_COUNT: remove",
            ),
            (
                "EXPERIMENTAL_BUCKETLIST_DB",
                &on,
                "latest",
                "was removed in stellar-core 23.0.0: remove it, unless",
            ),
            (
                "IGNORE_MESSAGE_LIMITS_FOR_TESTING",
                &on,
                "latest",
                "builds of stellar-core for tests",
            ),
            (
                "NTP_DRIFT_CHECK_SERVER",
                &path,
                "26.9.0",
                "was added in stellar-core 27.1.0",
            ),
            ("LOG_COLOR", &on, "latest", ""),
            ("LOG_COLOR", &on, "26.1.0", ""),
            ("LOG_COLOR", &on, "99.0.0", ""),
            (file, &path, "26.1.0", "without that file"),
            (file, &Value::String(String::new()), "26.1.0", ""),
        ] {
            let told = warning(key, value, Keys::of(version)).unwrap_or_default();
            assert!(
                told.contains(word) && told.is_empty() == word.is_empty(),
                "{key} {version}: {told}"
            );
        }
    }
}
