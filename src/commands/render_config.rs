//! The subcommand `render-config`: reads base config, peers and seed, writes `stellar-core.cfg`, and reports the loaded
//! list.
//!
//! It runs as an init container. Every path comes from an argument or an environment variable. The seed goes only into
//! the config file, never into an error, the output or the report.

use std::env::VarError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::core_config::render::{Database, Sources, render};
use crate::core_config::{ConfigError, GroupArchives, Keys, Seed, foreign, network_of, pod_paths};
use crate::crd::PeersAs;
use crate::peers::{NodeId, PeerList, Report};
use crate::util::error_chain::on_one_line;

/// Most dropped list entries that are named in warnings; the others are counted.
const MOST_WARNINGS: usize = 10;

/// Write a validator's stellar-core.cfg from base config, seed and peers.
#[derive(Debug, clap::Args)]
pub struct RenderConfig {
    /// The validator, as namespace/name.
    #[arg(long, env = "STELLAR_NODE")]
    node: NodeId,
    /// The base config: everything except seed and peers.
    #[arg(long, env = "BASE_CONFIG_FILE")]
    base: PathBuf,
    /// The user's own peers, one per line; the file may be absent.
    #[arg(long, env = "OWN_PEERS_FILE")]
    own_peers: Option<PathBuf>,
    /// The discovered peers, peers.json; the file may be absent.
    #[arg(long, env = "PEERS_FILE")]
    peers: PathBuf,
    /// The file with the secret seed; without it, the seed comes from the environment variable STELLAR_CORE_SEED.
    #[arg(long, env = "SEED_FILE")]
    seed_file: Option<PathBuf>,
    /// The pod's own IP, to keep the validator out of its own list of peers.
    #[arg(long, env = pod_paths::POD_IP_ENV)]
    pod_ip: Option<std::net::IpAddr>,
    /// The pod's own name. All pods of a StatefulSet have the same seed, so only the first one may start. Without a
    /// name, nothing is checked.
    #[arg(long, env = pod_paths::POD_NAME_ENV)]
    pod_name: Option<String>,
    /// Whether stellar-core's config lists the peers as Known or Preferred.
    #[arg(long, env = "PEERS_AS", value_parser = parse_peers_as, default_value = "Known")]
    peers_as: PeersAs,
    /// The version of the stellar-core that reads the file. A newer one may know keys that this program does not know.
    #[arg(long, env = "CORE_VERSION")]
    core_version: Option<String>,
    /// Directory of the archive on the validator's own volume. With it, the config contains the archives of the group.
    #[arg(long, env = "HISTORY_DIR", requires = "cluster_domain")]
    history_dir: Option<String>,
    /// The cluster domain of the other members' archives.
    #[arg(long, env = "CLUSTER_DOMAIN")]
    cluster_domain: Option<String>,
    /// The config file to write, with mode 0600.
    #[arg(long, env = "CONFIG_FILE")]
    out: PathBuf,
    /// The file for the report of the loaded list.
    #[arg(long, env = "REPORT_FILE", default_value = pod_paths::REPORT_FILE)]
    report: PathBuf,
}

/// `stellar-core.cfg` was not written. No variant quotes the content of a file or variable, which may be secret.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("the {what} {} cannot be read", path.display())]
    Read {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the {what} {} cannot be written", path.display())]
    Write {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Another pod of the StatefulSet has the same seed.
    #[error(
        "pod {0:?} is not the first of its StatefulSet, and two with one seed harm consensus: scale the StatefulSet to 1 replica"
    )]
    SecondPod(String),
    #[error(
        "there is no seed: the env {} is not set, and no --seed-file is given",
        pod_paths::SEED_ENV
    )]
    NoSeed,
    #[error(transparent)]
    Seed(ConfigError),
    #[error("the env {} is not UTF-8", pod_paths::DATABASE_ENV)]
    Database,
    /// stellar-core would refuse the resulting config.
    #[error("no config for {node}")]
    Config {
        node: NodeId,
        #[source]
        source: ConfigError,
    },
}

impl RenderError {
    fn reading(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { what, path, source }
    }

    fn writing(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { what, path, source }
    }
}

/// The result of reading `peers.json`.
enum Peers {
    Listed(PeerList),
    Absent,
    /// The list of another network. Networks never mix, so it counts as absent.
    Foreign,
    Unreadable,
}

impl RenderConfig {
    /// Writes the config file, then the report. Where that fails, the error is the report: the kubelet takes it into
    /// the status of the pod, and the operator from there into that of the StellarNode. Fails if stellar-core would
    /// refuse the config, or a file cannot be read or written.
    pub fn run(&self) -> Result<(), RenderError> {
        let result = self.write();
        if let Err(error) = &result {
            // The error itself goes to the log.
            let _ = fs::write(&self.report, on_one_line(error));
        }
        result
    }

