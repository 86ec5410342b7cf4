//! The command line: what can be asked of the binary, and which module answers.
//!
//! Each subcommand's arguments live with the module that uses them; nothing here decides anything.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::admission::check::CheckArgs;
use crate::crd;

/// Connects Stellar validators on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "stellar-operator", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge manifests by the rules of the webhook, without a cluster
    ///
    /// Exit code: 0 if all objects pass, 1 if one would be refused, 2 if a file is no manifest.
    Check(CheckArgs),
    /// Print the CustomResourceDefinition of the StellarNode as YAML.
    Crd,
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// When that cannot be done; the message says what and why.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Check(args) => Ok(args.run(&mut std::io::stdout().lock(), &mut std::io::stderr().lock())?),
            Command::Crd => {
                print!("{}", serde_saphyr::to_string(&crd::custom_resource_definition())?);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
