//! Who needs a restart ([`needs`]), and who may go down now ([`slots`]): a [`plan`]. Pure.
//!
//! `progress` says how far a slot in use has come, `silent` which members are missed, `wait` what a restart waits for.

pub mod needs;
#[cfg(test)]
mod needs_tests;
pub mod plan;
pub(crate) mod progress;
#[cfg(test)]
mod shared_slots_tests;
pub(crate) mod silent;
pub mod slots;
#[cfg(test)]
mod slots_tests;
pub(crate) mod wait;
