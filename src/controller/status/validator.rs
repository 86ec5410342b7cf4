//! A StatefulSet's state → what a validator is said to be doing.
//!
//! Pure. Every message depends on nothing that changes by itself, so that a node at rest has a status at rest. Whether
//! the validator votes, and what its restart waits for, discovery says.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;

use super::node::NodeReport;
use crate::controller::model::conditions::{Degraded, Finding, Progressing, Ready};
use crate::controller::observe::convert;
use crate::crd::{Network, Publish, StellarNode};
use crate::kubernetes::stored::{built_from, runs};
use crate::{core_config, labels};

/// What there is to say about one validator.
#[derive(Debug)]
pub struct Running<'a> {
    /// The validator.
    pub node: &'a StellarNode,
    /// Number of pods that it is to have.
    pub replicas: i32,
    /// Hash of its spec.
    pub spec_hash: &'a str,
    /// Its StatefulSet as it was read; `None` where it does not exist yet.
    pub stored: Option<&'a StatefulSet>,
}

/// Where other pods reach a validator: name and peer port of its pod.
pub fn endpoint(node: &StellarNode) -> Option<String> {
    let port = node.spec.validator_config.as_ref()?.peer_port();
    let (name, namespace) = (node.name_any(), node.namespace()?);
    Some(format!("{}.svc:{port}", labels::pod_host(&name, &namespace)))
}

/// Number of pods of a StatefulSet that are Ready.
pub fn ready_replicas(stored: &StatefulSet) -> i32 {
    let status = stored.status.as_ref();
    status.and_then(|status| status.ready_replicas).unwrap_or(0)
}

