//! The interface between the HTTP server and the rules: the body of a review in, the body of an answer out.

/// Decides reviews. Pure: the same body always gives the same answer.
pub trait Reviewer: Send + Sync + 'static {
    /// Answers a review sent to `/mutate`.
    fn mutate(&self, body: &[u8]) -> Answer;
    /// Answers a review sent to `/validate`.
    fn validate(&self, body: &[u8]) -> Answer;
    /// Whether the review is cheaper to decide than to hand to another thread.
    fn is_quick(&self, body: &[u8]) -> bool;
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status: 200 for every decision, allowed or denied; 400 for an invalid review.
    pub status: u16,
    /// JSON for a decision, otherwise one sentence.
    pub body: Vec<u8>,
    /// Fields of the log line.
    pub facts: Facts,
}

/// Fields of a review's log line; empty if the body does not contain them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub uid: String,
    pub kind: String,
    pub operation: String,
    pub namespace: String,
    pub name: String,
    /// Whether the object is allowed; `None` without a decision.
    pub allowed: Option<bool>,
    /// Whether no rule covers objects of this kind.
    pub unknown_kind: bool,
    /// `response.status.code` of a denial.
    pub code: Option<u16>,
}
