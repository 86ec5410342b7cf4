//! The `stellar-operator` binary: TLS provider, arguments, telemetry, run, exit code.

use std::process::ExitCode;

use stellar_k8s::cli::Cli;
use stellar_k8s::util::text::plain;

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("stellar-operator: {}", plain(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<ExitCode> {
    // One provider for everything that speaks TLS; an error says that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(cli.run())?)
}
