//! What only one validator at a time may use: its seed, with which two harm consensus, and its database, which a second one would
//! wipe when it starts.
//!
//! The webhook refuses the second. Two that were created at once, or with the webhook down, are kept apart here: the
//! younger is not started. Nor is one whose seed another's pod still runs with, whatever that one's spec says by now: it is gone, on a
//! machine that is cut off, or waits for its turn to get another. One that runs is never stopped. Pure but for [`Claims`], which
//! has no I/O either.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{EnvVar, Pod};
use kube::ResourceExt;

use super::objects::GuardedNode;
use super::workload_step::runs;
use crate::crd::{Network, NodeType, SecretKeyRef, SeedSource, StellarNode};
use crate::labels;

/// What another validator has that this one was given, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// What it is.
    pub what: Sole,
    /// Who has it.
    pub holder: Holder,
}

/// What only one may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sole {
    /// A seed.
    Seed,
    /// A database.
    Database,
}

/// Who has what another validator was given, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A validator that runs, or is to run first.
    Validator(String),
    /// A pod that has not ended, although its validator was deleted or is to have another seed.
    Pod {
        /// Name of the validator.
        validator: String,
        /// Name of the pod.
        pod: String,
    },
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Validator(name) => write!(formatter, "validator {name}"),
            Self::Pod { validator, pod } => {
                write!(formatter, "pod {pod} of validator {validator}, which has not ended,")
            }
        }
    }
}

/// What a validator was given, as far as it can be told apart without reading a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Given {
    /// The seed, and the network that it signs for.
    Seed {
        namespace: String,
        source: SeedSource,
        network: Network,
    },
    Database {
        namespace: String,
        key: SecretKeyRef,
    },
}

fn given(node: &StellarNode, what: Sole) -> Option<Given> {
    let config = node.spec.validator_config.as_ref();
    let config = config.filter(|_| node.spec.node_type == NodeType::Validator)?;
    let namespace = node.namespace().unwrap_or_default();
    Some(match what {
        Sole::Seed => Given::Seed {
            namespace,
            source: config.seed_source()?,
            network: Network::parse(&node.spec.network),
        },
        Sole::Database => Given::Database {
            namespace,
            key: config.database_key()?.clone(),
        },
    })
}

/// What a validator takes into use with the next write of its StatefulSet, which is `stored` as it is: its seed when it starts; its
/// database when it is made. One that was a member has made it; one that is created suspended would when it is resumed.
pub fn taken_into_use(is_to_run: bool, stored: Option<&StatefulSet>) -> Vec<Sole> {
    let starts = is_to_run && stored.is_none_or(|stored| !runs(stored));
    let makes_database = stored.is_none_or(|stored| starts && !was_member(stored));
    let both = [(Sole::Seed, starts), (Sole::Database, makes_database)];
    both.into_iter()
        .filter(|(_, is_taken)| *is_taken)
        .map(|(what, _)| what)
        .collect()
}

/// Whether a rival with this StatefulSet has what a validator, whose own is `stored`, was given, too. Of two whose StatefulSets are
/// there the one that was a member has made their database.
pub fn has_it(rival: &StatefulSet, what: Sole, stored: Option<&StatefulSet>) -> bool {
    match what {
        Sole::Seed => runs(rival),
        Sole::Database => stored.is_none() || was_member(rival),
    }
}

/// Whether a StatefulSet remembers that its validator was a member of its group.
fn was_member(stored: &StatefulSet) -> bool {
    stored.annotations().contains_key(labels::MEMBER)
}

/// The other validators that were given the same, suspended ones too.
pub fn rivals<'a>(node: &StellarNode, what: Sole, all: &'a [Arc<GuardedNode>]) -> Vec<&'a StellarNode> {
    let Some(mine) = given(node, what) else {
        return Vec::new();
    };
    let others = all.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    others
        .filter(|other| other.uid() != node.uid() && given(other, what).as_ref() == Some(&mine))
        .collect()
}

/// The one among `rivals` that is to have it before `node`: it is older and not on its way out. A seed is of no use to one that is
/// suspended; a database it keeps, and once the StatefulSet of `node` is there, age says nothing of it any more.
pub fn elder<'a>(
    node: &StellarNode,
    what: Sole,
    stored: Option<&StatefulSet>,
    rivals: &[&'a StellarNode],
) -> Option<&'a StellarNode> {
    if what == Sole::Database && stored.is_some() {
        return None;
    }
    let age = |node: &StellarNode| (node.creation_timestamp().map(|time| time.0), node.uid());
    let is_wanted = |rival: &&StellarNode| {
        rival.metadata.deletion_timestamp.is_none() && (what == Sole::Database || !rival.spec.suspended)
    };
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

