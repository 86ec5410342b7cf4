//! Which objects are refused, and what their author is told.
//!
//! All problems at once. Pure: the webhook, `check` and the controller ask the same function.

use std::collections::HashMap;

use serde_json::Value;

use super::context::Context;
use super::rules::{stellar_node, workload};
use super::stateful_set::ValidatorSet;
use crate::kubernetes::field_error::{FieldError, LONGEST};
use crate::kubernetes::names::distance;
use crate::labels;
use crate::util::text::cut;

/// What is wrong with an object, and what is unwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Each refuses the object.
    pub errors: Vec<FieldError>,
    /// Told and let pass; one line each.
    pub warnings: Vec<String>,
    /// How many errors there are beside these.
    more: usize,
}

/// Most errors, and most warnings, that are kept: a short object can have a great many, and each is a sentence.
const MOST: usize = 1000;

impl Verdict {
    /// Whether the object may be stored.
    pub fn passes(&self) -> bool {
        self.errors.is_empty() && self.more == 0
    }

    pub(super) fn error(&mut self, error: FieldError) {
        if self.errors.len() < MOST {
            self.errors.push(error);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        if self.warnings.len() < MOST {
            self.warnings.push(cut(warning.into(), LONGEST));
        }
    }
}

/// Judges an object. `old` is the stored object on an update, `None` on a create.
///
/// A problem that the stored object already has is a warning: rules that came later never lock an object in.
pub fn validate(object: &Value, old: Option<&Value>, context: &dyn Context) -> Verdict {
    let mut verdict = alone(object, context);
    if let Some(old) = old {
        let before = alone(old, context);
        verdict.more = verdict.more.saturating_sub(before.more);
        let known = take_known(&mut verdict.errors, before.errors);
        verdict
            .warnings
            .extend(known.iter().map(|error| format!("as before, {error}")));
        if object["kind"] == labels::KIND {
            stellar_node::check_change(object, old, &mut verdict);
        }
    }
    if verdict.more > 0 {
        let message = format!("there are {} problems more: mend these first", verdict.more);
        verdict.errors.push(FieldError::invalid("spec", message));
    }
    verdict
}

/// Takes from `errors` those that the stored object already has. Where an element of a list was added or removed, the
/// same problem has another place; each of them excuses one.
fn take_known(errors: &mut Vec<FieldError>, before: Vec<FieldError>) -> Vec<FieldError> {
    let mut left: HashMap<FieldError, usize> = HashMap::new();
    for error in before {
        *left.entry(error).or_default() += 1;
    }
    let mut known: Vec<FieldError> = errors.extract_if(.., |error| excuses(&mut left, error)).collect();
    let mut elsewhere: HashMap<FieldError, usize> = HashMap::new();
    for (error, count) in left {
        *elsewhere.entry(unplaced(&error)).or_default() += count;
    }
    known.extend(errors.extract_if(.., |error| excuses(&mut elsewhere, &unplaced(error))));
    known
}

/// Whether one of these is left that is the same; it is used up then.
fn excuses(left: &mut HashMap<FieldError, usize>, error: &FieldError) -> bool {
    match left.get_mut(error) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

/// A problem without the places of elements in lists, as in `spec.sidecars[1].name`.
fn unplaced(error: &FieldError) -> FieldError {
    let without = |text: &str| {
        let parts = text.split('[').map(|part| match part.split_once(']') {
            Some((place, rest)) if place.bytes().all(|byte| byte.is_ascii_digit()) => rest.to_owned(),
            _ => format!("[{part}"),
        });
        parts.collect::<String>()
    };
    FieldError {
        reason: error.reason,
        message: without(&error.message),
        field: without(&error.field),
    }
}

/// What can be said of an object without knowing what it was.
fn alone(object: &Value, context: &dyn Context) -> Verdict {
    let mut verdict = Verdict::default();
    match object["kind"].as_str() {
        Some(labels::KIND) => {
            stellar_node::check(object, context, &mut verdict);
            check_annotations(object, &mut verdict);
        }
        Some("StatefulSet") => {
            if let Some(set) = ValidatorSet::new(object) {
                let config = set.config(context);
                workload::check(object, set.expecting(config.as_ref()), &mut verdict);
                check_annotations(object, &mut verdict);
            }
        }
        _ => {}
    }
    verdict
}

/// Annotations of ours that mean nothing are typing errors: say which was meant.
fn check_annotations(object: &Value, verdict: &mut Verdict) {
    let prefix = format!("{}/", labels::GROUP);
    let annotations = object["metadata"]["annotations"].as_object();
    for name in annotations.into_iter().flat_map(|map| map.keys()) {
        if !name.starts_with(&prefix) || labels::ANNOTATIONS.contains(&name.as_str()) {
            continue;
        }
        let nearest = labels::USER_ANNOTATIONS
            .iter()
            .filter_map(|candidate| Some((distance(name, candidate, 3)?, candidate)))
            .min();
        let advice = match nearest {
            Some((_, candidate)) => format!("did you mean {candidate}?"),
            None => format!("the operator reads {}", labels::USER_ANNOTATIONS.join(", ")),
        };
        verdict.warn(format!(
            "metadata.annotations: {name} means nothing to the operator; {advice}"
        ));
    }
}
