//! Every label, annotation and object name that this program reads or writes, in one place.
//!
//! Nothing here decides anything; a name that is used in two files is defined here and nowhere else.

/// Longest DNS label, value of a label, and name of a label without its prefix (RFC 1123; "Labels and Selectors").
pub const LABEL_LIMIT: usize = 63;
/// API group of the StellarNode resource.
pub const GROUP: &str = "stellar.org";
/// `group/version` of the StellarNode resource.
pub const API_VERSION: &str = "stellar.org/v1alpha1";
/// Kind of the StellarNode resource.
pub const KIND: &str = "StellarNode";
/// Full name of the CustomResourceDefinition.
pub const CRD_NAME: &str = "stellarnodes.stellar.org";

/// Label: which application an object belongs to.
pub const NAME: &str = "app.kubernetes.io/name";
/// Label: the StellarNode that an object belongs to.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label: the part that an object plays, `validator`, `horizon` or `sorobanrpc`.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Label: who manages an object; without [`OPERATOR`] here we never write or delete it (rule R7).
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`NAME`] on everything that belongs to a StellarNode.
pub const STELLAR_NODE: &str = "stellar-node";
/// Value of [`COMPONENT`] on everything that belongs to a validator.
pub const VALIDATOR: &str = "validator";
/// Value of [`COMPONENT`] on everything that belongs to a Horizon server.
pub const HORIZON: &str = "horizon";
/// Value of [`COMPONENT`] on everything that belongs to a Stellar RPC server.
pub const SOROBAN_RPC: &str = "sorobanrpc";
/// Value of [`MANAGED_BY`], and the operator's own [`NAME`].
pub const OPERATOR: &str = "stellar-operator";
/// Label of the known-peers ConfigMap and of validators' pods: a short hash of the network's passphrase.
pub const NETWORK: &str = "stellar.org/network";

/// Label of validators' pods and of their group's PodDisruptionBudget: which known-peers ConfigMap, see
/// [`peers_value`].
pub const PEERS: &str = "stellar.org/peers";

/// Annotation of a validator's StatefulSet: the port that other validators dial.
pub const PEER_PORT: &str = "stellar.org/peer-port";
/// Annotation of a pod template: when the operator last restarted the validator for its peers (RFC 3339).
pub const RESTARTS: &str = "stellar.org/restarts.io";
/// Annotation of a pod template: hash of the part of the StellarNode's spec that the template was built from.
pub const SPEC_HASH: &str = "stellar.org/spec-hash";
/// Annotation of a validator's StatefulSet (metadata): what must outlive pods and operators, see `MemberRecord`.
pub const MEMBER: &str = "stellar.org/member";
/// Annotation of a StatefulSet (metadata): what a pod that cannot report is taken to have loaded.
pub const LOADED_PEERS: &str = "stellar.org/loaded-peers";
/// Annotation of a StatefulSet (metadata): the last restart for peers, view and time, see `LastRestart`.
pub const LAST_RESTART: &str = "stellar.org/last-restart";
/// Annotation of a StatefulSet (metadata): the time of a slot that was given back unused, see `Step::GiveBack`.
pub const SLOT_GIVEN_BACK: &str = "stellar.org/turn-given-back";
/// Annotation of a StellarNode: approves the one pending restart whose hash it holds (`--restart manual`).
pub const APPROVE_RESTART: &str = "stellar.org/approve-restart";
/// Annotation of a StellarNode or a namespace: no restarts while it is there.
pub const PAUSE_RESTARTS: &str = "stellar.org/pause-restarts";
/// Annotation of the Lease that holds the slots of a network: who holds one, see `Slot`.
pub const SLOTS: &str = "stellar.org/turns";
/// Annotation of the same Lease: when each namespace last had a slot, see `SlotLease`.
pub const SLOTS_SERVED: &str = "stellar.org/turns-served";
/// Annotation of the same Lease: the lists that are joined across namespaces, see `SlotLease`.
pub const JOINED_LISTS: &str = "stellar.org/joined-lists";
/// Every annotation of ours that a person may write on a StellarNode or a StatefulSet.
pub const USER_ANNOTATIONS: [&str; 3] = [PEER_PORT, APPROVE_RESTART, PAUSE_RESTARTS];
/// Every annotation of ours.
#[rustfmt::skip]
pub const ANNOTATIONS: [&str; 12] = [
    PEER_PORT, APPROVE_RESTART, PAUSE_RESTARTS, RESTARTS, SPEC_HASH, MEMBER, LOADED_PEERS, LAST_RESTART, SLOT_GIVEN_BACK, SLOTS,
    SLOTS_SERVED, JOINED_LISTS,
];

