//! Logging: levels from `RUST_LOG`, lines on standard error.
//!
//! Whoever reads the log may stop reading; the program goes on, and lines that nobody takes are dropped in the end.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use super::text::PlainLines;

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line: `timestamp`, `level`, `target`, `message`, its fields, and `span`.
    Json,
}

/// Lines that wait for a slow reader before new ones are dropped; some megabytes.
const MOST_WAITING: usize = 10_000;

/// Keeps the log going; dropped, it writes what is left.
#[derive(Debug)]
#[must_use = "without it nothing is logged"]
pub struct Log(#[allow(dead_code, reason = "its drop is its use")] WorkerGuard);

/// Starts the log. Without `RUST_LOG`: INFO for this program, WARN for its libraries.
pub fn start(format: LogFormat) -> Log {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,stellar_k8s=info"));
    let builder = NonBlockingBuilder::default().buffered_lines_limit(MOST_WAITING);
    let (writer, guard) = builder.lossy(true).finish(io::stderr());
    // The formats of a terminal and of JSON leave alone some signs that a terminal obeys.
    let coloured = io::stderr().is_terminal() && format == LogFormat::Pretty;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(coloured)
        .with_writer(move || PlainLines {
            inner: writer.clone(),
            coloured,
        });
    // Fails only where a log was started before, as in tests; that one serves.
    let _ = match format {
        LogFormat::Pretty => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).try_init(),
    };
    Log(guard)
}
