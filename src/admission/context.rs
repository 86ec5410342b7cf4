//! What the rules know beside the object itself: reads of warm caches, never a call.

use std::sync::Arc;

use kube::ResourceExt as _;
use tokio::sync::SetOnce;

use crate::crd::StellarNode;

/// The StellarNodes of the cluster as far as they are known. What is not known is not held against an object.
pub trait Context: Send + Sync + 'static {
    /// The StellarNode of that name.
    fn node(&self, namespace: &str, name: &str) -> Option<StellarNode>;
    /// Tells of each StellarNode with `nodeType: Validator` of a namespace. None is copied: a tenant can have many
    /// large ones.
    fn each_validator(&self, namespace: &str, tell: &mut dyn FnMut(&StellarNode));
}

/// Knows nothing: for manifests that are checked without a cluster, and until the caches are warm.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoContext;

impl Context for NoContext {
    fn node(&self, _namespace: &str, _name: &str) -> Option<StellarNode> {
        None
    }

    fn each_validator(&self, _namespace: &str, _tell: &mut dyn FnMut(&StellarNode)) {}
}

/// Knows one StellarNode: for what is built from it.
#[derive(Clone, Debug)]
pub struct OneNode(pub StellarNode);

impl Context for OneNode {
    fn node(&self, namespace: &str, name: &str) -> Option<StellarNode> {
        let same = self.0.namespace().as_deref() == Some(namespace) && self.0.name_any() == name;
        same.then(|| self.0.clone())
    }

    fn each_validator(&self, _namespace: &str, _tell: &mut dyn FnMut(&StellarNode)) {}
}

/// Knows nothing until its caches are complete.
#[derive(Debug)]
pub struct OnceComplete<C>(SetOnce<Arc<C>>);

impl<C> OnceComplete<C> {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self(SetOnce::new())
    }

    /// From now on it knows what `caches` know.
    pub fn complete(&self, caches: Arc<C>) {
        // Caches are completed once; a second time changes nothing.
        let _ = self.0.set(caches);
    }

    /// The caches, once they are complete.
    pub async fn wait(&self) -> Arc<C> {
        Arc::clone(self.0.wait().await)
    }
}

impl<C> Default for OnceComplete<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Context> Context for OnceComplete<C> {
    fn node(&self, namespace: &str, name: &str) -> Option<StellarNode> {
        self.0.get()?.node(namespace, name)
    }

    fn each_validator(&self, namespace: &str, tell: &mut dyn FnMut(&StellarNode)) {
        if let Some(caches) = self.0.get() {
            caches.each_validator(namespace, tell);
        }
    }
}
