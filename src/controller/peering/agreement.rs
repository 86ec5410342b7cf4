//! Which lists are joined across namespaces: those that both sides ask for.
//!
//! Pure. A list says what its validators say in `validatorConfig.peerGroup`. One that says nothing changes nothing: a
//! newcomer whose author forgot the block must not tear a group apart, so agreement ends only when nobody gives it any
//! more.

use std::collections::BTreeSet;

use crate::controller::model::snapshot::{ListId, Validator};

/// What the validators of one list say of other namespaces.
#[derive(Debug, PartialEq, Eq)]
pub struct Agreement<'a> {
    /// The group's name: that of the oldest validator that gives one.
    name: &'a str,
    /// The namespaces that those with this name list.
    namespaces: BTreeSet<&'a str>,
}

impl<'a> Agreement<'a> {
    /// What these validators of one list and one network say; `None` if nothing.
    pub fn of(validators: &[&'a Validator]) -> Option<Self> {
        let mut speakers: Vec<_> = validators
            .iter()
            .filter(|validator| !validator.deleting)
            .filter_map(|validator| Some((validator.created, &validator.uid, validator.peer_group.as_ref()?)))
            .collect();
        speakers.sort_by_key(|(created, uid, _)| (*created, *uid));
        let name = speakers.first()?.2.name.as_str();
        let namespaces = speakers
            .iter()
            .filter(|(_, _, group)| group.name == name)
            .flat_map(|(_, _, group)| group.namespaces.iter().map(String::as_str))
            .collect();
        Some(Self { name, namespaces })
    }

    /// Whether two lists are joined: of different namespaces, under one name, and each lists the other's namespace.
    pub fn agrees_with(&self, list: &ListId, other: &Self, others_list: &ListId) -> bool {
        list.namespace != others_list.namespace
            && self.name == other.name
            && self.asks_for(others_list)
            && other.asks_for(list)
    }

    /// Whether these validators list the namespace of that list.
    pub fn asks_for(&self, list: &ListId) -> bool {
        self.namespaces.contains(list.namespace.as_str())
    }
}