/// The Secret that a pod which has not ended runs with the seed of. Which file of a driver's volume one reads is not to be seen.
pub fn seed_secret(pod: &Pod) -> Option<&str> {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let spec = pod
        .spec
        .as_ref()
        .filter(|_| !matches!(phase, Some("Succeeded" | "Failed")))?;
    let mut containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    containers.find_map(|container| container.env.iter().flatten().find_map(secret_of))
}

/// A pod of another validator that has not ended and runs with the seed that `node` is to have; of the pods of its namespace.
///
/// Not one of a validator of another network; nor one with the name of `node`, which is of the same StatefulSet: of that Kubernetes
/// runs one pod at a time.
pub fn still_running<'a>(node: &StellarNode, all: &[Arc<GuardedNode>], pods: &'a [Arc<Pod>]) -> Option<&'a Arc<Pod>> {
    let Some(Given::Seed {
        namespace,
        source: SeedSource::Secret(secret),
        network,
    }) = given(node, Sole::Seed)
    else {
        return None;
    };
    let is_elsewhere = |instance: &str| {
        let mut nodes = all.iter().filter_map(|guarded| guarded.0.as_ref().ok());
        nodes.any(|other| {
            other.name_any() == instance
                && other.namespace().as_ref() == Some(&namespace)
                && Network::parse(&other.spec.network) != network
        })
    };
    let is_another = |pod: &Pod| {
        let instance = pod.labels().get(labels::INSTANCE);
        instance.is_some_and(|instance| *instance != node.name_any() && !is_elsewhere(instance))
    };
    let is_here = |pod: &Pod| pod.namespace().is_none_or(|of| of == namespace);
    pods.iter()
        .find(|pod| seed_secret(pod) == Some(&secret) && is_here(pod) && is_another(pod))
}

/// Who was started with what in this process: between the decision to start a validator and its StatefulSet nothing
/// in the API server tells of it.
#[derive(Debug, Default)]
pub struct Claims(Mutex<HashMap<Given, String>>);

