//! The input of all decisions: [`snapshot`], [`options`], [`times`], [`scope`], and conditions. Pure.

pub mod conditions;
pub mod options;
pub mod scope;
pub mod snapshot;
pub mod times;
