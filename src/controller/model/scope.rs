//! Where the operator looks: in all namespaces, or in some.

use std::collections::BTreeSet;
use std::fmt;

use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};

/// Which namespaces are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// These; a set, since each of them is watched once.
    Namespaces(BTreeSet<String>),
}

/// What one watch can look at: all namespaces, or one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopePart(Option<String>);

impl Scope {
    /// The whole cluster as one part, or each namespace.
    pub fn parts(&self) -> Vec<ScopePart> {
        match self {
            Self::All => vec![ScopePart(None)],
            Self::Namespaces(names) => names.iter().map(|name| ScopePart(Some(name.clone()))).collect(),
        }
    }
}

impl fmt::Display for ScopePart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => formatter.write_str("in all namespaces"),
            Some(namespace) => write!(formatter, "in namespace {namespace}"),
        }
    }
}

impl ScopePart {
    /// One namespace.
    pub fn namespace(name: &str) -> Self {
        Self(Some(name.to_owned()))
    }

    /// The API of one kind in this part.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match &self.0 {
            None => Api::all(client.clone()),
            Some(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}
