//! One Horizon or SorobanRpc → its Deployment, Service, captive-core config, volume claim and PodDisruptionBudget.
//!
//! The shell around [`resources::horizon_rpc`], which builds, and [`serving`](crate::controller::status::server), which
//! judges: it reads, writes what differs, and removes what its node has no use for any more. There are no slots here:
//! these take no part in consensus, and a Deployment replaces its pods itself.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::controller::Action;
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;

use super::volume::{self, Maker, is_final};
use crate::controller::apply::{self, ApplyError};
use crate::controller::model::conditions::{Finding, Progressing};
use crate::controller::resources::horizon_rpc::{self, HorizonRpcObjects};
use crate::controller::resources::{self, BuildError};
use crate::controller::status::node::{NodeReport, invalid, not_ours, owned_by, refused};
use crate::controller::status::server::Serving;
use crate::crd::StellarNode;
use crate::kubernetes::api::{ApiError, deadline};
use crate::kubernetes::stored::{self, is_ours};
use crate::labels;

/// Reconciles one Horizon or SorobanRpc.
///
/// # Errors
/// When the API server does not answer; the reconcile is tried again.
pub(crate) async fn reconcile(
    node: &StellarNode,
    client: &Client,
    look_again: Duration,
) -> Result<(NodeReport, Action), ApplyError> {
    let objects = match horizon_rpc::build(node) {
        Ok(objects) => objects,
        Err(error) => return Ok((leave_running(node, &error, client).await?, Action::await_change())),
    };
    let scope = Scope::of(node, client);
    Ok(match scope.write(&objects).await {
        Ok(written) => {
            let serving = Serving {
                suspended: node.spec.suspended,
                replicas: objects.replicas,
                endpoint: &objects.endpoint,
                deployment: &written.deployment,
                volume_refused: written.volume_refused,
            };
            let next = match serving.volume_refused {
                Some(_) => Action::requeue(look_again),
                None => Action::await_change(),
            };
            (serving.report(), next)
        }
        Err(ApplyError::NotOurs(object)) => {
            let report = standing_still(not_ours(objects.replicas, &object), &objects.endpoint);
            (report, Action::requeue(look_again))
        }
        Err(ApplyError::Owned { object, owner }) => {
            let report = standing_still(owned_by(objects.replicas, &object, &owner), &objects.endpoint);
            (report, Action::requeue(look_again))
        }
        Err(ApplyError::Api(ApiError::Refused(status))) if is_final(status.code) => {
            tracing::warn!(
                node = scope.name,
                namespace = scope.namespace,
                error = status.message,
                "the API server refuses its objects"
            );
            let report = refused(objects.replicas, scope.ready().await?, &status.message);
            (standing_still(report, &objects.endpoint), Action::requeue(look_again))
        }
        Err(error) => return Err(error),
    })
}

/// Adds that nothing is being rolled out, and where it serves if it does.
fn standing_still(mut report: NodeReport, endpoint: &str) -> NodeReport {
    report.endpoint = Some(endpoint.to_owned());
    let message = "nothing is rolled out while it is in this state";
    report
        .conditions
        .push(Finding::new(Progressing::Stopped, false, message));
    report
}

/// Nothing can be built from this spec: what runs goes on, but a suspension is obeyed.
async fn leave_running(node: &StellarNode, error: &BuildError, client: &Client) -> Result<NodeReport, ApplyError> {
    let scope = Scope::of(node, client);
    let stored = scope.deployment().await?.filter(|stored| is_ours(stored.labels()));
    let endpoint = horizon_rpc::endpoint(&scope.name, &scope.namespace);
    let Some(mut stored) = stored else {
        return Ok(standing_still(invalid(error, 0, 0), &endpoint));
    };
    if node.spec.suspended
        && let Ok(kept) = horizon_rpc::kept(node)
    {
        stored = scope.keep(stored, &kept).await?;
    }
    let wanted = stored.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    Ok(standing_still(
        invalid(error, wanted, ready_replicas(&stored)),
        &endpoint,
    ))
}

fn ready_replicas(stored: &Deployment) -> i32 {
    let status = stored.status.as_ref();
    status.and_then(|status| status.ready_replicas).unwrap_or(0)
}

