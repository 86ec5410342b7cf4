//! Reads what the API server holds of one StellarNode. It asks the API server and not a cache, because a cache may lag
//! behind, and a decision from an old object could start a seed twice.
//!
//! Nothing is decided here: each object is read that a decision about this node can need.

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::Store;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::decide::Built;
use super::orphan;
use super::stored::{Orphan, Stored};
use super::volume::Retention;
use crate::controller::exclusivity::seeds::Present;
use crate::controller::exclusivity::{self, Claims, Contest, Start};
use crate::controller::observe::list_in_parts;
use crate::crd::{GuardedNode, NodeType, StellarNode};
use crate::kubernetes::api::{ApiError, deadline};
use crate::labels;

pub(crate) struct Reader {
    client: Client,
    /// The StellarNodes, as the stream that triggers the reconciles knows them: an older rival is always among them.
    nodes: Store<GuardedNode>,
}

impl Reader {
    pub(crate) fn new(client: Client, nodes: Store<GuardedNode>) -> Self {
        Self { client, nodes }
    }

    /// Reads the objects of a node. Where it is about to take a seed or a database into use, the start begins here; it
    /// lasts as long as what is returned.
    pub(crate) async fn read<'a>(
        &self,
        node: &StellarNode,
        built: &Built,
        claims: &'a Claims,
    ) -> Result<(Stored, Option<Start<'a>>), ApiError> {
        let (name, namespace) = (node.name_any(), node.namespace().unwrap_or_default());
        let spec = serde_json::to_value(&node.spec).unwrap_or_default();
        let mut stored = Stored::default();
        if let Some(retention) = Retention::asked(&name, &spec) {
            stored.claim = self.claim(&namespace, &retention).await?;
        }
        if node.metadata.deletion_timestamp.is_some() {
            return Ok((stored, None));
        }
        match node.spec.node_type {
            NodeType::Validator => stored.stateful_set = self.get(&namespace, &name).await?,
            NodeType::Horizon | NodeType::SorobanRpc => stored.deployment = self.get(&namespace, &name).await?,
        }
        let service = match built {
            Built::Validator(objects) => &objects.service,
            Built::Server(objects) => &objects.service,
            Built::Invalid(_) => return Ok((stored, None)),
        };
        let service = service["metadata"]["name"].as_str().unwrap_or_default();
        stored.service = self.get(&namespace, service).await?;
        stored.config_map = self.get(&namespace, &labels::config_map_name(&name)).await?;
        let Built::Validator(objects) = built else {
            stored.disruption_budget = self.get(&namespace, &name).await?;
            return Ok((stored, None));
        };
        let kinds = exclusivity::taken_into_use(objects.replicas > 0, stored.stateful_set.as_ref());
        if stored.stateful_set.is_none() {
            stored.orphan = self.orphan(&namespace, &name).await?;
        }
        if kinds.is_empty() {
            return Ok((stored, None));
        }
        let start = claims.start(node, &kinds);
        stored.contest = match &start {
            Some(start) => self.contest(node, &namespace, start).await?,
            None => Contest {
                is_under_way: true,
                ..Contest::default()
            },
        };
        stored.contest.kinds = kinds;
        Ok((stored, start))
    }

    /// The volume claim of a node.
    pub(crate) async fn claim(
        &self,
        namespace: &str,
        retention: &Retention,
    ) -> Result<Option<PersistentVolumeClaim>, ApiError> {
        self.get(namespace, retention.claim()).await
    }

    /// A StellarNode, whether it can be parsed or not; `None` if it is gone.
    pub(crate) async fn raw(&self, namespace: &str, name: &str) -> Result<Option<DynamicObject>, ApiError> {
        let kind = ApiResource::erase::<StellarNode>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        // By a list: the operator has the right to list and watch StellarNodes, and no other to read one.
        let only = ListParams::default().fields(&format!("metadata.name={name}"));
        Ok(deadline(api.list(&only)).await?.items.pop())
    }

    async fn get<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, ApiError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        deadline(api.get_opt(name)).await
    }

    async fn orphan(&self, namespace: &str, name: &str) -> Result<Option<Orphan>, ApiError> {
        let pod: Option<Pod> = self.get(namespace, &labels::pod_name(name)).await?;
        let Some(revision) = pod.as_ref().and_then(|pod| orphan::revision(pod, name)) else {
            return Ok(None);
        };
        let revision: Option<ControllerRevision> = self.get(namespace, revision).await?;
        Ok(Some(orphan::of_revision(revision)))
    }

    async fn contest(&self, node: &StellarNode, namespace: &str, start: &Start<'_>) -> Result<Contest, ApiError> {
        let mut contest = Contest {
            nodes: self.nodes.state(),
            claimed: start.claimed(),
            ..Contest::default()
        };
        for rival in exclusivity::all_rivals(node, &contest.nodes) {
            let set: Option<StatefulSet> = self.get(namespace, &rival).await?;
            contest.stateful_sets.extend(set.map(|set| (rival, set)));
        }
        contest.present = self.present(node, namespace).await?;
        Ok(contest)
    }

    /// The StatefulSets and pods of a namespace that use what this validator was given.
    async fn present(&self, node: &StellarNode, namespace: &str) -> Result<Present, ApiError> {
        let mut present = Present::default();
        let of_nodes = ListParams::default().labels(labels::INSTANCE);
        let stateful_sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), namespace);
        let take = |found| present.add_stateful_sets(found, node);
        list_in_parts(&stateful_sets, of_nodes.clone(), take).await?;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        list_in_parts(&pods, of_nodes, |found| present.add_pods(found, node)).await?;
        Ok(present)
    }
}
