//! Restarts: [`needs`] finds the validators that need one, [`slots`] decides which may go down now, and the result is a
//! [`plan`]. Pure.
//!
//! `progress` tracks a slot in use, `unavailable` finds the validators that do not vote or are about to go down, and
//! `wait` names what a restart waits for.

#[cfg(test)]
mod link_needs_tests;
pub mod needs;
#[cfg(test)]
mod needs_tests;
pub mod plan;
pub(crate) mod progress;
#[cfg(test)]
mod shared_slots_tests;
pub mod slots;
#[cfg(test)]
mod slots_tests;
pub(crate) mod unavailable;
pub(crate) mod wait;
