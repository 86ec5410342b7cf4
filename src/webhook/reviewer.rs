//! What the HTTP layer knows of the rules: the body of a review goes in, the body of an answer comes out.

/// Decides reviews. Pure: the same body gives the same answer, however often it is asked.
pub trait Reviewer: Send + Sync + 'static {
    /// Answers a review sent to `/mutate`.
    fn mutate(&self, body: &[u8]) -> Answer;
    /// Answers a review sent to `/validate`.
    fn validate(&self, body: &[u8]) -> Answer;
    /// Whether either is answered so soon that handing it to another thread would cost more than it spares the others.
    fn is_quick(&self, body: &[u8]) -> bool;
}

/// The answer to one review.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status: 200 for every decision, allowed or not; 400 for what is no review.
    pub status: u16,
    /// JSON for a decision, else one sentence.
    pub body: Vec<u8>,
    /// What goes to the log.
    pub facts: Facts,
}

/// What the log says of a review; empty where the body did not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `request.uid`.
    pub uid: String,
    /// `request.kind.kind`.
    pub kind: String,
    /// `request.operation`.
    pub operation: String,
    /// `request.namespace`.
    pub namespace: String,
    /// `request.name`.
    pub name: String,
    /// Whether the object was allowed; none where nothing was decided.
    pub allowed: Option<bool>,
    /// Whether there are no rules for an object of its kind.
    pub unknown_kind: bool,
    /// `response.status.code` of a denial.
    pub code: Option<u16>,
}
