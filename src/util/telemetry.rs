//! Logging to standard error. `RUST_LOG` sets the levels.
//!
//! The program never blocks on a reader that stops reading; it drops lines once the buffer is full.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use super::text::PlainLines;

/// Format of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line: `timestamp`, `level`, `target`, `message`, its fields, and `span`.
    Json,
}

/// Lines that the buffer holds before it drops new ones; some megabytes.
const MOST_WAITING: usize = 10_000;

/// Keeps the log writer alive. Dropping it flushes the buffered lines.
#[derive(Debug)]
#[must_use = "without it nothing is logged"]
pub struct Log(#[allow(dead_code, reason = "its drop is its use")] WorkerGuard);

/// Starts the log. The default level is INFO for this program and WARN for its libraries.
pub fn start(format: LogFormat) -> Log {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,stellar_k8s=info"));
    let builder = NonBlockingBuilder::default().buffered_lines_limit(MOST_WAITING);
    let (writer, guard) = builder.lossy(true).finish(io::stderr());
    // Neither format of tracing escapes all control characters of a terminal.
    let coloured = io::stderr().is_terminal() && format == LogFormat::Pretty;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(coloured)
        .with_writer(move || PlainLines {
            inner: writer.clone(),
            coloured,
        });
    // Fails only if a logger is already set, as in tests; that logger stays.
    let _ = match format {
        LogFormat::Pretty => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).try_init(),
    };
    Log(guard)
}