/// Selector: what the operator manages.
pub const OURS: &str = "app.kubernetes.io/managed-by=stellar-operator";
/// Selector: the lists, and the Leases of the slots. Not the leader's Lease, which changes every few seconds.
pub const LISTS_AND_TURNS: &str = "app.kubernetes.io/managed-by=stellar-operator,stellar.org/network";
/// Selector: the PodDisruptionBudgets of groups.
pub const BUDGETS: &str = "app.kubernetes.io/managed-by=stellar-operator,stellar.org/peers";

/// Label that Kubernetes gives a pod of a StatefulSet: the ControllerRevision with its template.
pub const REVISION: &str = "controller-revision-hash";

/// Default name of the known-peers ConfigMap.
pub const DEFAULT_PEERS_CONFIG_MAP: &str = "stellar-peers";
/// Key of the known-peers ConfigMap: newline-separated addresses; also the name of the injected env.
pub const KNOWN_PEERS: &str = "KNOWN_PEERS";
/// Key of the known-peers ConfigMap: the list as a line of TOML.
pub const KNOWN_PEERS_CFG: &str = "known-peers.cfg";
/// Key of the known-peers ConfigMap: one record per member.
pub const PEERS_JSON: &str = "peers.json";
/// Key of the known-peers ConfigMap: time and counts, for people.
pub const DISCOVERY_METADATA: &str = "discovery_metadata";
/// Key of a validator's seed in its Secret.
pub const SEED_KEY: &str = "STELLAR_CORE_SEED";
/// Key of the base config in the ConfigMap `{name}-config`.
pub const BASE_CONFIG_KEY: &str = "stellar-core.base.cfg";
/// Key of the user's own peers in the ConfigMap `{name}-config`, one per line.
pub const OWN_PEERS_KEY: &str = "known-peers";

/// Key of the captive core's config in the ConfigMap `{name}-config` of a Horizon or SorobanRpc.
pub const CAPTIVE_CORE_KEY: &str = "captive-core.cfg";
/// Key of the database's URL in the Secret of a Horizon server.
pub const DATABASE_URL_KEY: &str = "DATABASE_URL";

/// Names that the core container of a validator's pod goes by, ours first.
pub const CORE_CONTAINERS: [&str; 3] = [CORE_CONTAINER, "core", "stellar-node"];
/// Name of the core container in pods that we build.
pub const CORE_CONTAINER: &str = "stellar-core";
/// Name of the init container that writes `stellar-core.cfg`.
pub const RENDER_CONTAINER: &str = "render-config";
/// Name of the init container that creates the database.
pub const NEW_DB_CONTAINER: &str = "new-db";
/// Name of the init container that initialises the archives that the validator publishes to.
pub const NEW_HIST_CONTAINER: &str = "new-hist";
/// Name of the native sidecar that serves the archive on the validator's volume; of its port, too.
pub const HISTORY_CONTAINER: &str = "history";
/// Name of the native sidecar that tells whether the validator votes.
pub const HEALTH_CONTAINER: &str = "health";
/// Name of the volume with the database and buckets; of the claim template of a StatefulSet of ours, too.
pub const DATA_VOLUME: &str = "data";
/// Name of the volume with the base config.
pub const BASE_VOLUME: &str = "base";
/// Name of the volume with the list of known peers.
pub const PEERS_VOLUME: &str = "peers";
/// Name of the volume with `stellar-core.cfg`, which holds the seed: in memory.
pub const CONFIG_VOLUME: &str = "config";
/// Name of the volume for what a program needs to write besides.
pub const TMP_VOLUME: &str = "tmp";
/// Name of the volume with a seed that a driver provides.
pub const SEED_VOLUME: &str = "seed";
/// Name of the container port that other validators dial, ours.
pub const PEER_PORT_NAME: &str = "peer";
/// Names of that port in use.
pub const PEER_PORT_NAMES: [&str; 2] = [PEER_PORT_NAME, "core-peer"];
/// stellar-core's HTTP command port, always on localhost.
pub const HTTP_PORT: u16 = 11626;
/// Port of the `health` sidecar.
pub const HEALTH_PORT: u16 = 11628;
/// Port of the `history` sidecar.
pub const HISTORY_PORT: u16 = 11629;

/// Name of the container of a Horizon server.
pub const HORIZON_CONTAINER: &str = "horizon";
/// Name of the container of a Stellar RPC server.
pub const RPC_CONTAINER: &str = "stellar-rpc";
/// Name of the port that a Horizon or SorobanRpc serves on, in its pods and its Service.
pub const API_PORT_NAME: &str = "http";
/// The number of that port: the default of both programs.
pub const API_PORT: u16 = 8000;
/// Name of the port of metrics in pods of a Horizon or SorobanRpc; no Service has it.
pub const ADMIN_PORT_NAME: &str = "admin";
/// The number of that port, as in SDF's charts.
pub const ADMIN_PORT: u16 = 6061;