/// What came of the writes.
struct Written {
    deployment: Deployment,
    volume_refused: Option<String>,
}

/// One node and where its objects are.
struct Scope<'a> {
    client: &'a Client,
    name: String,
    namespace: String,
    uid: String,
}

impl<'a> Scope<'a> {
    fn of(node: &StellarNode, client: &'a Client) -> Self {
        Self {
            client,
            name: node.name_any(),
            namespace: node.namespace().unwrap_or_default(),
            uid: node.uid().unwrap_or_default(),
        }
    }

    async fn write(&self, objects: &HorizonRpcObjects) -> Result<Written, ApplyError> {
        // Without a rest pattern: an object that is built and never written does not compile.
        let HorizonRpcObjects {
            config_map,
            claim,
            service,
            deployment,
            deployment_kept,
            disruption_budget,
            replicas: _,
            endpoint: _,
        } = objects;
        let (client, namespace) = (self.client, &self.namespace);
        apply::ensure::<Service>(client, namespace, service).await?;
        if let Some(config_map) = config_map {
            apply::ensure::<ConfigMap>(client, namespace, config_map).await?;
        }
        let volume_refused = match claim {
            Some(claim) => volume::reconcile(client, namespace, claim, &self.uid, Maker::Operator).await?,
            None => None,
        };
        match disruption_budget {
            Some(budget) => apply::ensure::<PodDisruptionBudget>(client, namespace, budget).await?,
            None => apply::remove_owned::<PodDisruptionBudget>(client, namespace, &self.name, &self.uid).await?,
        }
        let deployment = match self.deployment().await? {
            None => self.apply(deployment, None, "Deployment created").await?,
            Some(stored) if !is_ours(stored.labels()) => {
                return Err(ApplyError::NotOurs(format!("Deployment {}", self.name)));
            }
            Some(stored) if !is_current(&stored, deployment) => {
                apply::check_owner(&stored, deployment)?;
                self.apply(deployment, Some(&stored), "Deployment changed with its spec")
                    .await?
            }
            Some(stored) => self.keep(stored, deployment_kept).await?,
        };
        if config_map.is_none() {
            // Last: until the Deployment is changed, its pods mount it.
            let name = labels::config_map_name(&self.name);
            apply::remove_owned::<ConfigMap>(client, namespace, &name, &self.uid).await?;
        }
        Ok(Written {
            deployment,
            volume_refused,
        })
    }

    async fn deployment(&self) -> Result<Option<Deployment>, ApplyError> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        Ok(deadline(api.get_opt(&self.name)).await?)
    }

    /// How many pods of a Deployment of ours are Ready.
    async fn ready(&self) -> Result<i32, ApplyError> {
        let stored = self.deployment().await?;
        let ours = stored.filter(|stored| is_ours(stored.labels()));
        Ok(ours.as_ref().map_or(0, ready_replicas))
    }

    async fn apply(
        &self,
        deployment: &Value,
        stored: Option<&Deployment>,
        what: &str,
    ) -> Result<Deployment, ApplyError> {
        let seen = stored.and_then(|stored| stored.metadata.resource_version.as_deref());
        let applied = apply::apply_object(self.client, &self.namespace, deployment, labels::MANAGER, seen).await?;
        tracing::info!(node = self.name, namespace = self.namespace, "{what}");
        Ok(applied)
    }

    /// Puts right what may be put right without touching the pod template.
    async fn keep(&self, stored: Deployment, kept: &Value) -> Result<Deployment, ApplyError> {
        if resources::holds(&serde_json::to_value(&stored)?, &apply::without_type(kept)) {
            return Ok(stored);
        }
        let seen = stored.metadata.resource_version.as_deref();
        let kept = apply::apply_object(self.client, &self.namespace, kept, labels::MANAGER_REPLICAS, seen).await?;
        tracing::info!(node = self.name, namespace = self.namespace, "Deployment put right");
        Ok(kept)
    }
}

/// Whether a stored Deployment was built from the same spec as this one.
fn is_current(stored: &Deployment, built: &Value) -> bool {
    let template = stored.spec.as_ref().map(|spec| &spec.template);
    template.and_then(stored::template_from) == resources::built_from(&built["spec"]["template"])
}
