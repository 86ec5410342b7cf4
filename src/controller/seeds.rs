//! Of the validators with one seed only one runs: two harm consensus.
//!
//! The webhook refuses the second. Two that were created at once, or with the webhook down, are kept apart here: the
//! younger is not started. Nor is one whose seed a pod still runs with whose StellarNode is gone: on a machine that is cut off it may
//! sign for long. One that runs is never stopped. Pure but for [`Claims`], which has no I/O either.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{EnvVar, Pod};
use kube::ResourceExt;

use super::objects::GuardedNode;
use crate::crd::{Network, NodeType, StellarNode};
use crate::labels;

/// Who has a seed that another validator was given, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeedHolder {
    /// A validator that runs, or is to run first.
    Validator(String),
    /// A pod that has not ended, although its validator was deleted.
    PodLeft {
        /// Name of the validator.
        validator: String,
        /// Name of the pod.
        pod: String,
    },
}

impl fmt::Display for SeedHolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Validator(name) => write!(formatter, "validator {name}"),
            Self::PodLeft { validator, pod } => {
                write!(
                    formatter,
                    "pod {pod} of validator {validator}, which was deleted, has not ended and"
                )
            }
        }
    }
}

/// A seed, as far as it can be told without reading it: its Secret, and the network that it signs for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Seed {
    namespace: String,
    secret: String,
    network: Network,
}

fn seed_of(node: &StellarNode) -> Option<Seed> {
    let config = node.spec.validator_config.as_ref()?;
    (node.spec.node_type == NodeType::Validator).then(|| Seed {
        namespace: node.namespace().unwrap_or_default(),
        secret: config.seed_secret_ref.clone(),
        network: Network::parse(&node.spec.network),
    })
}

/// The other validators with the seed of `node`, suspended ones too.
pub fn rivals<'a>(node: &StellarNode, all: &'a [Arc<GuardedNode>]) -> Vec<&'a StellarNode> {
    let seed = seed_of(node);
    let others = all.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    others
        .filter(|other| other.uid() != node.uid() && seed.is_some() && seed_of(other) == seed)
        .collect()
}

/// The one among `rivals` that is to run before `node`: it is wanted, and older.
pub fn elder<'a>(node: &StellarNode, rivals: &[&'a StellarNode]) -> Option<&'a StellarNode> {
    let age = |node: &StellarNode| (node.creation_timestamp().map(|time| time.0), node.uid());
    let is_wanted = |rival: &&StellarNode| !rival.spec.suspended && rival.metadata.deletion_timestamp.is_none();
    rivals
        .iter()
        .copied()
        .filter(is_wanted)
        .find(|rival| age(rival) < age(node))
}

/// The Secret that an environment variable takes a validator's seed from.
pub fn secret_of(variable: &EnvVar) -> Option<&str> {
    let key = variable.value_from.as_ref()?.secret_key_ref.as_ref()?;
    (key.key == labels::SEED_KEY).then_some(key.name.as_str())
}

/// A pod of a validator whose StellarNode is gone, which has not ended and has the seed of `node`; of the pods of its namespace.
pub fn left_running<'a>(node: &StellarNode, all: &[Arc<GuardedNode>], pods: &'a [Arc<Pod>]) -> Option<&'a Arc<Pod>> {
    let seed = seed_of(node)?;
    let has_seed = |pod: &Pod| {
        let containers = pod
            .spec
            .iter()
            .flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
        let mut variables = containers.flat_map(|container| container.env.iter().flatten());
        variables.any(|variable| secret_of(variable) == Some(seed.secret.as_str()))
    };
    let has_ended = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    // One with the name of `node` is of the same StatefulSet, of which Kubernetes runs one pod at a time.
    let is_there = |instance: &String| {
        let mut nodes = all.iter().filter_map(|guarded| guarded.0.as_ref().ok());
        *instance == node.name_any()
            || nodes.any(|other| other.name_any() == *instance && other.namespace() == node.namespace())
    };
    let is_left = |pod: &Pod| {
        pod.labels()
            .get(labels::INSTANCE)
            .is_some_and(|instance| !is_there(instance))
    };
    pods.iter().find(|pod| has_seed(pod) && !has_ended(pod) && is_left(pod))
}

/// Who was started with which seed in this process: between the decision to start a validator and its StatefulSet nothing
/// in the API server tells of it.
#[derive(Debug, Default)]
pub struct Claims(Mutex<HashMap<Seed, String>>);

