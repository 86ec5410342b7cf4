//! The command line: what can be asked of the binary, and which module answers.
//!
//! Each subcommand's arguments live with the module that uses them; nothing here decides anything.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::check::{CheckArgs, CheckError};
use crate::commands::config::{ShowConfig, ShowError};
use crate::commands::health::{Health, HealthError};
use crate::commands::history::{History, HistoryError};
use crate::commands::peers::{PeersArgs, PeersCommandError};
use crate::commands::render_config::{RenderConfig, RenderError};
use crate::crd;
use crate::run::{self, OperatorArgs, OperatorError};
use crate::util::telemetry::{self, LogFormat};

/// Connects Stellar validators on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "stellar-operator", version = env!("STELLAR_OPERATOR_VERSION"))]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator: webhook, peer discovery, StellarNode controller.
    Run(Box<OperatorArgs>),
    /// Show who knows whom: address, what each validator's pod loaded, whose restart is pending and why
    ///
    /// It reads with the rights of your kubeconfig, changes nothing, and needs no operator. A copy or link of this
    /// program called kubectl-stellar_peers makes it `kubectl stellar-peers`.
    Peers(Box<PeersArgs>),
    /// Judge manifests by the rules of the webhook, without a cluster
    ///
    /// Exit code: 0 if all objects pass, 1 if one would be refused, 2 if a file is no manifest.
    Check(CheckArgs),
    /// Print the stellar-core.cfg that a validator's pod would write now, its secrets left out
    ///
    /// It asks the API server of your kubeconfig, reads no Secret and changes nothing.
    Config(ShowConfig),
    /// Print the CustomResourceDefinition of the StellarNode as YAML.
    Crd,
    /// Write a validator's stellar-core.cfg, in its pod: base config, seed and peers.
    RenderConfig(RenderConfig),
    /// Tell, over HTTP, whether the stellar-core beside us takes part in consensus.
    Health(Health),
    /// Serve a history archive over HTTP, read-only, to the other members of a validator's group.
    History(History),
}

/// Why what was asked could not be done; which subcommand it was is known to whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// `run`
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// `peers`
    #[error(transparent)]
    Peers(#[from] PeersCommandError),
    /// `check`
    #[error(transparent)]
    Check(#[from] CheckError),
    /// `config`
    #[error(transparent)]
    Config(#[from] ShowError),
    /// `crd`: a defect of this program.
    #[error("the CustomResourceDefinition cannot be written as YAML")]
    Crd(#[from] serde_saphyr::SerializeError),
    /// `crd`: nobody reads standard output any more.
    #[error("the CustomResourceDefinition cannot be printed")]
    Output(#[from] std::io::Error),
    /// `render-config`
    #[error(transparent)]
    Render(#[from] RenderError),
    /// `health`
    #[error(transparent)]
    Health(#[from] HealthError),
    /// `history`
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// What the program is called as a plugin of kubectl, whose name then stands for the subcommand.
const PLUGIN: &str = "kubectl-stellar_peers";

impl Cli {
    /// Reads a command line.
    ///
    /// # Errors
    /// When the arguments are not a valid command line; printing the error says what is wrong, or is the help that was
    /// asked for.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        let called = arguments.first().and_then(|name| Path::new(name).file_stem());
        if called == Some(PLUGIN.as_ref()) {
            arguments.insert(1, "peers".into());
        }
        Self::try_parse_from(arguments)
    }

    /// Does what was asked.
    ///
    /// # Errors
    /// When that cannot be done; the message says what and why.
    pub async fn run(self) -> Result<ExitCode, CliError> {
        match self.command {
            Command::Run(args) => {
                let _log = telemetry::start(args.log_format);
                Box::pin(run::run(*args)).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Peers(args) => {
                let _log = telemetry::start(LogFormat::Pretty);
                Box::pin(args.run(&mut std::io::stdout().lock())).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Check(args) => Ok(args.run(&mut std::io::stdout().lock(), &mut std::io::stderr().lock())?),
            Command::Config(command) => {
                command
                    .run(&mut std::io::stdout().lock(), &mut std::io::stderr().lock())
                    .await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Crd => {
                let text = serde_saphyr::to_string(&crd::custom_resource_definition())?;
                std::io::stdout().lock().write_all(text.as_bytes())?;
                Ok(ExitCode::SUCCESS)
            }
            Command::RenderConfig(command) => {
                command.run()?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Health(command) => {
                command.run().await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::History(command) => {
                let _log = telemetry::start(command.log_format);
                command.run().await?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
