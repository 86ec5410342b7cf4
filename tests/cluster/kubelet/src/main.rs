//! The part of a kubelet that kwok lacks, for simulated clusters. Development only.
//!
//! It runs `render-config` init containers as processes, publishes their status, and provisions volumes. It also runs
//! the operator's pods that have an annotation for it, and serves logs. kwok writes all other pod statuses
//! (`tests/cluster/stages`). The program writes only below `--root`.

mod address;
mod env;
mod keypair;
mod links;
mod logs;
mod message;
mod paths;
mod pods;
mod provisioner;
mod run;
mod served;
mod services;
mod sources;
mod status;
mod terminated;
mod volumes;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use k8s_openapi::api::core::v1::Container;
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Parser)]
#[command(name = "test-kubelet", about = "The part of a kubelet that kwok lacks")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run init containers and provision volumes until SIGTERM or SIGINT.
    Run(Arguments),
    /// Print a fresh Stellar secret seed and its public key, one per line.
    Keypair,
}

/// How to play the kubelet.
#[derive(Debug, Clone, clap::Args)]
struct Arguments {
    /// Directory that holds everything: logs, volumes, working directories.
    #[arg(long)]
    root: PathBuf,
    /// The program that plays the image's entry point.
    #[arg(long)]
    operator_binary: PathBuf,
    /// The program that plays the entry point of one image, as `IMAGE=PATH`; can be repeated.
    #[arg(long = "program", value_parser = program)]
    programs: Vec<(String, PathBuf)>,
    /// Read ConfigMaps as they were that many seconds ago.
    #[arg(long, default_value = "0", value_parser = seconds)]
    read_late: Duration,
    /// Port of loopback at which `kubectl logs` finds the logs.
    #[arg(long)]
    port: u16,
}

impl Arguments {
    /// The program that replaces the entry point of a container's image.
    fn program_of(&self, container: &Container) -> &Path {
        let named = self
            .programs
            .iter()
            .find(|(image, _)| container.image.as_ref() == Some(image));
        named.map_or(&self.operator_binary, |(_, program)| program)
    }
}

fn program(text: &str) -> Result<(String, PathBuf), String> {
    let (image, path) = text.split_once('=').ok_or("write IMAGE=PATH")?;
    Ok((image.to_owned(), PathBuf::from(path)))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text
        .trim_end_matches('s')
        .parse()
        .map_err(|_| format!("{text} is not a number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test-kubelet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Keypair => keypair::print(),
        Command::Run(arguments) => {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let filter = tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .init();
            tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?
                .block_on(serve(arguments))
        }
    }
}

async fn serve(mut arguments: Arguments) -> anyhow::Result<()> {
    std::fs::create_dir_all(&arguments.root)?;
    arguments.root = arguments.root.canonicalize()?;
    let client = Client::try_default().await?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let history = sources::History::default();
    tokio::select! {
        () = sources::watch(client.clone(), history.clone()) => {}
        () = provisioner::claims(client.clone()) => {}
        () = provisioner::volumes(client.clone()) => {}
        served = logs::serve(arguments.root.clone(), arguments.port) => served?,
        () = pods::watch(client, arguments, history) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The current time in whole seconds, as a kubelet writes it.
#[allow(clippy::disallowed_methods)]
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
