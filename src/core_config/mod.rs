//! `stellar-core.cfg`: how the file is made, and stellar-core's own rules for it.
//!
//! stellar-core reads one TOML file, once, and ends at the first thing in it that it does not like. So the same rules are
//! applied here before it sees the file: by admission and `check` to what a user wrote, by the controller to the base
//! config, and by `render-config`, inside the pod, to the file itself. The facts are those of stellar-core's
//! `src/main/Config.cpp` (protocol 24, commit 005af918); functions named in comments are of that file.
//!
//! | module | what it is for |
//! |---|---|
//! | `document` | TOML in and out: what was read, written again so that keys come before tables |
//! | `keys` | the keys that stellar-core knows, their types, and those that the operator owns |
//! | `version` | which of them a version may know |
//! | `address` | how stellar-core reads the address of a peer |
//! | `quorum` | quorum sets: thresholds, what they tolerate, how one is generated from a list of validators |
//! | `tolerance` | how many failures a validator's quorum set stands |
//! | `consensus` | the part of a config that says whom a validator trusts |
//! | `seed` | a secret seed, printed only where it belongs |
//! | `check` | is this config one that stellar-core starts with? |
//! | `base` | StellarNode → base config, everything but the seed and the peers |
//! | `captive` | the config of the stellar-core that Horizon and Stellar RPC run themselves |
//! | `render` | base config, seed and peers → `stellar-core.cfg` |
//! | `command` | the subcommand `render-config`: the only code here that touches a file |
//! | `show` | the subcommand `config`: the file without its secrets, from what the API server holds |
//! | [`pod_paths`] | where all of that lies inside a validator's pod |
//!
//! No function here changes a quorum set (rule R8), and no error holds a seed.

mod address;
mod base;
mod captive;
mod check;
mod command;
mod consensus;
mod document;
mod keys;
pub mod pod_paths;
mod quorum;
mod render;
#[cfg(test)]
mod render_tests;
#[cfg(test)]
mod rules_tests;
mod seed;
mod show;
mod tolerance;
mod version;

pub use base::{base_config, config_of};
pub use captive::{archive_problem, captive_core_config, check_captive_core, history_archives, unlisted_keys};
pub use check::{Problem, check_validator, failures_tolerated, new_keys, quorum_warnings, trusts_only_itself};
pub use command::{RenderConfig, RenderError};
pub(crate) use document::quoted;
pub use render::{Database, Sources, preview, render};
pub use seed::Seed;
pub use show::{ShowConfig, ShowError};
pub use tolerance::Tolerance;
pub use version::{Keys, release};

use crate::crd::Network;
use crate::peers::PeerList;

/// The network of a base config, by its passphrase.
fn network_of(base: &str) -> Option<String> {
    let base = document::parse("the base config", base).ok()?;
    Some(base.get("NETWORK_PASSPHRASE")?.as_str()?.to_owned())
}

/// Why a list is none for a validator on this network; `None` where the list, or the config, names no network.
fn foreign(list: &PeerList, network: Option<&str>) -> Option<String> {
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
