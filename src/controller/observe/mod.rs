//! The reflector caches, and how objects become a snapshot.
//!
//! | module | what it is for |
//! |---|---|
//! | [`caches`], `watches` | what is cached, where, and what wakes whom |
//! | `trim` | what a cache keeps of an object |
//! | `namespaces` | in which namespaces restarts are paused |
//! | [`assemble`], [`convert`] | objects as the API server gave them → a snapshot |
//! | `witness` | how long this process has seen a validator vote |

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
