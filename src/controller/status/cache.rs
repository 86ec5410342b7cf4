//! The operator's last write of each StellarNode's status, until the watch cache has it.
//!
//! A status is written only if it differs from the stored one. The watch cache may still hold the status before our
//! last write; compared with that, a validator that was down for a moment would keep its old condition forever.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::ResourceExt as _;

use crate::crd::StellarNode;

/// More nodes than this never have an outstanding write at once; at this size the entries are leftovers of deleted
/// nodes.
const MAX_ENTRIES: usize = 10_000;

/// The API server's answers to our writes, by uid.
#[derive(Debug, Default)]
pub struct StatusCache(Mutex<HashMap<String, StellarNode>>);

impl StatusCache {
    /// The node with the newest known status: the watch cache's, or that of our last write.
    pub fn freshest<'a>(&self, cached: &'a StellarNode) -> Cow<'a, StellarNode> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = cached.uid().unwrap_or_default();
        let Some(ours) = written.get(&uid) else {
            return Cow::Borrowed(cached);
        };
        if version(ours) <= version(cached) {
            written.remove(&uid);
            return Cow::Borrowed(cached);
        }
        let mut node = cached.clone();
        node.status.clone_from(&ours.status);
        Cow::Owned(node)
    }

    /// Records the answer to a write.
    pub fn wrote(&self, answer: StellarNode) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= MAX_ENTRIES {
            written.clear();
        }
        written.insert(answer.uid().unwrap_or_default(), answer);
    }
}

/// The versions of one object are ordered numbers (Kubernetes docs, "API Concepts", "Resource versions").
fn version(node: &StellarNode) -> Option<u64> {
    node.metadata.resource_version.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;
    use serde_json::json;

    fn node(version: u32, ready: i32) -> StellarNode {
        serde_json::from_value(json!({
            "apiVersion": labels::API_VERSION,
            "kind": labels::KIND,
            "metadata": { "name": "v", "namespace": "n", "uid": "1", "resourceVersion": version.to_string() },
            "spec": {
                "nodeType": "Validator", "network": "testnet", "version": "1",
                "validatorConfig": { "seedSecretRef": "seed" },
            },
            "status": { "readyReplicas": ready },
        }))
        .unwrap()
    }

    #[test]
    fn our_last_write_counts_until_the_cache_has_it() {
        let cache = StatusCache::default();
        let ready = |cached: &StellarNode| cache.freshest(cached).status.clone().unwrap().ready_replicas;
        assert_eq!(ready(&node(9, 1)), Some(1), "nothing written");
        cache.wrote(node(10, 0));
        assert_eq!(ready(&node(9, 1)), Some(0), "the cache is behind");
        assert_eq!(ready(&node(9, 1)), Some(0), "and still is");
        assert_eq!(ready(&node(11, 1)), Some(1), "the cache has more");
        assert_eq!(ready(&node(9, 1)), Some(1), "and the entry is gone");
    }
}
