//! `docs/operations.md` explains every condition, reason and Event that the code can give, and no other.

use std::collections::BTreeSet;

use crate::{code, files, read, rows, section};

/// Words in capitals beside reasons: values of statuses, what Kubernetes calls things, names of types and of what an Event did.
const NO_REASONS: [&str; 12] = [
    "False",
    "True",
    "NewReplicaSetAvailable",
    "Namespace",
    "StatusWriter",
    "Discovery",
    "Repair",
    "Restart",
    "RestartForLinks",
    "RestartForPeers",
    "RestartForSpec",
    "DeletePod",
];
/// Where reasons are given.
const GIVES: [&str; 5] = [
    "Finding::new(",
    ".tell(",
    "event_of(",
    "\"ConfigInvalid\", \"True\"",
    "has_reason(",
];

/// The part of each file of the controller that is not a test, where it gives reasons.
fn sources() -> Vec<String> {
    let all = files("src/controller").into_iter().filter(|file| file.ends_with(".rs"));
    let without_tests = all.map(|file| {
        let text = read(&file);
        let code = text.split("#[cfg(test)]").next().expect("a part").lines();
        let code: Vec<&str> = code.filter(|line| !line.trim_start().starts_with("//")).collect();
        code.join("\n")
    });
    without_tests
        .filter(|text| GIVES.iter().any(|sign| text.contains(sign)))
        .collect()
}

fn is_word(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_uppercase())
        && text.chars().all(|letter| letter.is_ascii_alphabetic())
}

fn in_code() -> BTreeSet<String> {
    let sources = sources();
    let literals = sources.iter().flat_map(|text| text.split('"').skip(1).step_by(2));
    let words = literals.filter(|text| is_word(text) && !NO_REASONS.contains(text));
    words.map(str::to_owned).collect()
}

/// Conditions with their reasons, and Events.
fn explained() -> (BTreeSet<(String, String)>, BTreeSet<String>) {
    let text = read("docs/operations.md");
    let mut conditions = BTreeSet::new();
    let mut condition = String::new();
    for row in rows(section(&text, "## Conditions")).into_iter().skip(1) {
        if let [name] = code(&row[0]).as_slice() {
            condition.clone_from(name);
        }
        conditions.extend(code(&row[1]).into_iter().map(|reason| (condition.clone(), reason)));
    }
    let events = rows(section(&text, "## Events")).into_iter().skip(1);
    let events = events.flat_map(|row| code(&row[0])).collect();
    (conditions, events)
}

/// Conditions with their reasons as far as they can be read off one call: `Finding::new("Type", status, "Reason", …)`, and
/// `finding(status, "Reason", …)` where such a call with a variable came before.
fn pairs_in_code() -> BTreeSet<(String, String)> {
    let mut pairs = BTreeSet::new();
    for text in sources() {
        let mut condition = String::new();
        let calls = text.replace("Finding::new(", "\u{1}").replace("finding(", "\u{2}");
        for call in calls.split_inclusive(['\u{1}', '\u{2}']).collect::<Vec<_>>().windows(2) {
            let words: Vec<&str> = call[1]
                .splitn(4, ',')
                .map(|word| word.trim().trim_matches('"'))
                .collect();
            if call[0].ends_with('\u{1}') {
                condition = words[0].to_owned();
                if words.len() > 2 && is_word(words[2]) {
                    pairs.insert((condition.clone(), words[2].to_owned()));
                }
            } else if words.len() > 1 && is_word(words[1]) {
                pairs.insert((condition.clone(), words[1].to_owned()));
            }
        }
    }
    pairs
}

#[test]
fn every_reason_in_the_code_is_explained_and_no_other() {
    let (conditions, events) = explained();
    let words = conditions.iter().flat_map(|(condition, reason)| [condition, reason]);
    let explained: BTreeSet<String> = words.chain(&events).cloned().collect();
    let in_code = in_code();
    assert!(in_code.len() > 40, "{in_code:?}");
    let missing: Vec<&String> = in_code.difference(&explained).collect();
    assert!(missing.is_empty(), "not in docs/operations.md: {missing:?}");
    let gone: Vec<&String> = explained.difference(&in_code).collect();
    assert!(gone.is_empty(), "in docs/operations.md and not in the code: {gone:?}");
}

#[test]
fn each_is_explained_with_its_condition() {
    let pairs = pairs_in_code();
    assert!(pairs.len() > 30, "{pairs:?}");
    let (conditions, _) = explained();
    let missing: Vec<_> = pairs.difference(&conditions).collect();
    assert!(missing.is_empty(), "not in docs/operations.md: {missing:?}");
}
