//! The subcommands other than `run`.

pub mod check;
pub mod config;
pub mod health;
pub mod history;
pub mod peers;
pub mod render_config;
