//! The admission rules, pure functions that the webhook runs before the API server stores an object.
//!
//! | module | what it is for |
//! |---|---|
//! | [`mutate`](mod@mutate) | adds defaults and injected fields |
//! | [`validate`](mod@validate) | refuses invalid objects |
//! | [`rules`] | the rules, one file per subject |
//! | [`context`] | the other objects that the rules may read |
//! | [`stateful_set`] | reads a validator's StatefulSet |
//! | [`decide`] | decides a review |
//! | [`reviewer`] | the interface to the [`webhook`](crate::webhook) |

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
mod hostile_review_tests;
#[cfg(test)]
mod mutate_property_tests;
#[cfg(test)]
mod mutate_tests;
#[cfg(test)]
mod update_tests;
#[cfg(test)]
mod validate_tests;
#[cfg(test)]
mod wire_tests;
