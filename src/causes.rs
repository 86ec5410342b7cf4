//! An error for a person who sees one line of it: a condition, an Event, a reason why somebody is not ready.

use std::error::Error;

/// An error with everything that caused it.
pub fn on_one_line(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("nothing was built")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn what_caused_it_comes_behind_it() {
        let error = Outer("x".parse::<u8>().unwrap_err());
        assert_eq!(on_one_line(&error), "nothing was built: invalid digit found in string");
    }
}
