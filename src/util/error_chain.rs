//! Formats an error with its causes on one line, for a condition, an Event or a readiness message.

use std::error::Error;

use super::text::plain;

/// The error and all its sources, joined by `: `.
pub fn on_one_line(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    plain(&words.join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("nothing was built")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn what_caused_it_comes_behind_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("a\u{1b}[2J\nb")]
        struct Obeyed;
        assert_eq!(on_one_line(&Obeyed), r"a\u{1b}[2J\nb");
        let error = Outer("x".parse::<u8>().unwrap_err());
        assert_eq!(on_one_line(&error), "nothing was built: invalid digit found in string");
    }
}
