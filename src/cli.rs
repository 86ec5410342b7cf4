//! The command line: subcommands, and the module behind each.
//!
//! Each subcommand's arguments are defined in the module that uses them.

#![warn(missing_docs)]

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

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
    /// Show each validator's address, the peers that its pod loaded, and any pending restart with its reason
    ///
    /// It reads with the rights of your kubeconfig, changes nothing, and needs no operator. Name a copy or link of this
    /// program kubectl-stellar_peers to call it as `kubectl stellar-peers`.
    Peers(Box<PeersArgs>),
    /// Check manifests against the rules of the webhook, without a cluster
    ///
    /// Exit code: 0 if all objects pass, 1 if the webhook would refuse one (with --strict, also if it would warn), 2 if
    /// a file or document is not a manifest. The other files and documents are checked all the same.
    Check(CheckArgs),
    /// Print the stellar-core.cfg that a validator's pod would write now, without secrets
    ///
    /// It reads from the API server of your kubeconfig, reads no Secret, and changes nothing.
    Config(ShowConfig),
    /// Print the CustomResourceDefinition of the StellarNode as YAML.
    Crd,
    /// Print a script that completes the arguments of this program in a shell
    ///
    /// bash: source <(stellar-operator completion bash)
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Write a validator's stellar-core.cfg from base config, seed and peers; runs in its pod.
    RenderConfig(RenderConfig),
    /// Report over HTTP whether the stellar-core in the same pod takes part in consensus.
    Health(Health),
    /// Serve a history archive over HTTP, read-only, to the other members of a validator's group.
    History(History),
}

/// A subcommand failed. The message omits its name: the user just typed it.
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
    /// `crd`: a bug in this program.
    #[error("the CustomResourceDefinition cannot be written as YAML")]
    Crd(#[from] serde_saphyr::SerializeError),
    /// `crd`, `completion`: standard output is closed.
    #[error("the result cannot be printed")]
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

/// Name of the program as a plugin of kubectl. It implies the subcommand `peers`.
const PLUGIN: &str = "kubectl-stellar_peers";

impl Cli {
    /// Parses a command line. Fails if the arguments are invalid, or ask for help. The error prints the message or the
    /// help.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        let called = arguments.first().and_then(|name| Path::new(name).file_stem());
        if called == Some(PLUGIN.as_ref()) {
            arguments.insert(1, "peers".into());
        }
        Self::try_parse_from(arguments)
    }

    /// Runs the subcommand.
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
            Command::Completion { shell } => {
                let (mut command, mut script) = (Self::command(), Vec::new());
                clap_complete::generate(shell, &mut command, "stellar-operator", &mut script);
                // For bash, clap_complete 4.6 writes the dash of the program's name in two ways.
                let script = String::from_utf8_lossy(&script).replace("stellar__subcmd__operator", "stellar__operator");
                std::io::stdout().lock().write_all(script.as_bytes())?;
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
