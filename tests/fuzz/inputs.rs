//! The inputs of the webhook: random bytes, and changed reviews of a real API server.

use std::fmt;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::values::{any_json, write};

/// The body of a request.
#[derive(Clone)]
pub(crate) struct Body(pub(crate) Vec<u8>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        let shown: String = text.chars().take(6000).collect();
        write!(f, "{} bytes: {shown}", self.0.len())
    }
}

/// The reviews in `tests/reviews`, sorted by name.
pub(crate) fn captured() -> Vec<(String, Body)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reviews");
    let mut reviews: Vec<(String, Body)> = std::fs::read_dir(directory)
        .expect("tests/reviews")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (name, Body(std::fs::read(&path).expect("a review")))
        })
        .collect();
    reviews.sort_by(|one, other| one.0.cmp(&other.0));
    reviews
}

pub(crate) fn bodies() -> Vec<Body> {
    captured().into_iter().map(|(_, body)| body).collect()
}

/// Random bytes, alone or in place of a part of a review.
pub(crate) fn bytes() -> BoxedStrategy<Body> {
    let any = || prop::collection::vec(any::<u8>(), 0..400);
    let tokens = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "null",
        "true",
        "-0",
        "1e9",
        "\"kind\"",
        "\"request\"",
        "\"uid\"",
        "\"x\"",
        "\\u0000",
        "\\ud800",
        " ",
        "\u{feff}",
    ];
    let words = prop::collection::vec(select(tokens.to_vec()), 0..100).prop_map(|words| words.concat().into_bytes());
    let request = prop_oneof![any(), words.clone(), any_json().prop_map(|value| write(&value).0)].prop_map(|request| {
        let head = br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":"#;
        [head.as_slice(), &request, b"}"].concat()
    });
    prop_oneof![any(), words, request].prop_map(Body).boxed()
}

/// Damage of the bytes of a body.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u32),
    Cut(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize, Index),
    End(Index),
}

impl Damage {
    fn apply(&self, body: &mut Vec<u8>) {
        let size = body.len();
        let part = |from: &Index, length: usize| {
            let from = from.index(size + 1);
            from..(from + length).min(size)
        };
        match self {
            Self::Flip(at, bit) => {
                if let Some(byte) = body.get_mut(at.index(size + 1)) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Cut(at, length) => drop(body.drain(part(at, *length))),
            Self::Insert(at, bytes) => {
                let at = at.index(size + 1);
                body.splice(at..at, bytes.iter().copied());
            }
            Self::Repeat(from, length, to) => {
                let repeated = body[part(from, *length)].to_vec();
                let to = to.index(size + 1);
                body.splice(to..to, repeated);
            }
            Self::End(at) => body.truncate(at.index(size + 1)),
        }
    }
}

/// Captured reviews with a few wrong bytes.
pub(crate) fn damaged() -> BoxedStrategy<Body> {
    let at = any::<Index>;
    let damage = prop_oneof![
        // Rarely the highest bit, because it makes the text invalid UTF-8.
        20 => (at(), select(vec![0, 0, 0, 1, 1, 2, 3, 4, 5, 5, 6, 7])).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        3 => (at(), 1..20_usize).prop_map(|(at, length)| Damage::Cut(at, length)),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        2 => (at(), "[ -~]{1,8}").prop_map(|(at, text)| Damage::Insert(at, text.into_bytes())),
        2 => (at(), 1..200_usize, at()).prop_map(|(from, length, to)| Damage::Repeat(from, length, to)),
        1 => at().prop_map(Damage::End),
    ];
    (select(bodies()), prop::collection::vec(damage, 1..3))
        .prop_map(|(Body(mut body), damages)| {
            for damage in damages {
                damage.apply(&mut body);
            }
            Body(body)
        })
        .boxed()
}
