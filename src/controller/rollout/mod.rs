//! Who needs a restart ([`needs`]), and who may go down now ([`slots`]): a [`plan`]. Pure.
//!
//! `turns` says how far the turns that are out have come, `silent` who is missed, `wait` what a restart waits for.

pub mod needs;
#[cfg(test)]
mod needs_tests;
pub mod plan;
#[cfg(test)]
mod shared_slots_tests;
pub(crate) mod silent;
pub mod slots;
#[cfg(test)]
mod slots_tests;
pub(crate) mod turns;
pub(crate) mod wait;
