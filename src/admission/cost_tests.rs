//! Memory of the answers to the most expensive reviews. `benches/instructions.rs` measures their time.

#[path = "../../benches/bodies/worst.rs"]
mod worst;

use std::sync::Arc;

use serde_json::{Value, json};

use super::context::NoContext;
use super::reviewer::Rules;
use crate::webhook::reviewer::Reviewer as _;
use crate::webhook::wire::response::MOST;

/// Largest answer in bytes: the most problems, each twice, and the most warnings.
const LARGEST: usize = 128 << 10;

fn answer(review: &[u8]) -> Value {
    let answer = Rules::new(Arc::new(NoContext)).validate(review);
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() < LARGEST, "{} bytes", answer.body.len());
    serde_json::from_slice(&answer.body).expect("JSON")
}

fn created(review: &[u8]) -> Vec<u8> {
    let mut review: Value = serde_json::from_slice(review).expect("JSON");
    review["request"]["operation"] = json!("CREATE");
    review["request"]["oldObject"] = Value::Null;
    review.to_string().into_bytes()
}

#[test]
fn no_answer_is_large() {
    for kind in &worst::WORST {
        for size in [1, kind.size] {
            let review = worst::review(&(kind.node)(size));
            answer(&review);
            answer(&created(&review));
        }
    }
}

#[test]
fn of_many_problems_the_first_are_told_and_how_many_more_there_are() {
    let kind = worst::WORST.iter().find(|kind| kind.name == "empty-sidecars");
    let review = worst::review(&(kind.expect("it is there").node)(4000));
    let response = &answer(&created(&review))["response"];
    let causes = response["status"]["details"]["causes"].as_array().expect("causes");
    assert_eq!(causes.len(), MOST + 1);
    let last = causes[MOST]["message"].as_str().expect("a message");
    assert!(
        last.starts_with("there are ") && last.contains(" more problems: fix these first"),
        "{last}"
    );
    let warnings = response["warnings"].as_array().expect("warnings");
    assert_eq!(warnings.len(), MOST + 1);
    assert!(
        warnings[MOST].as_str().expect("text").ends_with(" more warnings"),
        "{}",
        warnings[MOST]
    );
}
