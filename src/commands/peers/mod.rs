//! `stellar-operator peers`: shows which peers each validator has loaded, and the operator's next decisions.
//!
//! It watches the same objects and runs the same decision function as the operator, with the rights of the caller's
//! kubeconfig. It writes nothing, reads no Secret, and needs no operator. The ClusterRole `view` is enough for
//! everything; with fewer rights, warnings name the missing parts.

mod access;
mod dot;
mod next;
mod rows;
mod table;

use std::convert::Infallible;
use std::io::{self, Write};
use std::time::Duration;

use clap::ValueEnum;
use tokio::time::{sleep, timeout};

use crate::controller::discovery::decide::decide;
use crate::controller::observe::caches::OptionalKind;
use crate::controller::{Caches, Options, Scope};
use crate::run::connection::{Connection, ConnectionError};
use crate::util::clock;
use rows::{Row, rows};

/// Time limit for the first read of all objects.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time in which changes are collected before they are shown.
const SETTLE: Duration = Duration::from_millis(250);
/// Interval of updates without an event: some decisions wait for a time.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Arguments of `peers`.
#[derive(Clone, Debug, clap::Args)]
pub struct PeersArgs {
    /// Show the validators of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Output format; dot draws a graph of loaded peers for Graphviz
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Continue and print changes
    #[arg(short, long)]
    watch: bool,
    /// Print the next writes of an operator with the options below, and the reasons for waiting restarts
    #[arg(long, conflicts_with_all = ["watch", "output"])]
    dry_run: bool,
    /// The operator's namespace, which has the slots; by default the selected namespace, or stellar for all namespaces
    #[arg(long)]
    operator_namespace: Option<String>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table
    #[default]
    Table,
    /// A table with every column
    Wide,
    /// A JSON list
    Json,
    /// A YAML list
    Yaml,
    /// A graph for Graphviz
    Dot,
}

#[derive(Debug, thiserror::Error)]
pub enum PeersCommandError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The account lacks the rights to read the necessary objects.
    #[error(
        "your account may not list {kinds} {place}: the ClusterRole view, with what the operator's manifests add to it, has these \
         rights; --namespace looks at one namespace only"
    )]
    Forbidden { kinds: String, place: String },
    #[error(
        "the CustomResourceDefinition {} is not installed in this cluster",
        crate::labels::CRD_NAME
    )]
    NotInstalled,
    /// Some objects could not be read in time; earlier warnings name them.
    #[error("not everything could be read within {} s: the warnings above say what", PATIENCE.as_secs())]
    Incomplete,
    /// JSON output failed: a bug in this program.
    #[error("the validators cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// YAML output failed: a bug in this program.
    #[error("the validators cannot be written as YAML")]
    Yaml(#[from] serde_saphyr::SerializeError),
    #[error("the result cannot be written")]
    Write(#[from] io::Error),
}

impl PeersArgs {
    /// Prints to `out`; with `--watch`, until `out` is closed.
    pub async fn run(&self, out: &mut dyn Write) -> Result<(), PeersCommandError> {
        let (client, namespace) = self.connection.open().await?;
        let (scope, slots_in) = if self.all_namespaces {
            (Scope::All, "stellar".to_owned())
        } else {
            (Scope::Namespaces([namespace.clone()].into()), namespace)
        };
        let slots_in = self.operator_namespace.as_ref().unwrap_or(&slots_in);
        let caches = timeout(PATIENCE, async {
            let without = access::missing(&client, &scope, slots_in).await?;
            for what in &without {
                // Only `--dry-run` depends on budgets.
                if self.dry_run || *what != OptionalKind::Budgets {
                    tracing::warn!("{}", access::left_out(*what, slots_in));
                }
            }
            let caches = Caches::start_without(&client, &scope, slots_in, &without);
            caches.wait_until_complete().await;
            caches.wait_until_explained().await;
            Ok(caches)
        })
        .await
        .unwrap_or(Err(PeersCommandError::Incomplete))?;
        self.show(&caches, slots_in, out).await
    }

    async fn show(&self, caches: &Caches, slots_in: &str, out: &mut dyn Write) -> Result<(), PeersCommandError> {
        let snapshot = caches.snapshot(clock::now());
        if self.dry_run {
            if self.operator_namespace.is_none() && snapshot.slots.is_empty() && !snapshot.validators.is_empty() {
                tracing::warn!(
                    "namespace {slots_in} has no slots: if the operator runs in another namespace, set \
                     --operator-namespace; otherwise the next steps are shown as if no validator had a slot"
                );
            }
            out.write_all(next::text(&snapshot, &decide(&snapshot, &self.options)).as_bytes())?;
            return Ok(());
        }
        if self.output == Output::Dot {
            if self.watch {
                tracing::warn!("-o dot draws one moment: --watch is left out");
            }
            out.write_all(dot::graph(&snapshot, &self.options).as_bytes())?;
            return Ok(());
        }
        let rows = rows(&snapshot, &decide(&snapshot, &self.options));
        self.print(&rows, true, out)?;
        if self.watch {
            self.follow(caches, rows, out).await?;
        }
        Ok(())
    }

    /// Prints changes until the output is closed.
    async fn follow(
        &self,
        caches: &Caches,
        mut shown: Vec<Row>,
        out: &mut dyn Write,
    ) -> Result<Infallible, PeersCommandError> {
        loop {
            tokio::select! {
                () = caches.changed() => sleep(SETTLE).await,
                () = sleep(LOOK_AGAIN) => {}
            }
            let snapshot = caches.snapshot(clock::now());
            let present = rows(&snapshot, &decide(&snapshot, &self.options));
            let changed = rows::changes(&shown, &present);
            if !changed.is_empty() {
                self.print(&changed, false, out)?;
            }
            shown = present;
        }
    }

    fn print(&self, rows: &[Row], first: bool, out: &mut dyn Write) -> Result<(), PeersCommandError> {
        let now = clock::now();
        match self.output {
            Output::Table | Output::Dot => out.write_all(table::table(rows, first, false, now).as_bytes())?,
            Output::Wide => out.write_all(table::table(rows, first, true, now).as_bytes())?,
            Output::Json => {
                serde_json::to_writer_pretty(&mut *out, rows)?;
                writeln!(out)?;
            }
            Output::Yaml => write!(out, "---\n{}", serde_saphyr::to_string(&rows)?)?,
        }
        out.flush()?;
        Ok(())
    }
}
