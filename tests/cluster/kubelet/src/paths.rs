//! Replaces paths inside a container by paths outside.
//!
//! There is no mount namespace, so the arguments and the environment are rewritten instead.

use std::path::PathBuf;

/// Maps paths inside the container to paths outside.
#[derive(Debug, Default, Clone)]
pub(crate) struct Mapping(Vec<(String, PathBuf)>);

impl Mapping {
    /// Maps the absolute path `inside` to `outside`.
    pub(crate) fn insert(&mut self, inside: &str, outside: PathBuf) {
        self.0.push((inside.trim_end_matches('/').to_owned(), outside));
        // A mount below another one hides that part of it.
        self.0.sort_by_key(|(inside, _)| std::cmp::Reverse(inside.len()));
    }

    /// Replaces every path in the text that is at or below a mapped path.
    pub(crate) fn rewrite(&self, text: &str) -> String {
        let mut written = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let starts = !written.ends_with(|last: char| last.is_alphanumeric() || "/._-".contains(last));
            let hit = self.0.iter().find(|(inside, _)| starts && is_at(rest, inside));
            if let Some((inside, outside)) = hit {
                written.push_str(&outside.to_string_lossy());
                rest = &rest[inside.len()..];
                // Do not treat the rest of this path as another path.
                let end = rest.find(|next: char| !in_path(next)).unwrap_or(rest.len());
                written.push_str(&rest[..end]);
                rest = &rest[end..];
            } else {
                written.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        written
    }
}

fn is_at(text: &str, inside: &str) -> bool {
    !inside.is_empty()
        && text
            .strip_prefix(inside)
            .is_some_and(|after| after.chars().next().is_none_or(|next| next == '/' || !in_path(next)))
}

fn in_path(character: char) -> bool {
    character.is_alphanumeric() || "/._-@+~".contains(character)
}

#[cfg(test)]
mod tests {
    use super::Mapping;

    #[test]
    fn paths_under_a_mount_are_rewritten_and_nothing_else() {
        let mut mapping = Mapping::default();
        mapping.insert("/config", "/r/v/config".into());
        mapping.insert("/config/base/", "/r/v/base".into());
        mapping.insert("/dev/termination-log", "/r/t".into());
        for (text, expected) in [
            ("--out=/config/stellar-core.cfg", "--out=/r/v/config/stellar-core.cfg"),
            ("/config", "/r/v/config"),
            ("/config/", "/r/v/config/"),
            ("/config/base/x", "/r/v/base/x"),
            ("/config/based", "/r/v/config/based"),
            ("/configuration", "/configuration"),
            ("/etc/config/x", "/etc/config/x"),
            ("x/config", "x/config"),
            (
                "a=/config/a,b=/config/b:/config",
                "a=/r/v/config/a,b=/r/v/config/b:/r/v/config",
            ),
            (
                "cp /config/base/a '/config/b'; echo > /dev/termination-log",
                "cp /r/v/base/a '/r/v/config/b'; echo > /r/t",
            ),
            ("--é=/config/é", "--é=/r/v/config/é"),
            ("", ""),
        ] {
            assert_eq!(mapping.rewrite(text), expected, "{text}");
        }
    }

    #[test]
    fn a_replacement_is_not_rewritten_again() {
        let mut mapping = Mapping::default();
        mapping.insert("/a", "/b/a".into());
        mapping.insert("/b", "/c".into());
        assert_eq!(mapping.rewrite("/a/a /b/x"), "/b/a/a /c/x");
    }
}
