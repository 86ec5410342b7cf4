//! The namespaces that the operator watches: all, or some.

use std::collections::BTreeSet;
use std::fmt;

/// The watched namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    All,
    /// These namespaces. A set, because each must be watched only once.
    Namespaces(BTreeSet<String>),
}

/// The scope of a single watch: all namespaces, or one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopePart(Option<String>);

impl Scope {
    /// Splits the scope into parts: one for the whole cluster, or one per namespace.
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
    pub fn namespace(name: &str) -> Self {
        Self(Some(name.to_owned()))
    }

    /// Its namespace; `None` for all.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}
