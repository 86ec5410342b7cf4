//! The admission webhook: what the API server asks before it stores an object.
//!
//! | module | what it is for |
//! |---|---|
//! | [`config`] | its flags |
//! | [`server`] | HTTPS: routes, drain, and how the parts are joined |
//! | [`limits`] | what one client, or many, may cost |
//! | [`reviewer`] | what the HTTP layer knows of the rules: a body goes in, an answer comes out |

pub mod config;
pub mod limits;
pub mod reviewer;
pub mod server;