/// Field manager of what the builder sets.
pub const MANAGER: &str = "stellar-operator";
/// Field manager of `spec.replicas`, and of whom a Deployment belongs to.
pub const MANAGER_REPLICAS: &str = "stellar-operator-replicas";
/// Field manager of restarts for peers and of the persistent record.
pub const MANAGER_ROLLOUT: &str = "stellar-operator-rollout";
/// Field manager of the discovery's part of a StellarNode's status.
pub const MANAGER_PEERS_STATUS: &str = "stellar-operator-peers-status";
/// Field manager of the controller's part of a StellarNode's status.
pub const MANAGER_NODE_STATUS: &str = "stellar-operator-node-status";
/// Field manager of the leader's Lease.
pub const MANAGER_LEADER: &str = "stellar-operator-leader";
/// The Lease, in the operator's namespace, that the replica which leads holds.
pub const LEADER_LEASE: &str = "stellar-operator-leader";
/// Name under which Events are reported.
pub const REPORTER: &str = "stellar-operator";

/// The Secret that holds the webhook's certificate, unless another is named.
pub const DEFAULT_CERTIFICATE_SECRET: &str = "stellar-operator-webhook-cert";
/// Key of the certificate Secret: the authority that signs.
pub const CA_CERT: &str = "ca.crt";
/// Key of the certificate Secret: that authority's private key.
pub const CA_KEY: &str = "ca.key";
/// Key of the certificate Secret: what the webhook serves.
pub const TLS_CERT: &str = "tls.crt";
/// Key of the certificate Secret: the private key of what the webhook serves.
pub const TLS_KEY: &str = "tls.key";
/// Key of the certificate Secret: the authority that will sign once it is trusted everywhere.
pub const NEXT_CA_CERT: &str = "next-ca.crt";
/// Key of the certificate Secret: that authority's private key.
pub const NEXT_CA_KEY: &str = "next-ca.key";
/// Key of the certificate Secret: authorities that sign no longer and are still trusted.
pub const PREVIOUS_CA_CERTS: &str = "previous-ca.crt";
/// The webhook configurations (both), unless another name is given.
pub const DEFAULT_WEBHOOK_CONFIGURATION: &str = "stellar-operator";
/// The webhook's Service, unless another is named.
pub const DEFAULT_WEBHOOK_SERVICE: &str = "stellar-operator-webhook";

/// The value of the label [`PEERS`] for the ConfigMap of this name.
pub fn peers_value(config_map: &str) -> String {
    // A label value is shorter than a name may be.
    match config_map.len() {
        ..=LABEL_LIMIT => config_map.to_owned(),
        _ => crate::util::digest::short_hex(config_map.as_bytes(), 16),
    }
}

/// End of the name of the ConfigMap with the base config of a node.
pub const CONFIG_SUFFIX: &str = "-config";

/// Name of the ConfigMap with the base config of a node.
pub fn config_map_name(node: &str) -> String {
    format!("{node}{CONFIG_SUFFIX}")
}

/// Name of the headless Service of a validator.
pub fn headless_service_name(node: &str) -> String {
    format!("{node}-headless")
}

/// Name of the one pod of a validator, or of another StatefulSet: a StatefulSet numbers its pods from 0.
pub fn pod_name(stateful_set: &str) -> String {
    format!("{stateful_set}-0")
}

/// Name of that pod in the DNS of the cluster, behind its headless Service, without `.svc` and the cluster's domain
/// (Kubernetes docs, "StatefulSets, Stable Network ID").
pub fn pod_host(node: &str, namespace: &str) -> String {
    format!("{}.{}.{namespace}", pod_name(node), headless_service_name(node))
}

/// Name of the volume claim that Kubernetes makes for that pod from the template [`DATA_VOLUME`].
pub fn pod_claim_name(node: &str) -> String {
    format!("{DATA_VOLUME}-{}", pod_name(node))
}

/// Name of the volume claim of a SorobanRpc that has storage.
pub fn claim_name(node: &str) -> String {
    format!("{node}-data")
}

/// Name of the Lease that holds the slots of the network whose short hash this is.
pub fn slots_lease_name(network_hash: &str) -> String {
    format!("stellar-turns-{network_hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_of_our_labels() {
        assert_eq!(OURS, format!("{MANAGED_BY}={OPERATOR}"));
        assert_eq!(LISTS_AND_TURNS, format!("{OURS},{NETWORK}"));
        assert_eq!(BUDGETS, format!("{OURS},{PEERS}"));
        assert!(USER_ANNOTATIONS.iter().all(|name| ANNOTATIONS.contains(name)));
    }
}
