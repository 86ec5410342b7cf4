//! The loops that keep the certificate up to date: [`Follower`] on every replica, [`Keeper`] on one of them.
//!
//! The follower serves the certificate of the Secret or the files, and sets readiness. The keeper creates and rotates
//! the content of the Secret and keeps `caBundle` up to date. Until a replica is trusted, it also runs a keeper of its
//! own: the leader may run with older settings, such as another webhook configuration or certificate source, and leads
//! until this replica is ready. Two keepers at once are safe: every write has a precondition, and the loser reads
//! again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::{info, warn};

use super::ca_bundle::{BundleState, Configurations};
use super::certificate::{Certificate, CertificateError};
use super::issue::IssueError;
use super::material::{Material, MaterialError};
use super::pace::Pace;
use super::plan::{self, Policy, Step};
use super::serving::{Serving, ServingError};
use super::store::{Store, StoreError};
use crate::kubernetes::api::ApiError;
use crate::metrics::Metrics;
use crate::metrics::probes::Readiness;
use crate::util::{clock, error_chain};

/// Readiness condition: a certificate is available.
pub const CERTIFICATE: &str = "certificate";
/// Readiness condition: the API server trusts the certificate.
pub const CA_BUNDLE: &str = "caBundle";
/// Longest interval between rounds until this replica is ready.
const FIRST_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Clone, Debug)]
pub enum Source {
    /// A Secret, written by the keeper and shared by all replicas.
    Secret(Box<Store>),
    /// Files that another program renews, such as cert-manager.
    Files {
        /// Chain, leaf first.
        cert: PathBuf,
        key: PathBuf,
        /// Content of `caBundle`; `None` leaves `caBundle` to another program.
        ca: Option<PathBuf>,
    },
}