    fn write(&self) -> Result<(), RenderError> {
        self.check_ordinal()?;
        let seed = self.read_seed()?;
        let base = fs::read_to_string(&self.base).map_err(RenderError::reading("base config", &self.base))?;
        let own_peers = self.read_own_peers()?;
        let peers = self.read_peers(network_of(&base).as_deref());
        let (list, report, source) = match &peers {
            Peers::Listed(list) => {
                let source = format!("list of {} with {} members", list.version, list.members.len());
                (Some(list), Report::of_list(list, &self.node), source)
            }
            Peers::Absent => (None, Report::of_nothing(), "no list yet".to_owned()),
            Peers::Foreign => (None, Report::of_nothing(), "list of another network".to_owned()),
            Peers::Unreadable => (None, Report::Unreadable, "list unreadable".to_owned()),
        };
        let pod_ip: Option<Ipv4Addr> = self.pod_ip.and_then(|ip| match ip.to_canonical() {
            std::net::IpAddr::V4(ip) => Some(ip),
            std::net::IpAddr::V6(_) => None,
        });
        let database = read_database()?;
        let sources = Sources {
            base: &base,
            node: &self.node,
            own_peers: &own_peers,
            list,
            pod_ip,
            peers_as: self.peers_as,
            database: database.as_deref().map_or(Database::OnVolume, Database::Given),
            keys: self.core_version.as_deref().map_or(Keys::Listed, Keys::of),
            archives: self.archives(),
        };
        let config = render(&sources, &seed).map_err(|source| RenderError::Config {
            node: self.node.clone(),
            source,
        })?;
        write_private(&self.out, &config).map_err(RenderError::writing("config", &self.out))?;
        fs::write(&self.report, report.to_message(seed.public_key()))
            .map_err(RenderError::writing("report", &self.report))?;
        println!(
            "{}: wrote {}, public key {}, {} own peers, {source}",
            self.node,
            self.out.display(),
            seed.public_key(),
            own_peers.len(),
        );
        Ok(())
    }

    /// Refuses every pod but the first: a StatefulSet numbers its pods from 0.
    fn check_ordinal(&self) -> Result<(), RenderError> {
        let name = self.pod_name.as_deref().unwrap_or_default();
        let ordinal = name
            .rsplit_once('-')
            .and_then(|(_, ordinal)| ordinal.parse::<u64>().ok());
        match ordinal {
            None | Some(0) => Ok(()),
            Some(_) => Err(RenderError::SecondPod(name.to_owned())),
        }
    }

    fn archives(&self) -> Option<GroupArchives<'_>> {
        Some(GroupArchives {
            dir: self.history_dir.as_deref()?,
            cluster_domain: self.cluster_domain.as_deref()?,
        })
    }

    fn read_seed(&self) -> Result<Seed, RenderError> {
        let text = match &self.seed_file {
            Some(file) => fs::read_to_string(file).map_err(RenderError::reading("seed file", file))?,
            None => std::env::var(pod_paths::SEED_ENV).map_err(|_| RenderError::NoSeed)?,
        };
        Seed::parse(&text).map_err(RenderError::Seed)
    }

    fn read_own_peers(&self) -> Result<Vec<String>, RenderError> {
        let Some(file) = &self.own_peers else {
            return Ok(Vec::new());
        };
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(RenderError::reading("own peers", file)(error)),
        };
        let lines = text.lines().map(str::trim);
        Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// An unusable list does not stop the validator: it starts with the user's own peers and reports this. One bad
    /// entry is dropped without the others.
    fn read_peers(&self, network: Option<&str>) -> Peers {
        let text = match fs::read_to_string(&self.peers) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Peers::Absent,
            Err(error) => return self.unreadable(&error.to_string()),
        };
        let (list, left_out) = match PeerList::parse_noting(&text) {
            Err(error) => return self.unreadable(&on_one_line(&error)),
            Ok(read) => read,
        };
        if let Some(problem) = foreign(&list, network) {
            eprintln!("warning: {} {problem}", self.peers.display());
            return Peers::Foreign;
        }
        for what in left_out.iter().take(MOST_WARNINGS) {
            eprintln!(
                "warning: {}: {what} is left out: not what the operator writes",
                self.peers.display()
            );
        }
        if let Some(more) = left_out.len().checked_sub(MOST_WARNINGS + 1) {
            eprintln!("warning: {}: {} more are left out", self.peers.display(), more + 1);
        }
        Peers::Listed(list)
    }

    fn unreadable(&self, reason: &str) -> Peers {
        eprintln!(
            "warning: {} is unreadable, so only the user's own peers are used: {reason}",
            self.peers.display()
        );
        Peers::Unreadable
    }
}

/// Reads the connection string of the database from the environment: an argument would expose its password.
fn read_database() -> Result<Option<String>, RenderError> {
    match std::env::var(pod_paths::DATABASE_ENV) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(VarError::NotPresent) => Ok(None),
        // The error itself would quote the value.
        Err(VarError::NotUnicode(_)) => Err(RenderError::Database),
    }
}

fn parse_peers_as(text: &str) -> Result<PeersAs, String> {
    match text {
        "Known" => Ok(PeersAs::Known),
        "Preferred" => Ok(PeersAs::Preferred),
        _ => Err("write Known or Preferred".to_owned()),
    }
}

/// Writes a file atomically, readable only by its owner.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    // A file left by an interrupted run may have another mode.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let written = create_private(&new)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // A partial file may hold the seed, so it must go. The first error is the one to report.
        let _ = fs::remove_file(&new);
    }
    written
}

fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
