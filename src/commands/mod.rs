//! The subcommands that a person or a pod runs, apart from `run`.

pub mod check;
pub mod config;
pub mod health;
pub mod history;
pub mod peers;
pub mod render_config;
