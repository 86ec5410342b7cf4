//! Syntax of Kubernetes names, and the messages for invalid ones (Kubernetes docs, "Object Names and IDs", "Labels and
//! Selectors").
//!
//! The operator's own names are in [`labels`](crate::labels).

use crate::labels::LABEL_LIMIT;

/// Longest DNS subdomain (RFC 1123).
pub const SUBDOMAIN_LIMIT: usize = 253;

/// Whether a text is an RFC 1123 label, the name of a namespace or a container.
pub fn is_dns_label(text: &str) -> bool {
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= LABEL_LIMIT && is_framed(text, outer, |c| outer(c) || c == '-')
}

/// Whether a text is an RFC 1123 subdomain, the name of most objects, such as a ConfigMap or Secret.
pub fn is_subdomain(text: &str) -> bool {
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_part = |part: &str| is_framed(part, outer, |c| outer(c) || c == '-');
    text.len() <= SUBDOMAIN_LIMIT && text.split('.').all(is_part)
}

/// Whether a text is a valid label value. A non-empty label value is also a valid label name.
pub fn is_label_value(text: &str) -> bool {
    let outer = |c: char| c.is_ascii_alphanumeric();
    text.is_empty() || text.len() <= LABEL_LIMIT && is_framed(text, outer, |c| outer(c) || "-_.".contains(c))
}

/// Whether a text is a qualified name, `name` or `domain/name`: the name of a label, an annotation, a taint or a
/// resource.
pub fn is_qualified(text: &str) -> bool {
    let (prefix, short) = match text.split_once('/') {
        Some((prefix, short)) => (Some(prefix), short),
        None => (None, text),
    };
    !short.is_empty() && is_label_value(short) && prefix.is_none_or(is_subdomain)
}

/// The message for a name that is not [qualified](is_qualified).
pub fn not_qualified(name: &str, what: &str) -> String {
    format!(
        "{name:?} cannot be the name of {what}: write at most {LABEL_LIMIT} letters, digits, -, _ and ., first and last a letter \
         or digit, behind a domain and / if it has one"
    )
}

/// The message for an object name that is not a [subdomain](is_subdomain).
pub fn not_a_name(name: &str, kind: &str) -> String {
    format!("{name:?} cannot be the name of a {kind}: write a-z, 0-9, - and . only, first and last a letter or digit")
}

fn is_framed(text: &str, outer: impl Fn(char) -> bool, inner: impl Fn(char) -> bool) -> bool {
    text.starts_with(&outer) && text.ends_with(&outer) && text.chars().all(inner)
}

/// The edit distance (Levenshtein) between two texts, if it is at most `most`. The cost depends only on the length of
/// the shorter text.
pub(crate) fn distance(one: &str, other: &str, most: usize) -> Option<usize> {
    const FAR: usize = usize::MAX / 2;
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    // The usual table, row by row, restricted to the band around the diagonal that `most` allows.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.iter().enumerate() {
        let mut diagonal = row.get(i.saturating_sub(most)).copied().unwrap_or(FAR);
        let mut left = if i < most { i + 1 } else { FAR };
        if let (Some(first), true) = (row.first_mut(), i < most) {
            *first = i + 1;
        }
        let mut least = left;
        let band = i.saturating_sub(most)..(i + most + 1).min(other.len());
        for j in band {
            let (Some(place), Some(against)) = (row.get_mut(j + 1), other.get(j)) else {
                break;
            };
            let above = if j == i + most { FAR } else { *place };
            let best = (diagonal + usize::from(letter != against)).min(left.min(above) + 1);
            diagonal = *place;
            *place = best;
            left = best;
            least = least.min(best);
        }
        // The minimum of a row never decreases.
        if least > most {
            return None;
        }
    }
    row.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_what_it_is_where_it_is_small() {
        for (one, other, number) in [
            ("", "", 0),
            ("", "ab", 2),
            ("abc", "abc", 0),
            ("LOG_COLOR", "LOG_COLOUR", 1),
            ("PEER_PORT", "PEER_PROT", 2),
            ("kitten", "sitting", 3),
            ("abcdef", "badcfe", 4),
            ("aaaaaaaa", "bbbbbbbb", 8),
            ("xabcdefgh", "abcdefghx", 2),
        ] {
            for most in 0..10 {
                let found = (distance(one, other, most), distance(other, one, most));
                let wanted = (number <= most).then_some(number);
                assert_eq!(found, (wanted, wanted), "{one} {other} {most}");
            }
        }
    }

    #[test]
    fn each_rule_takes_what_kubernetes_takes() {
        let (long, longer) = ("a".repeat(63), "a".repeat(64));
        for (text, label, subdomain, value) in [
            ("stellar", true, true, true),
            ("1-a", true, true, true),
            (&long, true, true, true),
            (&longer, false, true, false),
            ("a.b", false, true, true),
            ("a..b", false, false, true),
            ("A_b", false, false, true),
            ("-a", false, false, false),
            ("a-", false, false, false),
            (" a", false, false, false),
            ("", false, false, true),
            (&format!("{long}.{long}.{long}.{long}"), false, false, false),
        ] {
            let found = (is_dns_label(text), is_subdomain(text), is_label_value(text));
            assert_eq!(found, (label, subdomain, value), "{text:?}");
        }
    }
}
