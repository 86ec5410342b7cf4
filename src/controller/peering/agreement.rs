//! Joins lists across namespaces where both sides ask for it.
//!
//! Pure. The validators of a list state their request in `validatorConfig.peerGroup`. A validator without that block
//! does not count, so that a new one whose author forgot it splits no group. The agreement ends only when the last
//! request is gone.

use std::collections::BTreeSet;

use crate::controller::model::snapshot::{ListId, Validator};

/// The request of one list's validators to be joined with other namespaces.
#[derive(Debug, PartialEq, Eq)]
pub struct Agreement<'a> {
    /// The group's name: that of the oldest validator with a request.
    name: &'a str,
    /// The namespaces that the validators with this group name list.
    namespaces: BTreeSet<&'a str>,
}

impl<'a> Agreement<'a> {
    /// The request of these validators, all of one list and one network; `None` without any.
    pub fn requested_by(validators: &[&'a Validator]) -> Option<Self> {
        let mut requests: Vec<_> = validators
            .iter()
            .filter(|validator| !validator.deleting)
            .filter_map(|validator| Some((validator.created, &validator.uid, validator.peer_group.as_ref()?)))
            .collect();
        requests.sort_by_key(|(created, uid, _)| (*created, *uid));
        let name = requests.first()?.2.name.as_str();
        let namespaces = requests
            .iter()
            .filter(|(_, _, group)| group.name == name)
            .flat_map(|(_, _, group)| group.namespaces.iter().map(String::as_str))
            .collect();
        Some(Self { name, namespaces })
    }

    /// Whether two lists agree: they are in different namespaces, use one group name, and each lists the other's
    /// namespace.
    pub fn agrees_with(&self, list: &ListId, other: &Self, others_list: &ListId) -> bool {
        list.namespace != others_list.namespace
            && self.name == other.name
            && self.asks_for(others_list)
            && other.asks_for(list)
    }

    /// Whether the request includes the namespace of that list.
    pub fn asks_for(&self, list: &ListId) -> bool {
        self.namespaces.contains(list.namespace.as_str())
    }
}
