//! Every label, annotation and object name that this program reads or writes.
//!
//! A name that two files use is defined here and nowhere else.

#![warn(missing_docs)]

/// Longest DNS label, label value, and label name without its prefix (RFC 1123; "Labels and Selectors").
pub const LABEL_LIMIT: usize = 63;
/// API group of the StellarNode resource.
pub const GROUP: &str = "stellar.org";
/// `group/version` of the StellarNode resource.
pub const API_VERSION: &str = "stellar.org/v1alpha1";
/// Kind of the StellarNode resource.
pub const KIND: &str = "StellarNode";
/// Full name of the CustomResourceDefinition.
pub const CRD_NAME: &str = "stellarnodes.stellar.org";

/// Label: the application that an object belongs to.
pub const NAME: &str = "app.kubernetes.io/name";
/// Label: the StellarNode that an object belongs to.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label: the component that an object implements, `validator`, `horizon` or `sorobanrpc`.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Label: the manager of an object. The operator writes and deletes only objects that have [`OPERATOR`] here (rule R7).
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

/// Label of validators' pods and of their group's PodDisruptionBudget: the known-peers ConfigMap, see [`peers_value`].
pub const PEERS: &str = "stellar.org/peers";

/// Annotation of a validator's StatefulSet: the port that other validators dial.
pub const PEER_PORT: &str = "stellar.org/peer-port";
/// Annotation of a pod template: time of the last restart for peers (RFC 3339).
pub const RESTARTS: &str = "stellar.org/restarts.io";
/// Annotation of a pod template: hash of the part of the StellarNode's spec that the template was built from.
pub const SPEC_HASH: &str = "stellar.org/spec-hash";
/// Annotation of a validator's StatefulSet (metadata): the record that must outlive pods and operators, see
/// `MemberRecord`.
pub const MEMBER: &str = "stellar.org/member";
/// Annotation of a StatefulSet (metadata): the list that a pod without a report is assumed to have loaded.
pub const LOADED_PEERS: &str = "stellar.org/loaded-peers";
/// Annotation of a StatefulSet (metadata): view and time of the last restart for peers, see `LastRestart`.
pub const LAST_RESTART: &str = "stellar.org/last-restart";
/// Annotation of a StatefulSet (metadata): time of a slot that was given back unused, see `Step::GiveBack`.
pub const SLOT_GIVEN_BACK: &str = "stellar.org/turn-given-back";
/// Annotation of a StellarNode: approves the pending restart with this hash (`--restart manual`).
pub const APPROVE_RESTART: &str = "stellar.org/approve-restart";
/// Annotation of a StellarNode or a namespace: blocks restarts while it is present.
pub const PAUSE_RESTARTS: &str = "stellar.org/pause-restarts";
/// Annotation of the Lease with the slots of a network: the holders, see `Slot`.
pub const SLOTS: &str = "stellar.org/turns";
/// Annotation of the same Lease: time of each namespace's last slot, see `SlotLease`.
pub const SLOTS_SERVED: &str = "stellar.org/turns-served";
/// Annotation of the same Lease: the lists that are joined across namespaces, see `SlotLease`.
pub const JOINED_LISTS: &str = "stellar.org/joined-lists";
/// The annotations of the operator that a person may set on a StellarNode or a StatefulSet.
pub const USER_ANNOTATIONS: [&str; 3] = [PEER_PORT, APPROVE_RESTART, PAUSE_RESTARTS];

/// All annotations of the operator.
#[rustfmt::skip]
pub const ANNOTATIONS: [&str; 12] = [
    PEER_PORT, APPROVE_RESTART, PAUSE_RESTARTS, RESTARTS, SPEC_HASH, MEMBER, LOADED_PEERS, LAST_RESTART, SLOT_GIVEN_BACK, SLOTS,
    SLOTS_SERVED, JOINED_LISTS,
];

