//! What the rules know beside the object itself: reads of warm caches, never a call.

use crate::crd::StellarNode;

/// The StellarNodes of the cluster as far as they are known. What is not known is not held against an object.
pub trait Context: Send + Sync + 'static {
    /// The StellarNode of that name.
    fn node(&self, namespace: &str, name: &str) -> Option<StellarNode>;
    /// The StellarNodes with `nodeType: Validator` of a namespace.
    fn validators(&self, namespace: &str) -> Vec<StellarNode>;
}

/// Knows nothing: for manifests that are checked without a cluster, and until the caches are warm.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoContext;

impl Context for NoContext {
    fn node(&self, _namespace: &str, _name: &str) -> Option<StellarNode> {
        None
    }

    fn validators(&self, _namespace: &str) -> Vec<StellarNode> {
        Vec::new()
    }
}
