//! `stellar-core.cfg`: how the file is made, and stellar-core's own rules for it.
//!
//! stellar-core reads one TOML file, once, and ends at the first thing in it that it does not like. So the same rules
//! are applied here before it sees the file: by admission and `check` to what a user wrote, by the controller to the
//! base config, and by `render-config`, inside the pod, to the file itself. The facts are those of stellar-core's
//! `src/main/Config.cpp` and `ApplicationImpl.cpp` (releases 19 to 27.1.0; where they differ, the text says so);
//! functions named in comments are of these files.
//!
//! | module | what it is for |
//! |---|---|
//! | `document` | TOML in and out: what was read, written again so that keys come before tables |
//! | `keys` | the keys of each release, what they may hold alone and together, and those that the operator owns |
//! | `version` | which of them a version knows |
//! | `address` | how stellar-core reads the address of a peer |
//! | `quorum` | whom a validator trusts: quorum sets, made from a list of validators, and what they tolerate |
//! | `seed` | a secret seed, printed only where it belongs |
//! | `archives` | history archives: which ones a config has, where a validator publishes |
//! | `problems` | what is wrong with a config, as far as it is told |
//! | `check` | is this config one that stellar-core starts with? |
//! | `base` | StellarNode → base config, everything but the seed and the peers |
//! | `captive` | the config of the stellar-core that Horizon and Stellar RPC run themselves |
//! | `render` | base config, seed and peers → `stellar-core.cfg` |
//! | [`pod_paths`] | where all of that lies inside a validator's pod |
//!
//! No function here changes a quorum set (rule R8), and no error holds a seed.

mod address;
mod archives;
mod base;
mod captive;
mod check;
mod document;
mod keys;
pub mod pod_paths;
pub(crate) mod problems;
pub(crate) mod quorum;
pub(crate) mod render;
#[cfg(test)]
mod render_tests;
#[cfg(test)]
mod rules_tests;
mod seed;
mod version;

pub use archives::{
    GroupArchives, NONE_READABLE, VOLUME as VOLUME_ARCHIVE, command_problem, published, publishes, takes_name_of_volume,
};
pub use base::{base_config, config_of};
pub use captive::{archive_problem, captive_core_config, check_captive_core, history_archives, unlisted_keys};
pub use check::{Problem, check_validator, failures_tolerated, key_warnings, quorum_warnings, trusts_only_itself};
pub(crate) use document::quoted;
pub use quorum::tolerance::Tolerance;
pub use render::{Database, Sources, preview, render};
pub use seed::Seed;
pub use version::{Keys, release};

use crate::crd::Network;
use crate::peers::PeerList;

/// The network of a base config, by its passphrase.
pub(crate) fn network_of(base: &str) -> Option<String> {
    let base = document::parse("the base config", base).ok()?;
    Some(base.get("NETWORK_PASSPHRASE")?.as_str()?.to_owned())
}

/// Why a list is none for a validator on this network; `None` where the list, or the config, names no network.
pub(crate) fn foreign(list: &PeerList, network: Option<&str>) -> Option<String> {
    let ours = network?;
    let theirs = list.other_network(ours)?;
    Some(format!(
        "is the list of {} and this validator is on {}, so that only the own peers are used: give it another \
         validatorConfig.knownPeersRef.name",
        Network::parse(theirs).display_name(),
        Network::parse(ours).display_name(),
    ))
}

/// Why there is no config. Every message says what to write instead, and none holds a seed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A text is not TOML.
    #[error("{what} is not TOML: {reason}")]
    Toml {
        /// Which text.
        what: &'static str,
        /// Where and why.
        reason: String,
    },
    /// A text is larger than any that stellar-core is given.
    #[error("{what} is larger than any config that stellar-core is given: {reason}")]
    TooLarge {
        /// Which text.
        what: &'static str,
        /// What there is too much of, and how much there may be.
        reason: String,
    },
    /// The node is no validator or lacks the block of a validator.
    #[error("spec.validatorConfig is absent: only a validator with that block has a stellar-core config")]
    NoValidator,
    /// A network that has no quorum set of its own, and none given.
    #[error(
        "spec.validatorConfig.quorumSet is absent and {network} has no default: write whom this validator trusts, as \
         [QUORUM_SET] with THRESHOLD_PERCENT and VALIDATORS, or as [[HOME_DOMAINS]] and [[VALIDATORS]]"
    )]
    NoQuorumSet {
        /// The network, as people call it.
        network: String,
    },
    /// A network whose captive core has no default, and no config given.
    #[error(
        "captiveCoreConfig is absent and {network} has no default: write whom the captive core trusts, as [QUORUM_SET] with \
         THRESHOLD_PERCENT and VALIDATORS, or as [[HOME_DOMAINS]] and [[VALIDATORS]]"
    )]
    NoCaptiveCoreConfig {
        /// The network, as people call it.
        network: String,
    },
    /// stellar-core would end with this config.
    #[error("stellar-core would refuse this config: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// The seed is not a seed.
    #[error("the seed is not a Stellar secret seed (S followed by 55 characters, nothing else): {0}")]
    Seed(&'static str),
}