/// Annotations with which Argo CD ("Sync Options") and Flux ("Kustomization", `prune`) keep an object that is no longer
/// in the repository, or whose application is deleted.
pub const KEPT: [(&str, &str); 2] = [
    ("argocd.argoproj.io/sync-options", "Prune=false,Delete=false"),
    ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
];
/// Annotation of a pod: the container that `kubectl logs` and `kubectl exec` mean where none is named.
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Selector: all objects that the operator manages.
pub const OURS: &str = "app.kubernetes.io/managed-by=stellar-operator";
/// Selector: the known-peers lists and the Leases with slots. It excludes the leader's Lease, which changes every few
/// seconds.
pub const LISTS_AND_SLOTS: &str = "app.kubernetes.io/managed-by=stellar-operator,stellar.org/network";
/// Selector: the PodDisruptionBudgets of groups.
pub const BUDGETS: &str = "app.kubernetes.io/managed-by=stellar-operator,stellar.org/peers";

/// Label that Kubernetes sets on a pod of a StatefulSet: the ControllerRevision with the pod's template.
pub const REVISION: &str = "controller-revision-hash";

/// Default name of the known-peers ConfigMap.
pub const DEFAULT_PEERS_CONFIG_MAP: &str = "stellar-peers";
/// Key of the known-peers ConfigMap: newline-separated addresses. Also the name of the injected environment variable.
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

/// Usual names of the core container, the operator's own first.
pub const CORE_CONTAINERS: [&str; 3] = [CORE_CONTAINER, "core", "stellar-node"];
/// Name of the core container in the operator's pods.
pub const CORE_CONTAINER: &str = "stellar-core";
/// Name of the init container that writes `stellar-core.cfg`.
pub const RENDER_CONTAINER: &str = "render-config";
/// Name of the init container that creates the database.
pub const NEW_DB_CONTAINER: &str = "new-db";
/// Name of the init container that initialises the validator's own history archives.
pub const NEW_HIST_CONTAINER: &str = "new-hist";
/// Name of the native sidecar that serves the archive on the validator's volume, and of its port.
pub const HISTORY_CONTAINER: &str = "history";
/// Name of the native sidecar that reports whether the validator votes.
pub const HEALTH_CONTAINER: &str = "health";
/// Name of the volume with the database and buckets, and of its claim template.
pub const DATA_VOLUME: &str = "data";
/// Name of the volume with the base config.
pub const BASE_VOLUME: &str = "base";
/// Name of the volume with the list of known peers.
pub const PEERS_VOLUME: &str = "peers";
/// Name of the volume with `stellar-core.cfg`. It is in memory, because the file holds the seed.
pub const CONFIG_VOLUME: &str = "config";
/// Name of the scratch volume, mounted at /tmp.
pub const TMP_VOLUME: &str = "tmp";
/// Name of the volume with a seed from a CSI driver.
pub const SEED_VOLUME: &str = "seed";
/// Name of the peer port in the operator's pods.
pub const PEER_PORT_NAME: &str = "peer";
/// Usual names of the peer port.
pub const PEER_PORT_NAMES: [&str; 2] = [PEER_PORT_NAME, "core-peer"];
/// stellar-core's HTTP command port, which listens on localhost only.
pub const HTTP_PORT: u16 = 11626;
/// Port of the `health` sidecar.
pub const HEALTH_PORT: u16 = 11628;
/// Port of the `history` sidecar.
pub const HISTORY_PORT: u16 = 11629;

/// Name of the container of a Horizon server.
pub const HORIZON_CONTAINER: &str = "horizon";
/// Name of the container of a Stellar RPC server.
pub const RPC_CONTAINER: &str = "stellar-rpc";
/// Name of the API port of a Horizon or SorobanRpc, in its pods and its Service.
pub const API_PORT_NAME: &str = "http";
/// Number of the API port: the default of both programs.
pub const API_PORT: u16 = 8000;
/// Name of the metrics port of a Horizon or SorobanRpc. It is in no Service.
pub const ADMIN_PORT_NAME: &str = "admin";
/// Number of the metrics port, as in SDF's charts.
pub const ADMIN_PORT: u16 = 6061;

