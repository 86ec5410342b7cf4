//! Other objects that the rules may read: lookups in warm caches, never a call.

use std::sync::Arc;

use kube::ResourceExt as _;
use tokio::sync::SetOnce;

use crate::crd::StellarNode;

/// The known StellarNodes of the cluster. An unknown node never causes a refusal.
pub trait Context: Send + Sync + 'static {
    /// The StellarNode `name` in `namespace`.
    fn node(&self, namespace: &str, name: &str) -> Option<StellarNode>;
    /// Calls `visit` for each StellarNode of a namespace with `nodeType: Validator`, without a copy: a tenant may have
    /// many large ones.
    fn each_validator(&self, namespace: &str, visit: &mut dyn FnMut(&StellarNode));
}

/// Contains nothing: for manifests that are checked without a cluster, and until the caches are complete.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoContext;

impl Context for NoContext {
    fn node(&self, _namespace: &str, _name: &str) -> Option<StellarNode> {
        None
    }

    fn each_validator(&self, _namespace: &str, _visit: &mut dyn FnMut(&StellarNode)) {}
}

/// Contains one StellarNode: for the objects that are built from it.
#[derive(Clone, Debug)]
pub struct OneNode(pub StellarNode);

impl Context for OneNode {
    fn node(&self, namespace: &str, name: &str) -> Option<StellarNode> {
        let same = self.0.namespace().as_deref() == Some(namespace) && self.0.name_any() == name;
        same.then(|| self.0.clone())
    }

    fn each_validator(&self, _namespace: &str, _visit: &mut dyn FnMut(&StellarNode)) {}
}

/// Contains nothing until its caches are complete.
#[derive(Debug)]
pub struct OnceComplete<C>(SetOnce<Arc<C>>);

impl<C> OnceComplete<C> {
    pub fn new() -> Self {
        Self(SetOnce::new())
    }

    /// Makes the content of `caches` available.
    pub fn complete(&self, caches: Arc<C>) {
        // The first call wins; later ones change nothing.
        let _ = self.0.set(caches);
    }

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

    fn each_validator(&self, namespace: &str, visit: &mut dyn FnMut(&StellarNode)) {
        if let Some(caches) = self.0.get() {
            caches.each_validator(namespace, visit);
        }
    }
}