impl Claims {
    /// Claims the seed of `node` for it; the rival that has claimed it before, if there is one.
    pub fn claim<'a>(&self, node: &StellarNode, rivals: &[&'a StellarNode]) -> Option<&'a StellarNode> {
        let seed = seed_of(node)?;
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let holder = claims.get(&seed);
        let rival = rivals
            .iter()
            .find(|rival| holder.is_some() && rival.uid().as_ref() == holder);
        // A suspended validator has no use for its claim: whether it still runs, its StatefulSet tells.
        if let Some(rival) = rival.filter(|rival| !rival.spec.suspended) {
            return Some(rival);
        }
        claims.insert(seed, node.uid().unwrap_or_default());
        None
    }
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use serde_json::{Value, json};

    use super::*;

    fn node(name: &str, second: u32, seed: &str) -> Value {
        json!({
            "apiVersion": "stellar.org/v1alpha1", "kind": "StellarNode",
            "metadata": {
                "name": name, "namespace": "stellar", "uid": format!("uid-{name}"),
                "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
            },
            "spec": {
                "nodeType": "Validator", "network": "testnet", "version": "26.0.1",
                "validatorConfig": { "seedSecretRef": seed },
            },
        })
    }

    fn read(node: &Value) -> StellarNode {
        serde_json::from_value(node.clone()).unwrap()
    }

    fn names(node: &Value, all: &[&Value]) -> (Vec<String>, Option<String>) {
        let all: Vec<Arc<GuardedNode>> = all
            .iter()
            .map(|node| Arc::new(DeserializeGuard(Ok(read(node)))))
            .collect();
        let node = read(node);
        let rivals = rivals(&node, &all);
        let elder = elder(&node, &rivals).map(ResourceExt::name_any);
        (rivals.iter().map(|rival| rival.name_any()).collect(), elder)
    }

    #[test]
    fn a_pod_whose_node_is_gone_keeps_its_seed_until_it_has_ended() {
        let pod = |instance: &str, secret: &str, key: &str, phase: &str| {
            let seed = json!({ "name": "SEED", "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } });
            let pod = json!({
                "metadata": { "name": format!("{instance}-0"), "labels": { labels::INSTANCE: instance } },
                "spec": { "containers": [], "initContainers": [{ "name": labels::RENDER_CONTAINER, "env": [seed] }] },
                "status": { "phase": phase },
            });
            Arc::new(serde_json::from_value::<Pod>(pod).unwrap())
        };
        let node_of = |name| Arc::new(DeserializeGuard(Ok(read(&node(name, 1, "seed")))));
        let all = [node_of("a"), node_of("b")];
        for (pod, expected) in [
            (pod("gone", "seed", labels::SEED_KEY, "Running"), true),
            (pod("gone", "seed", labels::SEED_KEY, "Pending"), true),
            (pod("gone", "seed", labels::SEED_KEY, "Failed"), false),
            (pod("gone", "another", labels::SEED_KEY, "Running"), false),
            (pod("gone", "seed", "password", "Running"), false),
            // Its own, and that of one whose StellarNode tells.
            (pod("a", "seed", labels::SEED_KEY, "Running"), false),
            (pod("b", "seed", labels::SEED_KEY, "Running"), false),
        ] {
            let left = left_running(&read(&node("a", 1, "seed")), &all, std::slice::from_ref(&pod));
            assert_eq!(left.is_some(), expected, "{pod:?}");
        }
    }

    #[test]
    fn the_elder_runs_and_at_one_time_the_uid_decides() {
        let (a, b, c) = (node("a", 1, "seed"), node("b", 2, "seed"), node("c", 2, "seed"));
        let all = [&a, &b, &c];
        assert_eq!(names(&a, &all).1, None);
        assert_eq!(names(&b, &all).1.as_deref(), Some("a"));
        assert_eq!(names(&c, &[&b, &c]).1.as_deref(), Some("b"));
        assert_eq!(names(&b, &[&b, &c]).1, None);
    }

    #[test]
    fn only_one_seed_on_one_network_makes_rivals() {
        let mine = node("mine", 5, "seed");
        let other_secret = node("other-secret", 1, "another");
        let mut other_network = node("other-network", 1, "seed");
        other_network["spec"]["network"] = json!("futurenet");
        let mut elsewhere = node("elsewhere", 1, "seed");
        elsewhere["metadata"]["namespace"] = json!("other");
        let mut horizon = node("horizon", 1, "seed");
        horizon["spec"]["nodeType"] = json!("Horizon");
        let mut suspended = node("suspended", 1, "seed");
        suspended["spec"]["suspended"] = json!(true);
        let mut spelled = node("spelled", 9, "seed");
        spelled["spec"]["network"] = json!("Testnet");
        let all = [
            &mine,
            &other_secret,
            &other_network,
            &elsewhere,
            &horizon,
            &suspended,
            &spelled,
        ];
        let (rivals, elder) = names(&mine, &all);
        assert_eq!(rivals, ["suspended", "spelled"]);
        assert_eq!(elder, None, "a suspended one is not to run");
    }

    #[test]
    fn who_claims_first_runs_until_it_is_gone_or_suspended() {
        let claims = Claims::default();
        let (older, younger) = (read(&node("older", 1, "seed")), read(&node("younger", 2, "seed")));
        // The younger was here first: nobody had heard of the older.
        assert_eq!(claims.claim(&younger, &[]), None);
        assert_eq!(
            claims.claim(&older, &[&younger]).map(ResourceExt::name_any).as_deref(),
            Some("younger")
        );
        assert_eq!(claims.claim(&younger, &[&older]), None, "again");
        let mut suspended = younger.clone();
        suspended.spec.suspended = true;
        assert_eq!(claims.claim(&older, &[&suspended]), None);
        assert_eq!(
            claims.claim(&younger, &[&older]).map(ResourceExt::name_any).as_deref(),
            Some("older")
        );
        assert_eq!(claims.claim(&younger, &[]), None, "the older is gone");
    }
}