/// Field manager of the builders' fields.
pub const MANAGER: &str = "stellar-operator";
/// Field manager of `spec.replicas`, and of a Deployment's owner.
pub const MANAGER_REPLICAS: &str = "stellar-operator-replicas";
/// Field manager of restarts for peers and of the persistent record.
pub const MANAGER_ROLLOUT: &str = "stellar-operator-rollout";
/// Field manager of discovery's part of a StellarNode's status.
pub const MANAGER_PEERS_STATUS: &str = "stellar-operator-peers-status";
/// Field manager of the controller's part of a StellarNode's status.
pub const MANAGER_NODE_STATUS: &str = "stellar-operator-node-status";
/// Field manager of the leader's Lease.
pub const MANAGER_LEADER: &str = "stellar-operator-leader";
/// The leader's Lease, in the operator's namespace.
pub const LEADER_LEASE: &str = "stellar-operator-leader";
/// Reporter of the Events.
pub const REPORTER: &str = "stellar-operator";

/// Default name of the Secret with the webhook's certificate.
pub const DEFAULT_CERTIFICATE_SECRET: &str = "stellar-operator-webhook-cert";
/// Key of the certificate Secret: the current CA.
pub const CA_CERT: &str = "ca.crt";
/// Key of the certificate Secret: private key of the current CA.
pub const CA_KEY: &str = "ca.key";
/// Key of the certificate Secret: the webhook's certificate.
pub const TLS_CERT: &str = "tls.crt";
/// Key of the certificate Secret: private key of the webhook's certificate.
pub const TLS_KEY: &str = "tls.key";
/// Key of the certificate Secret: the next CA, which signs once it is trusted everywhere.
pub const NEXT_CA_CERT: &str = "next-ca.crt";
/// Key of the certificate Secret: private key of the next CA.
pub const NEXT_CA_KEY: &str = "next-ca.key";
/// Key of the certificate Secret: former CAs, still trusted.
pub const PREVIOUS_CA_CERTS: &str = "previous-ca.crt";
/// Default name of both webhook configurations.
pub const DEFAULT_WEBHOOK_CONFIGURATION: &str = "stellar-operator";
/// Default name of the webhook's Service.
pub const DEFAULT_WEBHOOK_SERVICE: &str = "stellar-operator-webhook";

/// The value of the label [`PEERS`] for a ConfigMap of this name.
pub fn peers_value(config_map: &str) -> String {
    // A label value must be shorter than a name may be.
    match config_map.len() {
        ..=LABEL_LIMIT => config_map.to_owned(),
        _ => crate::util::digest::short_hex(config_map.as_bytes(), 16),
    }
}

/// Suffix of the name of a node's base config ConfigMap.
pub const CONFIG_SUFFIX: &str = "-config";

/// Name of a node's base config ConfigMap.
pub fn config_map_name(node: &str) -> String {
    format!("{node}{CONFIG_SUFFIX}")
}

/// Name of the headless Service of a validator.
pub fn headless_service_name(node: &str) -> String {
    format!("{node}-headless")
}

/// Name of the only pod of a validator, or of another StatefulSet: a StatefulSet numbers its pods from 0.
pub fn pod_name(stateful_set: &str) -> String {
    format!("{stateful_set}-0")
}

/// DNS name of that pod behind its headless Service, without `.svc` and the cluster domain (Kubernetes docs,
/// "StatefulSets, Stable Network ID").
pub fn pod_host(node: &str, namespace: &str) -> String {
    format!("{}.{}.{namespace}", pod_name(node), headless_service_name(node))
}

/// Name of the volume claim that Kubernetes creates for that pod from the template [`DATA_VOLUME`].
pub fn pod_claim_name(node: &str) -> String {
    format!("{DATA_VOLUME}-{}", pod_name(node))
}

/// Name of a SorobanRpc's volume claim.
pub fn claim_name(node: &str) -> String {
    format!("{node}-data")
}

/// Name of the Lease with the slots of a network, by the short hash of the network.
pub fn slots_lease_name(network_hash: &str) -> String {
    format!("stellar-turns-{network_hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_of_our_labels() {
        assert_eq!(OURS, format!("{MANAGED_BY}={OPERATOR}"));
        assert_eq!(LISTS_AND_SLOTS, format!("{OURS},{NETWORK}"));
        assert_eq!(BUDGETS, format!("{OURS},{PEERS}"));
        assert!(USER_ANNOTATIONS.iter().all(|name| ANNOTATIONS.contains(name)));
    }
}
