//! Logging: levels from `RUST_LOG`, lines on standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// Starts the log. Without `RUST_LOG`: INFO for this program, WARN for its libraries.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,stellar_k8s=info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal());
    // Fails only where a log was started before, as in tests; that one serves.
    let _ = log.with_writer(io::stderr).try_init();
}
