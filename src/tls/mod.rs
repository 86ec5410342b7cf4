//! The webhook's certificates: issued, shared by all replicas, rotated, reloaded, and announced in `caBundle`.
//!
//! | module | what it is for |
//! |---|---|
//! | [`certificate`] | a certificate in PEM, with the fields that decisions need |
//! | [`issue`] | issues CAs and leaf certificates |
//! | [`material`] | the content of the certificate Secret |
//! | [`plan`] | the next step of rotation (pure) |
//! | [`store`] | the Secret: created once, updated with preconditions |
//! | [`serving`] | the served certificate; replaced without dropping a connection |
//! | [`ca_bundle`] | `caBundle` in both webhook configurations |
//! | [`upkeep`] | the loops that join these |
//!
//! # CA rotation without a failed call
//!
//! A replica may serve a leaf until it expires, however late it reads the Secret. So a CA is trusted *before* it signs
//! and *until* it expires. At two thirds of the current CA's lifetime, the next one is issued and added to the bundle.
//! It signs only after the API server has had that bundle for a while. The former CA no longer signs (its key is
//! discarded), and stays in the bundle until it expires. No leaf outlives its CA.

pub mod ca_bundle;
pub mod certificate;
pub mod issue;
pub mod material;
mod pace;
pub mod plan;
pub mod serving;
pub mod store;
pub mod upkeep;
