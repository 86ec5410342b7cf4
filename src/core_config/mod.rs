//! Builds `stellar-core.cfg`, and checks it by stellar-core's own rules.
//!
//! stellar-core reads one TOML file, once, and exits at the first error in it. This module applies the same rules
//! earlier: admission and `check` to a user's settings, the controller to the base config, and `render-config`, inside
//! the pod, to the file itself. The source is stellar-core's `src/main/Config.cpp` and `ApplicationImpl.cpp` (releases
//! 19 to 27.1.0; comments name differences); functions named in comments are from these files.
//!
//! | module | what it is for |
//! |---|---|
//! | `document` | reads and writes TOML, with keys before tables |
//! | `keys` | the keys of each release, their valid values and combinations, and the operator's own keys |
//! | `version` | the keys that a version knows |
//! | `address` | stellar-core's syntax of a peer address |
//! | `quorum` | quorum sets, generated from a list of validators, and the failures that they tolerate |
//! | `seed` | the secret seed, protected against accidental output |
//! | `archives` | the history archives of a config, and where a validator publishes |
//! | `problems` | a bounded list of error messages |
//! | `check` | decides whether stellar-core would start with a config |
//! | `base` | StellarNode → base config: everything except seed and peers |
//! | `captive` | the config of the captive core of Horizon and Stellar RPC |
//! | `render` | base config, seed and peers → `stellar-core.cfg` |
//! | [`pod_paths`] | paths inside a validator's pod |
//!
//! No function here changes a quorum set (rule R8), and no error contains a seed.

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

/// The network of a base config, as its passphrase.
pub(crate) fn network_of(base: &str) -> Option<String> {
    let base = document::parse("the base config", base).ok()?;
    Some(base.get("NETWORK_PASSPHRASE")?.as_str()?.to_owned())
}

/// The reason to ignore a list of another network; `None` if the networks agree, or one of them is unknown.
pub(crate) fn foreign(list: &PeerList, network: Option<&str>) -> Option<String> {
    let ours = network?;
    let theirs = list.other_network(ours)?;
    Some(format!(
        "is the list of {} and this validator is on {}, so only the user's own peers are used: give it another \
         validatorConfig.knownPeersRef.name",
        Network::parse(theirs).display_name(),
        Network::parse(ours).display_name(),
    ))
}

/// No config can be made. Every message says how to fix it, and none contains a seed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{what} is not TOML: {reason}")]
    Toml { what: &'static str, reason: String },
    #[error("{what} is larger than any config that stellar-core is given: {reason}")]
    TooLarge { what: &'static str, reason: String },
    #[error("spec.validatorConfig is absent: only a validator with that block has a stellar-core config")]
    NoValidator,
    #[error(
        "spec.validatorConfig.quorumSet is absent and {network} has no default: name the validators that it trusts, as \
         [QUORUM_SET] with THRESHOLD_PERCENT and VALIDATORS, or as [[HOME_DOMAINS]] and [[VALIDATORS]]"
    )]
    NoQuorumSet { network: String },
    #[error(
        "captiveCoreConfig is absent and {network} has no default: name the validators that it trusts, as [QUORUM_SET] with \
         THRESHOLD_PERCENT and VALIDATORS, or as [[HOME_DOMAINS]] and [[VALIDATORS]]"
    )]
    NoCaptiveCoreConfig { network: String },
    #[error("stellar-core would refuse this config: {}", .0.join("; "))]
    Refused(Vec<String>),
    #[error("the seed is not a Stellar secret seed (S followed by 55 characters, nothing else): {0}")]
    Seed(&'static str),
}