impl Claims {
    /// Claims what `node` was given for it; the rival that has claimed it before, if there is one.
    pub fn claim<'a>(&self, node: &StellarNode, what: Sole, rivals: &[&'a StellarNode]) -> Option<&'a StellarNode> {
        let given = given(node, what)?;
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let holder = claims.get(&given);
        let rival = rivals
            .iter()
            .find(|rival| holder.is_some() && rival.uid().as_ref() == holder);
        // A suspended validator has no use for a seed: whether it still runs, its StatefulSet tells.
        if let Some(rival) = rival.filter(|rival| what == Sole::Database || !rival.spec.suspended) {
            return Some(rival);
        }
        claims.insert(given, node.uid().unwrap_or_default());
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
        let rivals = rivals(&node, Sole::Seed, &all);
        let elder = elder(&node, Sole::Seed, None, &rivals).map(ResourceExt::name_any);
        (rivals.iter().map(|rival| rival.name_any()).collect(), elder)
    }

    #[test]
    fn a_pod_of_another_keeps_its_seed_until_it_has_ended() {
        let pod = |instance: &str, secret: &str, key: &str, phase: &str| {
            let seed = json!({ "name": "SEED", "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } });
            let pod = json!({
                "metadata": { "name": format!("{instance}-0"), "labels": { labels::INSTANCE: instance } },
                "spec": { "containers": [], "initContainers": [{ "name": labels::RENDER_CONTAINER, "env": [seed] }] },
                "status": { "phase": phase },
            });
            Arc::new(serde_json::from_value::<Pod>(pod).unwrap())
        };
        let mut elsewhere = node("elsewhere", 1, "another");
        elsewhere["spec"]["network"] = json!("futurenet");
        let all = [node("a", 1, "seed"), node("b", 1, "moved-on"), elsewhere];
        let all = all.map(|node| Arc::new(DeserializeGuard(Ok(read(&node)))));
        for (pod, expected) in [
            (pod("gone", "seed", labels::SEED_KEY, "Running"), true),
            (pod("gone", "seed", labels::SEED_KEY, "Pending"), true),
            (pod("gone", "seed", labels::SEED_KEY, "Failed"), false),
            (pod("gone", "another", labels::SEED_KEY, "Running"), false),
            (pod("gone", "seed", "password", "Running"), false),
            // Its spec names another, which its pod gets in its turn.
            (pod("b", "seed", labels::SEED_KEY, "Running"), true),
            (pod("elsewhere", "seed", labels::SEED_KEY, "Running"), false),
            // Its own.
            (pod("a", "seed", labels::SEED_KEY, "Running"), false),
        ] {
            let running = still_running(&read(&node("a", 1, "seed")), &all, std::slice::from_ref(&pod));
            assert_eq!(running.is_some(), expected, "{pod:?}");
        }
    }

    #[test]
    fn what_is_taken_into_use_and_who_has_it() {
        let set = |replicas: i32, was_member: bool| {
            let annotations = if was_member {
                json!({ labels::MEMBER: "{}" })
            } else {
                json!({})
            };
            let spec = json!({ "replicas": replicas, "selector": {}, "serviceName": "a", "template": {} });
            serde_json::from_value::<StatefulSet>(json!({ "metadata": { "annotations": annotations }, "spec": spec }))
                .unwrap()
        };
        let (fresh, once) = (set(0, false), set(0, true));
        let both = vec![Sole::Seed, Sole::Database];
        for (is_to_run, stored, expected) in [
            (true, None, both.clone()),
            (false, None, vec![Sole::Database]),
            (true, Some(&fresh), both),
            (false, Some(&fresh), vec![]),
            (true, Some(&once), vec![Sole::Seed]),
            (true, Some(&set(1, false)), vec![]),
        ] {
            assert_eq!(taken_into_use(is_to_run, stored), expected, "{is_to_run} {stored:?}");
        }
        assert!(has_it(&set(1, false), Sole::Seed, None) && !has_it(&once, Sole::Seed, None));
        assert!(has_it(&fresh, Sole::Database, None), "it may have made it");
        assert!(has_it(&once, Sole::Database, Some(&fresh)) && !has_it(&fresh, Sole::Database, Some(&fresh)));
    }

    #[test]
    fn a_database_is_the_elders_also_while_that_is_suspended_and_whatever_its_network() {
        let with = |name: &str, second: u32, key: &str| {
            let mut node = node(name, second, name);
            let reference = json!({ "secretKeyRef": { "name": "postgres", "key": key } });
            node["spec"]["validatorConfig"]["database"] = reference;
            node
        };
        let (mut elder, mut younger, other) = (with("elder", 1, "a"), with("younger", 2, "a"), with("other", 1, "b"));
        elder["spec"]["suspended"] = json!(true);
        younger["spec"]["network"] = json!("futurenet");
        let guarded = |node: &Value| Arc::new(DeserializeGuard(Ok(read(node))));
        let all = [&elder, &younger, &other, &node("without", 1, "seed")].map(guarded);
        let before = |node: &Value| {
            let node = read(node);
            let rivals = rivals(&node, Sole::Database, &all);
            let elder = super::elder(&node, Sole::Database, None, &rivals).map(ResourceExt::name_any);
            let claims = Claims::default();
            rivals.iter().for_each(|rival| {
                claims.claim(rival, Sole::Database, &[]);
            });
            (
                elder,
                claims.claim(&node, Sole::Database, &rivals).map(ResourceExt::name_any),
            )
        };
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(before(&younger), (name("elder"), name("elder")));
        assert_eq!(before(&elder), (None, name("younger")));
        assert_eq!(before(&other), (None, None));
        assert_eq!(before(&node("without", 1, "seed")), (None, None));
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
        assert_eq!(claims.claim(&younger, Sole::Seed, &[]), None);
        assert_eq!(
            claims
                .claim(&older, Sole::Seed, &[&younger])
                .map(ResourceExt::name_any)
                .as_deref(),
            Some("younger")
        );
        assert_eq!(claims.claim(&younger, Sole::Seed, &[&older]), None, "again");
        let mut suspended = younger.clone();
        suspended.spec.suspended = true;
        assert_eq!(claims.claim(&older, Sole::Seed, &[&suspended]), None);
        assert_eq!(
            claims
                .claim(&younger, Sole::Seed, &[&older])
                .map(ResourceExt::name_any)
                .as_deref(),
            Some("older")
        );
        assert_eq!(claims.claim(&younger, Sole::Seed, &[]), None, "the older is gone");
    }
}
