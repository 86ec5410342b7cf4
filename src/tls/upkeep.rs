//! The loops that keep the certificate: [`Follower`] on every replica, [`Keeper`] on one of them.
//!
//! The follower serves what the Secret or the files hold, and says whether this replica is ready. The keeper makes and
//! rotates what the Secret holds and keeps `caBundle` right. A replica that is not trusted yet keeps, too: the leader
//! may have been started with other settings – another webhook configuration, a certificate from elsewhere –, and goes
//! on leading until this replica is ready. Two keepers at once are harmless: every write has a precondition, and the
//! one that comes second reads again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::{info, warn};

use super::ca_bundle::{Configurations, Found};
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

/// Condition of readiness: there is a certificate to serve.
pub const CERTIFICATE: &str = "certificate";
/// Condition of readiness: the API server trusts it.
pub const CA_BUNDLE: &str = "caBundle";
/// How often to look, at most, while this replica waits to become ready.
const FIRST_INTERVAL: Duration = Duration::from_millis(250);
/// Where the certificate comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Made by the keeper, shared in a Secret.
    Secret(Box<Store>),
    /// Files that somebody else renews, such as cert-manager.
    Files {
        /// Chain, leaf first.
        cert: PathBuf,
        /// Private key.
        key: PathBuf,
        /// What `caBundle` is to hold; without it `caBundle` is left to whoever writes it.
        ca: Option<PathBuf>,
    },
}

/// Why a round of one of the loops failed. The next round tries again.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// The Secret cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A webhook configuration cannot be read or written.
    #[error("webhook configuration {name}")]
    Configuration {
        /// Name of both configurations.
        name: String,
        /// What went wrong.
        #[source]
        source: ApiError,
    },
    /// What the Secret holds is no certificate; what is served stays until the keeper has replaced it.
    #[error("the certificate Secret cannot be used")]
    Unusable(#[source] MaterialError),
    /// The certificate cannot be served.
    #[error("cannot serve the certificate")]
    Serving(#[from] ServingError),
    /// A certificate cannot be made.
    #[error("cannot make a certificate")]
    Issue(#[from] IssueError),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The file for `caBundle` holds no certificates.
    #[error("{} cannot be used as caBundle", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
}

/// What is to be served, and what is to be trusted.
struct Wanted {
    chain: String,
    key: String,
    bundle: Option<String>,
}

impl Source {
    /// What the source holds now; `None`: nothing yet.
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

/// Serves what the source holds, on every replica.
#[derive(Debug)]
pub struct Follower {
    /// Says where the certificate comes from, where it has to be trusted and how often to look, and sees to it until it
    /// is trusted.
    pub keeper: Keeper,
    /// Where the certificate goes.
    pub serving: Serving,
    /// Whom to tell.
    pub readiness: Readiness,
}

impl Follower {
    /// Follows for ever.
    pub async fn run(self) {
        let mut trusted = false;
        let mut memory = Memory::default();
        let mut pace = Pace::new(self.keeper.interval, Arc::clone(&self.keeper.metrics));
        loop {
            let mut result = Ok(());
            if !trusted {
                result = self.keeper.round(&mut memory).await;
            }
            // What cannot be written may be there all the same.
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
            // Until this replica is ready, somebody waits for each round.
            pace.interval = if trusted {
                self.keeper.interval
            } else {
                self.keeper.interval.min(FIRST_INTERVAL)
            };
            pace.wait("following the webhook's certificate", result).await;
        }
    }

    /// `trusted`: whether `caBundle` has been in place. It decides only when this replica becomes ready. Were readiness
    /// taken back while the bundle is being changed or repaired, every replica would leave the Service at once.
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

/// Makes, rotates and makes known what the followers serve; on the leader, and on each replica that is not trusted yet.
#[derive(Clone, Debug)]
pub struct Keeper {
    /// Where the certificate is kept.
    pub source: Source,
    /// Where it has to be trusted.
    pub configurations: Configurations,
    /// What the certificate is held to.
    pub policy: Policy,
    /// How often to look.
    pub interval: Duration,
    /// Counts failures, and has the times of expiry.
    pub metrics: Arc<Metrics>,
}

/// What a keeper remembers between two rounds; nothing that a new one could not do without.
#[derive(Default)]
struct Memory {
    /// The bundle that both configurations hold, and since when we know.
    trusted: Option<(String, Timestamp)>,
    /// What was missing at the last look, to report it once.
    missing: Vec<&'static str>,
}

impl Keeper {
    /// Keeps for ever.
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

    /// One step of the plan, if it has one. Returns the bundle that follows from it.
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

    fn remember(&mut self, name: &str, bundle: String, found: &Found) {
        if found.missing != self.missing {
            for kind in &found.missing {
                warn!(
                    kind,
                    name, "the webhook configuration does not exist: the API server does not call the webhook"
                );
            }
            self.missing.clone_from(&found.missing);
        }
        // What was just repaired counts from the next look on: the write may have been overtaken.
        if !found.is_in_force() {
            self.trusted = None;
        } else if self.trusted.as_ref().is_none_or(|(trusted, _)| *trusted != bundle) {
            self.trusted = Some((bundle, clock::now()));
        }
    }
}

/// The authority of a bundle that signed `leaf`: while one is rotated the bundle holds others, too.
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
    match Certificate::parse_all(&text) {
        Ok(certificates) if certificates.is_empty() => Err(UpkeepError::Bundle {
            path: path.clone(),
            source: CertificateError::Empty,
        }),
        Ok(_) => Ok(text),
        Err(source) => Err(UpkeepError::Bundle {
            path: path.clone(),
            source,
        }),
    }
}

#[cfg(test)]
#[path = "upkeep_tests.rs"]
mod tests;
