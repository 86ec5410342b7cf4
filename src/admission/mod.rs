//! The admission webhook: what the API server asks before it stores an object.
//!
//! | module | what it is for |
//! |---|---|
//! | [`config`] | its flags |
//! | [`server`] | HTTPS: routes, drain, and how the parts are joined |
//! | [`limits`] | what one client, or many, may cost |
//! | [`review`] | the wire: `AdmissionReview` in and out |
//! | [`field_error`] | one problem of one field |
//! | [`context`] | what the rules know beside the object |
//! | [`stateful_set`] | how a StatefulSet is read |
//! | [`mutate`](mod@mutate) | what is added to an object before it is stored |
//! | [`reviewer`] | what the HTTP layer knows of the rules: a body goes in, an answer comes out |

pub mod config;
pub mod context;
pub mod field_error;
pub mod limits;
pub mod mutate;
pub mod review;
pub mod reviewer;
pub mod server;
pub mod stateful_set;
