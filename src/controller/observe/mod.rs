//! The reflector caches, and the conversion of their objects into a snapshot.
//!
//! | module | what it is for |
//! |---|---|
//! | [`caches`], `watches` | the reflector caches, and the events that trigger a decision |
//! | `trim`, `trim_template` | the fields that a cache keeps |
//! | `list` | lists in parts |
//! | `namespaces` | the namespaces whose restarts are paused |
//! | [`assemble`], [`convert`] | Kubernetes objects → a snapshot |
//! | `blocked` | why the containers of a pod do not run |
//! | `witness` | how long this process has seen each pod vote |

use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};

use super::model::scope::ScopePart;

pub mod assemble;
mod blocked;
pub mod caches;
pub mod convert;
mod list;
#[cfg(test)]
mod memory_tests;
pub(crate) mod namespaces;
pub(crate) mod trim;
pub(crate) mod trim_template;
pub(crate) mod watches;
pub(crate) mod witness;

pub use list::list_in_parts;

/// The API of one kind in a part of the scope.
pub fn api_of<K>(part: &ScopePart, client: &Client) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match part.name() {
        None => Api::all(client.clone()),
        Some(namespace) => Api::namespaced(client.clone(), namespace),
    }
}
