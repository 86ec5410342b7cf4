//! The writes that a reconcile can make, as data, and what each needs to have seen. Pure: `apply` makes them.

use kube::api::ApiResource;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::Value;

use crate::controller::resources::{self, Obstacle};
use crate::kubernetes::stored::is_ours;
use crate::labels;

/// One write, onto the object that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The kind of the object.
    pub resource: ApiResource,
    pub name: String,
    /// What is written.
    pub change: Change,
    /// What the log says once it is written; empty for what needs no line.
    pub log: String,
    /// A warning, for the log and as an Event, once it is written.
    pub second_pods: Option<String>,
    /// Whether the writes after it are made although the API server refuses it: a volume that cannot grow.
    pub may_fail: bool,
}

/// What is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A server-side apply of this object by this field manager, onto the resourceVersion that was read; `None` where
    /// the object did not exist.
    Apply(Value, &'static str, Option<String>),
    /// A merge patch of the metadata by this field manager. It names the resourceVersion that was read.
    Metadata(Value, &'static str),
    /// Deletes the object with this uid.
    Delete(String),
}

impl Write {
    fn new<K: Resource<DynamicType = ()>>(name: &str, change: Change) -> Self {
        Self {
            resource: ApiResource::erase::<K>(&()),
            name: name.to_owned(),
            change,
            log: String::new(),
            second_pods: None,
            may_fail: false,
        }
    }

    /// An apply of this object onto what was read.
    pub(super) fn apply<K: Resource<DynamicType = ()>>(object: Value, manager: &'static str, read: Option<&K>) -> Self {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let version = read.and_then(|read| read.meta().resource_version.clone());
        Self::new::<K>(&name, Change::Apply(object, manager, version))
    }

    /// A merge patch of the metadata of what was read; `metadata` gets its resourceVersion.
    pub(super) fn metadata<K: Resource<DynamicType = ()>>(
        mut metadata: Value,
        manager: &'static str,
        read: &K,
    ) -> Self {
        metadata["resourceVersion"] = read.meta().resource_version.clone().into();
        let patch = serde_json::json!({ "metadata": metadata });
        Self::new::<K>(&read.name_any(), Change::Metadata(patch, manager))
    }

    /// The same, with a line for the log.
    pub(super) fn logged(self, log: impl Into<String>) -> Self {
        Self {
            log: log.into(),
            ..self
        }
    }
}

/// Creates an object of ours, or repairs it where it lacks what we set; `None` where it lacks nothing. Fails where an
/// object of this name is not ours.
pub(super) fn ensure<K: Resource<DynamicType = ()> + Serialize>(
    read: Option<&K>,
    desired: &Value,
) -> Result<Option<Write>, Obstacle> {
    let lacks = resources::lacks(read, desired)?;
    Ok(lacks.then(|| Write::apply::<K>(desired.clone(), labels::MANAGER, read)))
}

/// Deletes an object of ours that its node does not use any more; `None` for an object of another owner.
pub(super) fn delete_owned<K: Resource<DynamicType = ()>>(read: Option<&K>, owner: &str) -> Option<Write> {
    let object = read?;
    let is_owned = object.owner_references().iter().any(|reference| reference.uid == owner);
    let is_due = is_owned && is_ours(object.labels()) && object.meta().deletion_timestamp.is_none();
    let change = Change::Delete(object.uid().filter(|_| is_due)?);
    Some(Write::new::<K>(&object.name_any(), change).logged("deleted: its node does not use it any more"))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_object_of_the_node_is_deleted() {
        let ours = labels::OPERATOR;
        for (owners, manager, is_going, is_deleted) in [
            (&["1"][..], ours, false, true),
            (&["2", "1"], ours, false, true),
            (&["2"], ours, false, false),
            (&[], ours, false, false),
            (&["1"], "another", false, false),
            (&["1"], ours, true, false),
        ] {
            let owner = |uid: &&str| json!({ "apiVersion": "a/v1", "kind": "K", "name": "x", "uid": uid });
            let mut metadata = json!({
                "name": "x", "uid": "7", "labels": { labels::MANAGED_BY: manager },
                "ownerReferences": owners.iter().map(owner).collect::<Vec<_>>(),
            });
            if is_going {
                metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            let stored: ConfigMap = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
            let write = delete_owned(Some(&stored), "1");
            // The object that was read, and no other of its name.
            let expected = is_deleted.then(|| Change::Delete("7".to_owned()));
            assert_eq!(
                write.map(|write| write.change),
                expected,
                "{owners:?} {manager} {is_going}"
            );
        }
        assert_eq!(delete_owned::<ConfigMap>(None, "1"), None);
    }
}
