//! The HTTPS server of the admission webhook: connections, bodies, limits. It has no rules about Stellar.
//!
//! | module | what it is for |
//! |---|---|
//! | [`config`] | the webhook's flags |
//! | [`server`] | joins certificate, server and probes; drains on shutdown |
//! | [`handler`] | routes: reads, decides and answers a request |
//! | [`limits`] | limits on connections, memory and time |
//! | [`memory_budget`] | memory of bodies and answers |
//! | [`wire`] | parses and writes `AdmissionReview` |
//! | [`reviewer`] | the trait that decides a review |

pub mod config;
pub mod handler;
pub mod limits;
pub mod memory_budget;
pub mod reviewer;
pub mod server;
pub mod wire;
