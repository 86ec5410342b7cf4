//! A Deployment's state → the status of a Horizon or SorobanRpc.
//!
//! Pure. No message contains a value that changes by itself, so that an idle node's status stays unchanged.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};

use super::node::NodeReport;
use crate::controller::model::conditions::{Degraded, Finding, Progressing, Ready};

/// The state of one server.
#[derive(Debug)]
pub struct Serving<'a> {
    pub suspended: bool,
    /// Desired number of pods.
    pub replicas: i32,
    /// The URL at which it serves.
    pub endpoint: &'a str,
    /// Its Deployment as it was read; `None` where it does not exist yet.
    pub deployment: Option<&'a Deployment>,
}

impl Serving<'_> {
    pub fn report(&self) -> NodeReport {
        let status = self.status();
        NodeReport {
            storage: None,
            replicas: self.replicas,
            ready_replicas: status.and_then(|status| status.ready_replicas).unwrap_or(0),
            endpoint: Some(self.endpoint.to_owned()),
            conditions: vec![self.ready(), self.progressing(), self.degraded()],
        }
    }

    fn ready(&self) -> Finding {
        let status = self.status();
        let ready = status.and_then(|status| status.ready_replicas).unwrap_or(0);
        if self.suspended {
            let message = "it is suspended: its Deployment is scaled to 0, Service and storage stay";
            Finding::new(Ready::Suspended, false, message)
        } else if self.replicas == 0 {
            Finding::new(Ready::NoReplicas, false, "spec.replicas is 0")
        } else if self.is_observed() && ready >= self.replicas {
            Finding::new(Ready::PodsReady, true, "its pods are Ready")
        } else {
            let message = format!("{ready} of {} pods are Ready", self.replicas);
            Finding::new(Ready::PodsNotReady, false, &message)
        }
    }

    fn progressing(&self) -> Finding {
        let status = self.status().cloned().unwrap_or_default();
        let (all, updated) = (status.replicas.unwrap_or(0), status.updated_replicas.unwrap_or(0));
        let scaled = self.is_observed() && all == self.replicas && updated == self.replicas;
        let progress = self.condition("Progressing");
        if is_stuck(progress) {
            Finding::new(
                Progressing::ProgressDeadlineExceeded,
                false,
                "its rollout makes no progress",
            )
        } else if scaled && (self.replicas == 0 || progress.and_then(reason) == Some("NewReplicaSetAvailable")) {
            Finding::new(
                Progressing::RolloutComplete,
                false,
                "all its pods are of its current spec",
            )
        } else {
            Finding::new(
                Progressing::RollingOut,
                true,
                "its pods are being replaced by those of its current spec",
            )
        }
    }

    fn degraded(&self) -> Finding {
        let message_of = |condition: &DeploymentCondition| condition.message.clone().unwrap_or_default();
        let failure = self.condition("ReplicaFailure").filter(|found| found.status == "True");
        if let Some(failure) = failure {
            return Finding::new(
                Degraded::ReplicaFailure,
                true,
                format!("pods cannot be created: {}", message_of(failure)),
            );
        }
        if let Some(stuck) = self.condition("Progressing").filter(|found| is_stuck(Some(found))) {
            return Finding::new(Degraded::ProgressDeadlineExceeded, true, message_of(stuck));
        }
        Finding::new(Degraded::AsExpected, false, "nothing stands in its way".to_owned())
    }

    /// Whether the Deployment's status is that of its current spec.
    fn is_observed(&self) -> bool {
        let observed = self.status().and_then(|status| status.observed_generation);
        let generation = self.deployment.and_then(|deployment| deployment.metadata.generation);
        observed.is_some() && observed >= generation
    }

    fn status(&self) -> Option<&DeploymentStatus> {
        self.deployment?.status.as_ref()
    }

    fn condition(&self, r#type: &str) -> Option<&DeploymentCondition> {
        let conditions = self.status()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_ == r#type)
    }
}

