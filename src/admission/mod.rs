//! Admission: what the API server asks before it stores an object, as pure rules.
//!
//! | module | what it is for |
//! |---|---|
//! | [`mutate`](mod@mutate) | what is added to an object before it is stored |
//! | [`validate`](mod@validate) | which objects are refused, and why |
//! | [`rules`] | the rules themselves, one file a subject |
//! | [`context`] | what the rules know beside the object |
//! | [`stateful_set`] | how a StatefulSet is read |
//! | [`decide`] | review → answer: what always passes, and who decides the rest |
//! | [`reviewer`] | all of that, as the [`webhook`](crate::webhook) calls it |

pub mod context;
pub mod decide;
pub mod mutate;
pub mod reviewer;
pub mod rules;
pub mod stateful_set;
pub mod validate;

#[cfg(test)]
mod cost_tests;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod mutate_tests;
#[cfg(test)]
mod validate_tests;
#[cfg(test)]
mod wire_tests;
