//! The reflector caches, and the conversion of their objects into a snapshot.
//!
//! | module | what it is for |
//! |---|---|
//! | [`caches`], `watches` | the reflector caches, and the events that trigger a decision |
//! | `trim`, `trim_template` | the fields that a cache keeps |
//! | `namespaces` | the namespaces whose restarts are paused |
//! | [`assemble`], [`convert`] | Kubernetes objects → a snapshot |
//! | `witness` | how long this process has seen each pod vote |

pub mod assemble;
pub mod caches;
pub mod convert;
#[cfg(test)]
mod memory_tests;
pub(crate) mod namespaces;
pub(crate) mod trim;
pub(crate) mod trim_template;
pub(crate) mod watches;
pub(crate) mod witness;
