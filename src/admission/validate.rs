//! Validates objects and reports all problems at once.
//!
//! Pure: the webhook, `check` and the controller call the same function.

use std::collections::HashMap;

use serde_json::Value;

use super::context::Context;
use super::rules::{stellar_node, workload};
use super::stateful_set::ValidatorSet;
use crate::kubernetes::field_error::{FieldError, LONGEST};
use crate::kubernetes::names::distance;
use crate::labels;
use crate::util::text::cut;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Each error refuses the object.
    pub errors: Vec<FieldError>,
    /// Warnings do not refuse the object; one line each.
    pub warnings: Vec<String>,
    /// Number of errors that are not kept.
    more: usize,
}

/// Most errors, and most warnings, that are kept: a short object can cause many, and each is a sentence.
const MOST: usize = 1000;

impl Verdict {
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

/// Validates an object. `old` is the stored object on an update, `None` on a create.
///
/// A problem that the stored object already has is only a warning, so a new rule never blocks updates of an existing
/// object.
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
        let message = format!("there are {} more problems: fix these first", verdict.more);
        verdict.errors.push(FieldError::invalid("spec", message));
    }
    verdict
}

/// Removes from `errors` those that the stored object already has. A change of a list moves a problem to another index;
/// each known problem excuses one such error.
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

/// Whether an equal error is left; uses it up.
fn excuses(left: &mut HashMap<FieldError, usize>, error: &FieldError) -> bool {
    match left.get_mut(error) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

/// An error without list indices, as in `spec.sidecars[1].name`.
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

/// Validates an object without its stored version.
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

/// An unknown annotation with the operator's prefix is a typing error: suggest the nearest one.
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
