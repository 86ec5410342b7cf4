//! The rules as a [`Reviewer`]: the body of a review in, the body of an answer out.

use std::fmt;
use std::sync::Arc;

use super::context::Context;
use super::decide::{decide_mutate, decide_validate, is_known};
use crate::webhook::reviewer::{Answer, Facts, Reviewer};
use crate::webhook::wire::response::Response;
use crate::webhook::wire::review::{self, BadReview, Review};

/// Decides reviews by the rules of this program.
#[derive(Clone)]
pub struct Rules {
    context: Arc<dyn Context>,
}

/// Largest review in bytes that is decided on the thread that read it; nearly all reviews are smaller. It takes some
/// tenths of a millisecond, the most expensive one some milliseconds. Handing it to another thread would cost as much
/// as most reviews.
const QUICK: usize = 8 << 10;

type Decide = fn(&mut Review<'_>, &dyn Context) -> Result<Response, BadReview>;

impl Rules {
    pub fn new(context: Arc<dyn Context>) -> Self {
        Self { context }
    }

    fn answer(&self, body: &[u8], decide: Decide) -> Answer {
        let mut facts = Facts::default();
        let decided = review::parse(body).and_then(|mut review| {
            facts = facts_of(&review);
            let response = decide(&mut review, &*self.context)?;
            let json = response.to_json().map_err(BadReview::Json)?;
            Ok((response, json))
        });
        match decided {
            Ok((response, body)) => Answer {
                status: 200,
                body,
                facts: Facts {
                    allowed: Some(response.allowed()),
                    code: response.code(),
                    ..facts
                },
            },
            Err(error) => Answer {
                status: 400,
                body: error.sentence().into_bytes(),
                facts,
            },
        }
    }
}

impl Reviewer for Rules {
    fn mutate(&self, body: &[u8]) -> Answer {
        self.answer(body, decide_mutate)
    }

    fn validate(&self, body: &[u8]) -> Answer {
        self.answer(body, decide_validate)
    }

    fn is_quick(&self, body: &[u8]) -> bool {
        body.len() <= QUICK
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").finish_non_exhaustive()
    }
}

fn facts_of(review: &Review<'_>) -> Facts {
    let request = &review.request;
    Facts {
        uid: request.uid.to_string(),
        kind: request.kind.kind.to_string(),
        operation: request.operation.to_string(),
        namespace: request.namespace.as_deref().unwrap_or_default().to_owned(),
        name: request.name.as_deref().unwrap_or_default().to_owned(),
        allowed: None,
        unknown_kind: !is_known(request),
        code: None,
    }
}
