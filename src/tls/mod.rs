//! The webhook's certificates: made, shared by all replicas, rotated, reloaded, and told to the API server.
//!
//! | module | what it is for |
//! |---|---|
//! | [`certificate`] | a certificate in PEM and the facts that decisions need |
//! | [`issue`] | makes authorities and leaves |
//! | [`material`] | what the certificate Secret holds |
//! | [`plan`] | what to do next to the material (pure) |
//! | [`store`] | the Secret: created once, updated with preconditions |
//! | [`serving`] | what the server shows to clients; changes without dropping a connection |
//! | [`ca_bundle`] | `caBundle` in both webhook configurations |
//! | [`upkeep`] | the loops that join these |
//!
//! # How an authority is replaced without a failed call
//!
//! A replica may serve a leaf for as long as that leaf is good, however late it reads the Secret. So an authority is
//! trusted *before* it signs and *until* it expires: at two thirds of the old one's life the next is made and put in
//! the bundle beside it; only when the API server has had that bundle for a while does it sign; the old one, which no
//! longer signs (its key is thrown away), stays in the bundle until it expires. No leaf outlives its authority.

pub mod ca_bundle;
pub mod certificate;
pub mod issue;
pub mod material;
mod pace;
pub mod plan;
pub mod serving;
pub mod store;
pub mod upkeep;