/// A round of a loop failed. The next round tries again.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("webhook configuration {name}")]
    Configuration {
        name: String,
        #[source]
        source: ApiError,
    },
    /// The content of the Secret is invalid. The served certificate stays until the keeper has replaced the content.
    #[error("the certificate Secret cannot be used")]
    Unusable(#[source] MaterialError),
    #[error("cannot serve the certificate")]
    Serving(#[from] ServingError),
    #[error("cannot make a certificate")]
    Issue(#[from] IssueError),
    #[error("cannot read {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The file for `caBundle` has no certificates.
    #[error("{} cannot be used as caBundle", path.display())]
    Bundle {
        path: PathBuf,
        #[source]
        source: CertificateError,
    },
}

/// The certificate to serve, and the bundle to trust.
struct Wanted {
    chain: String,
    key: String,
    bundle: Option<String>,
}

impl Source {
    /// The current content of the source; `None` if it has none yet.
    async fn read(&self) -> Result<Option<Wanted>, UpkeepError> {
        match self {
            Self::Secret(store) => match store.read().await?.material {
                Ok(Some(material)) => Ok(Some(Wanted {
                    bundle: Some(material.bundle()),
                    chain: material.leaf.certificate.pem,
                    key: material.leaf.key,
                })),
                Ok(None) => Ok(None),
                Err(error) => Err(UpkeepError::Unusable(error)),
            },
            Self::Files { cert, key, ca } => Ok(Some(Wanted {
                chain: read_file(cert).await?,
                key: read_file(key).await?,
                bundle: match ca {
                    Some(path) => Some(read_bundle(path).await?),
                    None => None,
                },
            })),
        }
    }
}

/// Serves the certificate of the source; runs on every replica.
#[derive(Debug)]
pub struct Follower {
    /// Source, webhook configurations and interval. It also runs here until this replica is trusted.
    pub keeper: Keeper,
    pub serving: Serving,
    pub readiness: Readiness,
}

impl Follower {
    /// Never returns.
    pub async fn run(self) {
        let mut trusted = false;
        let mut memory = Memory::default();
        let mut pace = Pace::new(self.keeper.interval, Arc::clone(&self.keeper.metrics));
        loop {
            let mut result = Ok(());
            if !trusted {
                result = self.keeper.round(&mut memory).await;
            }
            // Follow even after a failed write: the bundle may already be in place.
            result = self.round(&mut trusted).await.and(result);
            if let Err(error) = &result
                && !trusted
            {
                let what = if self.serving.is_ready() {
                    CA_BUNDLE
                } else {
                    CERTIFICATE
                };
                self.readiness.unmet(what, error_chain::on_one_line(error));
            }
            // A rollout waits for this replica until it is ready.
            pace.interval = if trusted {
                self.keeper.interval
            } else {
                self.keeper.interval.min(FIRST_INTERVAL)
            };
            pace.wait("following the webhook's certificate", result).await;
        }
    }

    /// `trusted`: whether `caBundle` has been in place once. It only affects the first readiness: if readiness were
    /// withdrawn during each change of the bundle, every replica would leave the Service at once.
    async fn round(&self, trusted: &mut bool) -> Result<(), UpkeepError> {
        let Some(wanted) = self.keeper.source.read().await? else {
            if !self.serving.is_ready() {
                self.readiness
                    .unmet(CERTIFICATE, "the certificate Secret is not written yet");
            }
            return Ok(());
        };
        if self.serving.offer(&wanted.chain, &wanted.key)? {
            let leaf = Certificate::parse(&wanted.chain).ok();
            let expires = leaf.as_ref().map(|leaf| leaf.expires.to_string()).unwrap_or_default();
            info!(expires, "serving a new certificate");
            let ca = leaf.as_ref().and_then(|leaf| signer(leaf, wanted.bundle.as_deref()?));
            for (which, certificate) in [("leaf", &leaf), ("ca", &ca)] {
                if let Some(certificate) = certificate {
                    self.keeper.metrics.certificate_expires(which, certificate.expires);
                }
            }
        }
        self.readiness.met(CERTIFICATE);
        if !*trusted {
            *trusted = self.is_trusted(wanted.bundle.as_deref()).await?;
        }
        Ok(())
    }

    async fn is_trusted(&self, bundle: Option<&str>) -> Result<bool, UpkeepError> {
        let configurations = &self.keeper.configurations;
        let name = configurations.name();
        if let Some(bundle) = bundle {
            let found = configurations.look(bundle).await;
            let found = found.map_err(|source| UpkeepError::Configuration {
                name: name.to_owned(),
                source,
            })?;
            if !found.is_in_force() {
                let kinds = found.different.join(" and ");
                self.readiness
                    .unmet(CA_BUNDLE, format!("our caBundle is not in {kinds} {name} yet"));
                return Ok(false);
            }
        }
        self.readiness.met(CA_BUNDLE);
        Ok(true)
    }
}

/// Issues and rotates the certificate, and writes `caBundle`; runs on the leader, and on each replica that is not
/// trusted yet.
#[derive(Clone, Debug)]
pub struct Keeper {
    pub source: Source,
    pub configurations: Configurations,
    pub policy: Policy,
    pub interval: Duration,
    /// Counts failures, and has the times of expiry.
    pub metrics: Arc<Metrics>,
}

/// State of a keeper between two rounds. A new keeper starts without it.
#[derive(Default)]
struct Memory {
    /// The bundle in both configurations, and since when it is known to be there.
    trusted: Option<(String, Timestamp)>,
    /// The missing configurations of the last round, to log each once.
    missing: Vec<&'static str>,
}

impl Keeper {
    /// Never returns.
    pub async fn run(self) {
        let mut memory = Memory::default();
        let mut pace = Pace::new(self.interval, Arc::clone(&self.metrics));
        loop {
            let result = self.round(&mut memory).await;
            pace.wait("keeping the webhook's certificate", result).await;
        }
    }

    async fn round(&self, memory: &mut Memory) -> Result<(), UpkeepError> {
        let bundle = match &self.source {
            Source::Secret(store) => self.advance(store, memory).await?,
            Source::Files { ca: Some(path), .. } => Some(read_bundle(path).await?),
            Source::Files { ca: None, .. } => None,
        };
        let Some(bundle) = bundle else {
            return Ok(());
        };
        let found = self.configurations.put(&bundle).await;
        let found = found.map_err(|source| UpkeepError::Configuration {
            name: self.configurations.name().to_owned(),
            source,
        })?;
        memory.remember(self.configurations.name(), bundle, &found);
        Ok(())
    }

    /// Executes the next step of the plan, if any. Returns the resulting bundle.
    async fn advance(&self, store: &Store, memory: &Memory) -> Result<Option<String>, UpkeepError> {
        let read = store.read().await?;
        let material = read.material.as_ref().unwrap_or_else(|error| {
            warn!(%error, "the certificate Secret cannot be used; making a new certificate");
            &None
        });
        let material = material.as_ref();
        let now = clock::now();
        let bundle = material.map(Material::bundle);
        let step = plan::plan(material, &self.policy, memory.trusted_since(bundle.as_deref()), now);
        if step == Step::Keep {
            return Ok(bundle);
        }
        let Some(after) = plan::after(step, material, &self.policy, now)? else {
            return Ok(bundle);
        };
        match store.write(&read, &after).await {
            Ok(()) => {
                info!(?step, expires = %after.leaf.certificate.expires, "wrote the certificate Secret");
                Ok(Some(after.bundle()))
            }
            Err(StoreError::Conflict { .. }) => {
                info!("the certificate Secret was written meanwhile; reading that next");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Memory {
    fn trusted_since(&self, bundle: Option<&str>) -> Option<Timestamp> {
        let (trusted, since) = self.trusted.as_ref()?;
        (Some(trusted.as_str()) == bundle).then_some(*since)
    }

    fn remember(&mut self, name: &str, bundle: String, found: &BundleState) {
        if found.missing != self.missing {
            for kind in &found.missing {
                warn!(
                    kind,
                    name, "the webhook configuration does not exist: the API server does not call the webhook"
                );
            }
            self.missing.clone_from(&found.missing);
        }
        // A write in this round counts only from the next one on: it may have been overtaken.
        if !found.is_in_force() {
            self.trusted = None;
        } else if self.trusted.as_ref().is_none_or(|(trusted, _)| *trusted != bundle) {
            self.trusted = Some((bundle, clock::now()));
        }
    }
}

/// The CA in the bundle that signed `leaf`. During a rotation the bundle has several.
fn signer(leaf: &Certificate, bundle: &str) -> Option<Certificate> {
    let authorities = Certificate::parse_all(bundle).ok()?;
    authorities.into_iter().find(|authority| leaf.is_signed_by(authority))
}

async fn read_file(path: &PathBuf) -> Result<String, UpkeepError> {
    let read = tokio::fs::read_to_string(path).await;
    read.map_err(|source| UpkeepError::File {
        path: path.clone(),
        source,
    })
}

async fn read_bundle(path: &PathBuf) -> Result<String, UpkeepError> {
    let text = read_file(path).await?;
    // A bundle without any certificate is an error, too.
    Certificate::parse(&text).map_err(|source| UpkeepError::Bundle {
        path: path.clone(),
        source,
    })?;
    Ok(text)
}

#[cfg(test)]
#[path = "upkeep_tests.rs"]
mod tests;
