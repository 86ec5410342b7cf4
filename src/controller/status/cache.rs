//! What we wrote last of each StellarNode's status, until the cache has it too.
//!
//! Whether a status has to be written is told by the status that is there. The cache may still hold the one before our
//! last write; held against that, a validator that was down for a moment would be called down for ever.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::ResourceExt as _;

use crate::crd::StellarNode;

/// More than this many are never behind the cache at once: what is left of nodes that are gone is forgotten.
const MOST: usize = 10_000;

/// The answers to our writes, by uid.
#[derive(Debug, Default)]
pub struct StatusCache(Mutex<HashMap<String, StellarNode>>);

impl StatusCache {
    /// The node with the newest status that is known: the cache's, or that of our own last write.
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

    /// Remembers the answer to a write.
    pub fn wrote(&self, answer: StellarNode) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= MOST {
            written.clear();
        }
        written.insert(answer.uid().unwrap_or_default(), answer);
    }
}

/// Versions of one object can be compared as numbers (Kubernetes docs, "API Concepts", "Resource versions").
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
        let writes = StatusCache::default();
        let ready = |cached: &StellarNode| writes.freshest(cached).status.clone().unwrap().ready_replicas;
        assert_eq!(ready(&node(9, 1)), Some(1), "nothing written");
        writes.wrote(node(10, 0));
        assert_eq!(ready(&node(9, 1)), Some(0), "the cache is behind");
        assert_eq!(ready(&node(9, 1)), Some(0), "and still is");
        assert_eq!(ready(&node(11, 1)), Some(1), "the cache has more");
        assert_eq!(ready(&node(9, 1)), Some(1), "and that was the end of it");
    }
}
