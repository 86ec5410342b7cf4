//! `docs/operations.md` explains exactly the conditions, reasons and Events of the code.

use std::collections::BTreeSet;

use stellar_k8s::controller::model::conditions::{ConditionType, Reason};
use stellar_k8s::controller::status::events::EventReason;
use strum::VariantArray as _;

use crate::{code, read, rows, section};

#[test]
fn documented_reasons_equal_those_of_the_code() {
    let text = read("docs/operations.md");
    let mut explained = BTreeSet::new();
    let mut condition = String::new();
    for row in rows(section(&text, "## Conditions")).into_iter().skip(1) {
        if let [name] = code(&row[0]).as_slice() {
            condition.clone_from(name);
        }
        explained.extend(code(&row[1]).into_iter().map(|reason| (condition.clone(), reason)));
    }
    let given = Reason::all().into_iter().map(|reason| {
        let condition = ConditionType::from(reason).as_str();
        (condition.to_owned(), reason.as_str().to_owned())
    });
    assert_eq!(explained, given.collect());
}

#[test]
fn documented_events_equal_those_of_the_code() {
    let text = read("docs/operations.md");
    let events = rows(section(&text, "## Events")).into_iter().skip(1);
    let explained: BTreeSet<String> = events.flat_map(|row| code(&row[0])).collect();
    let given: BTreeSet<String> = EventReason::VARIANTS
        .iter()
        .map(|reason| reason.as_str().to_owned())
        .collect();
    assert!(
        given.is_subset(&explained),
        "not explained: {:?}",
        given.difference(&explained)
    );
    // The other Events report that a condition began.
    let mut others = explained.difference(&given);
    assert!(
        others.all(|event| Reason::all().iter().any(|reason| reason.as_str() == event)),
        "{explained:?}"
    );
}