impl Running<'_> {
    /// The report on it.
    pub fn report(&self) -> NodeReport {
        let mut conditions = vec![self.ready(), self.progressing()];
        conditions.extend(self.no_archive());
        NodeReport {
            storage: None,
            replicas: self.replicas,
            ready_replicas: self.ready_replicas(),
            endpoint: endpoint(self.node),
            conditions,
        }
    }

    fn ready_replicas(&self) -> i32 {
        self.stored.map_or(0, ready_replicas)
    }

    fn ready(&self) -> Finding {
        if self.node.spec.suspended {
            let message = "it is suspended: its StatefulSet is scaled to 0, Service and storage stay";
            Finding::new(Ready::Suspended, false, message)
        } else if self.ready_replicas() >= self.replicas {
            Finding::new(Ready::PodReady, true, "its pod is Ready")
        } else {
            Finding::new(Ready::PodNotReady, false, "its pod is not Ready")
        }
    }

    /// A pod template of a version that gave private networks no archive stays until the spec changes, where the
    /// validator runs.
    fn no_archive(&self) -> Option<Finding> {
        let stored = self.stored?;
        let config = self.node.spec.validator_config.as_ref()?;
        let network = Network::parse(&self.node.spec.network);
        let lacks = runs(stored)
            && core_config::publishes(config, &network) == Publish::Volume
            && built_from(stored) == Some(self.spec_hash)
            && !convert::serves_history(stored);
        lacks.then(|| {
            let message = "its pod template is of a version that gave private networks no history archive, and stellar-core \
                           does not start without one: write validatorConfig.history.publish: Volume, and it gets one in its slot";
            Finding::new(Degraded::NoArchive, true, message).warning()
        })
    }

    fn progressing(&self) -> Finding {
        let Some(stored) = self.stored else {
            return Finding::new(Progressing::Creating, true, "its StatefulSet is being created");
        };
        let status = stored.status.clone().unwrap_or_default();
        let observed = status.observed_generation >= stored.metadata.generation;
        // With `OnDelete` the current revision never catches up, so the pods of the update revision count.
        let to_a_person = convert::leaves_updates_to_a_person(stored);
        let outdated = status.current_revision != status.update_revision;
        if !observed || status.replicas != self.replicas || (outdated && !to_a_person) {
            Finding::new(
                Progressing::RollingOut,
                true,
                "its pod is being made that of its StatefulSet",
            )
        } else if outdated && status.updated_replicas.unwrap_or(0) < self.replicas {
            let message = "its StatefulSet's updateStrategy leaves it to a person to delete the pod";
            Finding::new(Progressing::WaitsForPerson, false, message)
        } else if self.replicas > 0 && built_from(stored) != Some(self.spec_hash) {
            Finding::new(
                Progressing::WaitsForTurn,
                false,
                "its changed spec waits for its slot to restart",
            )
        } else {
            Finding::new(Progressing::RolloutComplete, false, "its pod is that of its spec")
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::StatefulSetUpdateStrategy;
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::resources;

    fn report(node: &StellarNode, replicas: i32, stored: &StatefulSet) -> NodeReport {
        let running = Running {
            node,
            replicas,
            spec_hash: &resources::spec_hash(&node.spec),
            stored: Some(stored),
        };
        running.report()
    }

    fn node(suspended: bool) -> StellarNode {
        serde_json::from_value(json!({
            "apiVersion": labels::API_VERSION, "kind": labels::KIND,
            "metadata": { "name": "validator-1", "namespace": "stellar" },
            "spec": {
                "nodeType": "Validator", "network": "testnet", "version": "1", "suspended": suspended,
                "validatorConfig": { "seedSecretRef": "seed" },
            },
        }))
        .unwrap()
    }

    fn stored_with(hash: &str, status: &Value) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": { "generation": 2 },
            "spec": {
                "selector": {}, "serviceName": "s",
                "template": { "metadata": { "annotations": { labels::SPEC_HASH: hash } } },
            },
            "status": status,
        }))
        .unwrap()
    }

    fn told(node: &StellarNode, replicas: i32, hash: &str, status: &Value) -> Vec<(&'static str, bool, &'static str)> {
        let report = report(node, replicas, &stored_with(hash, status));
        let finding = |one: Finding| (one.condition().as_str(), one.status, one.reason.as_str());
        report.conditions.into_iter().map(finding).collect()
    }

    #[test]
    fn what_it_does_follows_from_its_stateful_set() {
        let runs = node(false);
        let hash = resources::spec_hash(&runs.spec);
        let status = |generation: i64, replicas: i32, ready: i32, update: &str| {
            json!({
                "observedGeneration": generation, "replicas": replicas, "readyReplicas": ready,
                "currentRevision": "a", "updateRevision": update,
            })
        };
        for (hash, status, ready, progressing) in [
            (
                hash.as_str(),
                status(2, 1, 1, "a"),
                (true, "PodReady"),
                (false, "RolloutComplete"),
            ),
            (
                &hash,
                status(2, 1, 0, "a"),
                (false, "PodNotReady"),
                (false, "RolloutComplete"),
            ),
            (
                &hash,
                status(2, 0, 0, "a"),
                (false, "PodNotReady"),
                (true, "RollingOut"),
            ),
            (&hash, status(2, 1, 1, "b"), (true, "PodReady"), (true, "RollingOut")),
            (&hash, status(1, 1, 1, "a"), (true, "PodReady"), (true, "RollingOut")),
            (
                "of-before",
                status(2, 1, 1, "a"),
                (true, "PodReady"),
                (false, "WaitsForTurn"),
            ),
        ] {
            let expected = [
                ("Ready", ready.0, ready.1),
                ("Progressing", progressing.0, progressing.1),
            ];
            assert_eq!(told(&runs, 1, hash, &status), expected, "{status}");
        }
        for (updated, reason) in [(0, "WaitsForPerson"), (1, "RolloutComplete")] {
            let mut status = status(2, 1, 1, "b");
            status["updatedReplicas"] = json!(updated);
            let mut stored = stored_with(&hash, &status);
            stored.spec.as_mut().unwrap().update_strategy = Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                rolling_update: None,
            });
            let report = report(&runs, 1, &stored);
            assert_eq!(report.conditions[1].reason.as_str(), reason);
        }
        let expected = |what| {
            [
                ("Ready", false, "Suspended"),
                ("Progressing", what == "RollingOut", what),
            ]
        };
        assert_eq!(
            told(&node(true), 0, &hash, &status(2, 1, 1, "a")),
            expected("RollingOut")
        );
        assert_eq!(
            told(&node(true), 0, "of-before", &status(2, 0, 0, "a")),
            expected("RolloutComplete")
        );
    }

    #[test]
    fn a_pod_template_of_a_version_without_archives_is_named_with_the_way_out() {
        let mut private = node(false);
        private.spec.network = "Private ; 2026".to_owned();
        let hash = resources::spec_hash(&private.spec);
        let status = json!({ "observedGeneration": 2, "replicas": 1, "currentRevision": "a", "updateRevision": "a" });
        let of_status = |node: &StellarNode, hash: &str, containers: &Value, status: &Value| {
            let mut stored = serde_json::to_value(stored_with(hash, status)).unwrap();
            stored["spec"]["replicas"] = status["replicas"].clone();
            stored["spec"]["template"]["spec"] = json!({ "containers": [], "initContainers": containers });
            let stored = serde_json::from_value(stored).unwrap();
            let report = report(node, 1, &stored);
            report
                .conditions
                .into_iter()
                .find(|one| one.reason == Degraded::NoArchive.into())
        };
        let degraded = |node: &StellarNode, hash: &str, containers: &Value| of_status(node, hash, containers, &status);
        let (none, port) = (json!([]), json!([{ "name": "history", "containerPort": 11629 }]));
        let served = json!([{ "name": "history", "image": "o", "ports": port }]);
        let told = degraded(&private, &hash, &none).unwrap();
        assert!(
            told.warns && told.message.contains("history.publish: Volume"),
            "{}",
            told.message
        );
        assert_eq!(degraded(&private, &hash, &served), None);
        assert_eq!(
            degraded(&private, "of-before", &none),
            None,
            "its new template waits for its slot"
        );
        let stopped = json!({ "observedGeneration": 2, "replicas": 0, "currentRevision": "a", "updateRevision": "a" });
        assert_eq!(
            of_status(&private, &hash, &none, &stopped),
            None,
            "it gets the present template before it runs"
        );
        let public = node(false);
        assert_eq!(degraded(&public, &resources::spec_hash(&public.spec), &none), None);
    }

    #[test]
    fn it_is_reached_at_the_name_of_its_pod() {
        let endpoint = endpoint(&node(false));
        assert_eq!(
            endpoint.as_deref(),
            Some("validator-1-0.validator-1-headless.stellar.svc:11625")
        );
    }
}
