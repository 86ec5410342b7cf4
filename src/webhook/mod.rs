//! The HTTPS side of the admission webhook: connections, bodies, limits. Knows nothing of Stellar.
//!
//! | module | what it is for |
//! |---|---|
//! | [`config`] | its flags |
//! | [`server`] | HTTPS: drain, and how the parts are joined |
//! | [`handler`] | a request is read, decided and answered |
//! | [`limits`] | what one client, or many, may cost |
//! | [`room`] | the memory for bodies and answers |
//! | [`wire`] | `AdmissionReview` in and out |
//! | [`reviewer`] | who decides: a body goes in, an answer comes out |

pub mod config;
pub mod handler;
pub mod limits;
pub mod reviewer;
pub mod room;
pub mod server;
pub mod wire;