fn reason(condition: &DeploymentCondition) -> Option<&str> {
    condition.reason.as_deref()
}

fn is_stuck(progress: Option<&DeploymentCondition>) -> bool {
    progress.is_some_and(|found| found.status == "False" && reason(found) == Some("ProgressDeadlineExceeded"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn conditions(suspended: bool, replicas: i32, status: &Value) -> Vec<(&'static str, bool, &'static str)> {
        let deployment = json!({ "metadata": { "generation": 2 }, "status": status });
        let deployment: Deployment = serde_json::from_value(deployment).unwrap();
        let serving = Serving {
            suspended,
            replicas,
            endpoint: "http://api.stellar.svc:8000",
            deployment: Some(&deployment),
        };
        let findings = serving.report().conditions.into_iter();
        findings
            .map(|found| (found.condition().as_str(), found.status, found.reason.as_str()))
            .collect()
    }

    fn progress(status: &str, reason: &str) -> Value {
        json!([{ "type": "Progressing", "status": status, "reason": reason }])
    }

    #[test]
    fn each_state_has_its_three_conditions() {
        let complete = progress("True", "NewReplicaSetAvailable");
        let rolling = progress("True", "ReplicaSetUpdated");
        let status = |observed: i64, all: i32, updated: i32, ready: i32, conditions: &Value| {
            json!({
                "observedGeneration": observed, "replicas": all, "updatedReplicas": updated, "readyReplicas": ready,
                "conditions": conditions,
            })
        };
        let (ready, not_ready) = ((true, "PodsReady"), (false, "PodsNotReady"));
        let (done, moving) = ((false, "RolloutComplete"), (true, "RollingOut"));
        let fine = (false, "AsExpected");
        for (what, suspended, replicas, status, expected) in [
            ("new", false, 2, json!({}), [not_ready, moving, fine]),
            (
                "starting",
                false,
                2,
                status(2, 2, 2, 1, &rolling),
                [not_ready, moving, fine],
            ),
            ("at rest", false, 2, status(2, 2, 2, 2, &complete), [ready, done, fine]),
            (
                "older than its spec",
                false,
                2,
                status(1, 2, 2, 2, &complete),
                [not_ready, moving, fine],
            ),
            (
                "rolling, never fewer",
                false,
                2,
                status(2, 3, 1, 2, &rolling),
                [ready, moving, fine],
            ),
            (
                "one lost later",
                false,
                2,
                status(2, 2, 2, 1, &complete),
                [not_ready, done, fine],
            ),
            (
                "growing",
                false,
                3,
                status(2, 2, 2, 2, &complete),
                [not_ready, moving, fine],
            ),
            (
                "going",
                true,
                0,
                status(2, 1, 1, 1, &complete),
                [(false, "Suspended"), moving, fine],
            ),
            (
                "suspended",
                true,
                0,
                status(2, 0, 0, 0, &json!([])),
                [(false, "Suspended"), done, fine],
            ),
            (
                "no replicas",
                false,
                0,
                status(2, 0, 0, 0, &complete),
                [(false, "NoReplicas"), done, fine],
            ),
            (
                "stuck",
                false,
                2,
                status(2, 3, 1, 2, &progress("False", "ProgressDeadlineExceeded")),
                [
                    ready,
                    (false, "ProgressDeadlineExceeded"),
                    (true, "ProgressDeadlineExceeded"),
                ],
            ),
            (
                "no room",
                false,
                1,
                status(
                    2,
                    0,
                    0,
                    0,
                    &json!([{ "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate" }]),
                ),
                [not_ready, moving, (true, "ReplicaFailure")],
            ),
        ] {
            let conditions = conditions(suspended, replicas, &status);
            let types = ["Ready", "Progressing", "Degraded"];
            let expected: Vec<_> = types.into_iter().zip(expected).map(|(t, (s, r))| (t, s, r)).collect();
            assert_eq!(conditions, expected, "{what}");
        }
    }
}
