//! The command line: what can be asked of the binary, and which module answers.
//!
//! Each subcommand's arguments live with the module that uses them; nothing here decides anything.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::admission::check::CheckArgs;
use crate::core_config::{RenderConfig, ShowConfig};
use crate::health::Health;
use crate::operator::{self, OperatorArgs};
use crate::{crd, telemetry};

/// Connects Stellar validators on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "stellar-operator", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator: webhook, peer discovery, StellarNode controller.
    Run(Box<OperatorArgs>),
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
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// When that cannot be done; the message says what and why.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run(args) => {
                telemetry::start();
                Box::pin(operator::run(*args)).await?;
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
                print!("{}", serde_saphyr::to_string(&crd::custom_resource_definition())?);
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
        }
    }
}
