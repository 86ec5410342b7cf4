//! What an administrator can set: the times, limits and modes of discovery and rollout.
//!
//! Every option has an environment variable and a sentence in `--help`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::util::durations::duration;

/// Which changes restart a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RestartMode {
    /// When the members of its group changed, or its group is not connected.
    Changed,
    /// Only when its group is not connected: joins and leaves cost no restart. Recommended for production.
    Unlinked,
    /// As `changed`, but each restart waits for the annotation stellar.org/approve-restart.
    Manual,
    /// Never for peers; changes of a StellarNode's spec are still rolled out.
    Never,
}

/// How other validators dial a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AddressMode {
    /// The pod's IP.
    PodIp,
    /// The pod's name in the headless Service, which survives restarts.
    Dns,
}

/// Times, limits and modes of discovery and rollout.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Discovery and restarts")]
pub struct Options {
    /// Which changes restart a validator; production: unlinked
    #[arg(long, env = "RESTART", value_enum, default_value_t = RestartMode::Changed)]
    pub restart: RestartMode,
    /// How validators dial each other
    #[arg(long, env = "ADDRESS_MODE", value_enum, default_value_t = AddressMode::PodIp)]
    pub address_mode: AddressMode,
    /// Join the peer groups of namespaces that list each other in validatorConfig.peerGroup
    #[arg(long, env = "CROSS_NAMESPACE_GROUPS")]
    pub cross_namespace_groups: bool,
    /// The cluster's domain, for --address-mode dns
    #[arg(long, env = "CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
    /// How long changes are collected before the list is written
    #[arg(long, env = "SETTLE", default_value = "250ms", value_parser = duration)]
    pub settle: Duration,
    /// How long a group must be quiet before restarts for peers, when not all of its validators are ready
    #[arg(long, env = "QUIET", default_value = "10s", value_parser = duration)]
    pub quiet: Duration,
    /// How old a kubelet's copy of a ConfigMap may be: restarts that reconnect a group wait until nothing has changed
    /// for this long
    #[arg(long, env = "PROPAGATION", default_value = "30s", value_parser = duration)]
    pub propagation: Duration,
    /// How long a member without a running pod keeps its last address
    #[arg(long, env = "GRACE", default_value = "5m", value_parser = duration)]
    pub grace: Duration,
    /// How long restarts wait for a new validator: for peers, until it joins, and of those that vote, until it votes
    /// for the first time
    #[arg(long, env = "JOIN_WAIT", default_value = "10m", value_parser = duration)]
    pub join_wait: Duration,
    /// How long a stellar-core that serves its peers may take until it votes: a history archive has a checkpoint every
    /// 64 ledgers
    #[arg(long, env = "CATCH_UP", default_value = "6m", value_parser = duration)]
    pub catch_up: Duration,
    /// How long a restarted validator must vote before the next one's slot
    #[arg(long, env = "MIN_READY", default_value = "30s", value_parser = duration)]
    pub min_ready: Duration,
    /// A restart that takes longer than this, and than --catch-up from the start of its stellar-core, stops the
    /// restarts of its group
    #[arg(long, env = "ROLLOUT_DEADLINE", default_value = "15m", value_parser = duration)]
    pub rollout_deadline: Duration,
    /// Shortest time between two restarts of one validator for the same members
    #[arg(long, env = "RESTART_FUSE", default_value = "10m", value_parser = duration)]
    pub restart_fuse: Duration,
    /// How soon to check a StellarNode again that waits for something without a watch, such as a quota
    #[arg(long, env = "LOOK_AGAIN", default_value = "60s", value_parser = duration)]
    pub look_again: Duration,
    /// How many validators of one network the operator may take down at once
    #[arg(long, env = "MAX_UNAVAILABLE", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_unavailable: u32,
    /// Write no PodDisruptionBudgets for groups of validators, and remove those that were
    #[arg(long, env = "NO_DISRUPTION_BUDGETS")]
    pub no_disruption_budgets: bool,
    /// Leave StellarNodes to another operator: only the webhook, discovery and restarts for peers
    #[arg(long, env = "NO_NODE_CONTROLLER")]
    pub no_node_controller: bool,
    /// Longest time between two decisions of peer discovery, in seconds
    #[arg(long, env = "PEER_DISCOVERY_INTERVAL_SECS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub discovery_interval_secs: u64,
}

impl Default for Options {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            restart: RestartMode::Changed,
            address_mode: AddressMode::PodIp,
            cross_namespace_groups: false,
            cluster_domain: "cluster.local".to_owned(),
            settle: Duration::from_millis(250),
            quiet: seconds(10),
            propagation: seconds(30),
            grace: seconds(300),
            join_wait: seconds(600),
            catch_up: seconds(360),
            min_ready: seconds(30),
            rollout_deadline: seconds(900),
            restart_fuse: seconds(600),
            look_again: seconds(60),
            max_unavailable: 1,
            no_disruption_budgets: false,
            no_node_controller: false,
            discovery_interval_secs: 30,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn the_command_line_and_the_default_say_the_same() {
        let parsed = Line::parse_from(["test"]).options;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Options::default()));
    }
}
