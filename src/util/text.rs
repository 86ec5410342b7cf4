//! Escapes foreign text before it reaches a terminal, the log, an Event, a condition or a metric.

use std::fmt::Write as _;
use std::io::{self, Write};

/// Escapes control and direction characters in Rust's notation. Unescaped, an ESC moves the cursor of a terminal, a
/// newline starts a new line of the log, and a direction mark reverses the text after it.
pub fn plain(text: &str) -> String {
    // The common case.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for sign in text.chars() {
        if is_plain(sign) {
            shown.push(sign);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(shown, "{}", sign.escape_default());
        }
    }
    shown
}

fn is_plain(sign: char) -> bool {
    let changes_layout = matches!(sign, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !sign.is_control() && !changes_layout
}

/// Escapes each line with [`plain`]. Every call of `write` must hold one whole line.
#[derive(Debug)]
pub(crate) struct PlainLines<W> {
    pub(crate) inner: W,
    /// Whether lines may hold colour codes, which begin with an ESC.
    pub(crate) coloured: bool,
}

impl<W: Write> Write for PlainLines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let (text, end) = match text.strip_suffix('\n') {
            Some(text) => (text, "\n"),
            None => (&*text, ""),
        };
        let mut shown = if self.coloured {
            let parts: Vec<String> = text.split('\u{1b}').map(plain).collect();
            parts.join("\u{1b}")
        } else {
            plain(text)
        };
        shown.push_str(end);
        // Another thread's line may come between two writes, so a line is one.
        self.inner.write_all(shown.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Truncates a text to `most` characters and marks the cut with `…`.
pub(crate) fn cut(mut text: String, most: usize) -> String {
    // A character has at least one byte, so a shorter text needs no count.
    if text.len() > most
        && let Some((end, _)) = text.char_indices().nth(most)
    {
        text.truncate(end);
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_that_do_something_are_written_as_text() {
        for (text, shown) in [
            ("stellar-core 26.0.1 – größer", "stellar-core 26.0.1 – größer"),
            ("a\u{1b}[2Jb", r"a\u{1b}[2Jb"),
            ("a\r\n\tb\0", r"a\r\n\tb\u{0}"),
            ("\u{9b}2J\u{7f}", r"\u{9b}2J\u{7f}"),
            ("\u{202e}lanimret", r"\u{202e}lanimret"),
        ] {
            assert_eq!(plain(text), shown);
        }
    }

    #[test]
    fn a_line_is_one_line() {
        for (coloured, shown) in [
            (true, "\u{1b}[2mINFO\u{1b}[0m a\\nb\n"),
            (false, "\\u{1b}[2mINFO\\u{1b}[0m a\\nb\n"),
        ] {
            let mut inner = Vec::new();
            let mut lines = PlainLines {
                inner: &mut inner,
                coloured,
            };
            lines.write_all("\u{1b}[2mINFO\u{1b}[0m a\nb\n".as_bytes()).unwrap();
            assert_eq!(String::from_utf8(inner).unwrap(), shown);
        }
    }

    #[test]
    fn a_line_is_one_write() {
        #[derive(Default)]
        struct Writes(Vec<Vec<u8>>);
        impl Write for Writes {
            fn write(&mut self, part: &[u8]) -> io::Result<usize> {
                self.0.push(part.to_vec());
                Ok(part.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for coloured in [false, true] {
            let mut inner = Writes::default();
            let mut lines = PlainLines {
                inner: &mut inner,
                coloured,
            };
            lines.write_all(b"a line\n").unwrap();
            assert_eq!(inner.0, [b"a line\n"]);
        }
    }

    #[test]
    fn what_is_cut_says_so() {
        for (text, shown) in [
            ("", ""),
            ("abc", "abc"),
            ("abcd", "abc…"),
            ("äöü", "äöü"),
            ("äöüß", "äöü…"),
        ] {
            assert_eq!(cut(text.to_owned(), 3), shown);
        }
    }
}
