//! What the webhook adds, refuses, warns of and accepts: one case each, with the API server's answer.
//!
//! Every case sends one request and states the whole answer: values of the stored object, or each problem with its
//! field, and all warnings. An unexpected warning fails the case. The cases of a table run one by one in one namespace,
//! each on its own objects, and all failures are reported together.

#![expect(clippy::needless_pass_by_value, reason = "a table reads better without references")]

mod nodes_changed;
mod nodes_completed;
mod nodes_refused;
mod nodes_warned_of;
mod objects;
mod request;
mod stateful_sets_completed;
mod stateful_sets_judged;
mod stored_before_the_rule;

use serde_json::{Value, json};

use request::{Answer, Server, Step};
use test_kit::{Cluster, TestEnv};

/// The API server's prefix of a webhook's message.
const WEBHOOK: &str = "admission webhook";

/// One request and the whole answer to it.
struct Case {
    name: &'static str,
    before: Vec<Step>,
    request: Step,
    stored: Vec<(&'static str, Value)>,
    problems: Vec<Problem>,
    warnings: Vec<&'static str>,
}

/// A problem that refuses the request.
struct Problem {
    /// The CRD's schema or its rules refuse it, so the webhook sees no other problem.
    by_schema: bool,
    field: &'static str,
    reason: &'static str,
    words: &'static str,
}

impl Case {
    /// A request that passes without a warning; the other builder functions change that.
    fn new(name: &'static str, request: Step) -> Self {
        Self {
            name,
            before: Vec::new(),
            request,
            stored: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// A request that creates an object.
    fn create(name: &'static str, object: Value) -> Self {
        Self::new(name, Step::create(object))
    }

    /// A request that changes a stored object with a merge patch, like `kubectl patch --type=merge`.
    fn patch(name: &'static str, stored: Value, patch: Value) -> Self {
        let request = Step::patch(&stored, patch);
        Self::new(name, request).after(Step::create(stored))
    }

    /// Sends this request first, which must succeed.
    fn after(mut self, step: Step) -> Self {
        self.before.push(step);
        self
    }

    /// The stored object has this value at this place.
    fn stores(mut self, pointer: &'static str, value: Value) -> Self {
        self.stored.push((pointer, value));
        self
    }

    /// The stored object has nothing at this place.
    fn lacks(self, pointer: &'static str) -> Self {
        self.stores(pointer, Value::Null)
    }

    /// There is a warning with these words.
    fn warns(mut self, words: &'static str) -> Self {
        self.warnings.push(words);
        self
    }

    /// The webhook refuses the value of a field.
    fn invalid(self, field: &'static str, words: &'static str) -> Self {
        self.refused(false, field, "FieldValueInvalid", words)
    }

    /// The webhook requires a field.
    fn required(self, field: &'static str, words: &'static str) -> Self {
        self.refused(false, field, "FieldValueRequired", words)
    }

    /// The webhook refuses a change.
    fn forbidden(self, field: &'static str, words: &'static str) -> Self {
        self.refused(false, field, "FieldValueForbidden", words)
    }

    /// The webhook refuses a duplicate value.
    fn duplicate(self, field: &'static str, words: &'static str) -> Self {
        self.refused(false, field, "FieldValueDuplicate", words)
    }

    /// The CRD refuses the value of a field before the webhook is called.
    fn invalid_by_schema(self, field: &'static str, words: &'static str) -> Self {
        self.refused(true, field, "FieldValueInvalid", words)
    }

    /// The CRD requires a field before the webhook is called.
    fn required_by_schema(self, field: &'static str, words: &'static str) -> Self {
        self.refused(true, field, "FieldValueRequired", words)
    }

    fn refused(mut self, by_schema: bool, field: &'static str, reason: &'static str, words: &'static str) -> Self {
        self.problems.push(Problem {
            by_schema,
            field,
            reason,
            words,
        });
        self
    }

    async fn check(&self, server: &Server<'_>) -> Result<(), String> {
        for step in &self.before {
            let answer = server.send(step).await;
            if !answer.is_success() {
                return Err(format!("the preceding request was refused: {answer}"));
            }
            server.until_seen(step, &answer).await;
        }
        let answer = server.send(&self.request).await;
        let complaints: Vec<String> = self.complaints(&answer).collect();
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(format!("{}\n    in {answer}", complaints.join("\n    ")))
        }
    }

    fn complaints(&self, answer: &Answer) -> impl Iterator<Item = String> {
        let verdict = if self.problems.is_empty() {
            self.not_stored(answer)
        } else {
            self.not_refused(answer)
        };
        verdict.into_iter().chain(self.not_warned(answer))
    }

    fn not_stored(&self, answer: &Answer) -> Vec<String> {
        if !answer.is_success() {
            return vec!["the request was refused".to_owned()];
        }
        let differs = |(pointer, value): &(&str, Value)| {
            let found = answer.body.pointer(pointer).unwrap_or(&Value::Null);
            (found != value).then(|| format!("{pointer} is {found}, not {value}"))
        };
        self.stored.iter().filter_map(differs).collect()
    }

    fn not_refused(&self, answer: &Answer) -> Vec<String> {
        let status = &answer.body;
        if (answer.code, &status["reason"]) != (422, &json!("Invalid")) {
            return vec!["the request was not refused as invalid".to_owned()];
        }
        let mut complaints = Vec::new();
        let message = status["message"].as_str().unwrap_or_default();
        let causes = status["details"]["causes"].as_array().map_or(&[][..], Vec::as_slice);
        for problem in &self.problems {
            let is_it = |cause: &Value| {
                let message = cause["message"].as_str().unwrap_or_default();
                cause["field"] == problem.field && cause["reason"] == problem.reason && message.contains(problem.words)
            };
            if !causes.iter().any(is_it) {
                complaints.push(format!(
                    "no cause is {} of {} with {:?}",
                    problem.reason, problem.field, problem.words
                ));
            }
            // Client libraries show only the message.
            if !(message.contains(problem.field) && message.contains(problem.words)) {
                complaints.push(format!("the message lacks {} or {:?}", problem.field, problem.words));
            }
            if message.contains(WEBHOOK) == problem.by_schema {
                complaints.push(format!("{} comes from the wrong source", problem.field));
            }
        }
        if causes.len() != self.problems.len() {
            complaints.push(format!("{} causes, not {}", causes.len(), self.problems.len()));
        }
        complaints
    }

    fn not_warned(&self, answer: &Answer) -> Vec<String> {
        let has = |words: &&&str| answer.warnings.iter().any(|warning| warning.contains(**words));
        let missing = self.warnings.iter().filter(|words| !has(words));
        let mut complaints: Vec<String> = missing.map(|words| format!("no warning has {words:?}")).collect();
        if answer.warnings.len() != self.warnings.len() {
            let (found, expected) = (answer.warnings.len(), self.warnings.len());
            complaints.push(format!("{found} warnings, not {expected}"));
        }
        complaints
    }
}

/// Checks every case of a table and reports all failures together.
async fn check(env: &TestEnv, cases: Vec<Case>) {
    let server = Server::new(env, Cluster::connect().client().await);
    let mut failures = Vec::new();
    for case in &cases {
        if let Err(why) = case.check(&server).await {
            failures.push(format!("- {}:\n    {why}", case.name));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases fail:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}
