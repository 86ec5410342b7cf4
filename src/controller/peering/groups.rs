//! Validators → peer groups and their members. `lists` builds the content of their peer lists.
//!
//! Pure. An object that cannot be read never removes a member (rule R5).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::agreement::Agreement;
use super::links::{self, Links};
use super::lists::{self, ListAction};
use crate::controller::model::options::{AddressMode, Options};
use crate::controller::model::snapshot::{ListId, MemberRecord, PublishedList, Snapshot, Validator};
use crate::controller::model::times::{is_credible, is_past, later};
use crate::crd::Network;
use crate::labels;
use crate::peers::{NodeId, PeerList, PeerRecord, View};

/// The validators of one ConfigMap and one network.
#[derive(Debug)]
pub struct Group<'a> {
    /// Its ConfigMap.
    pub id: ListId,
    pub network: Network,
    /// The validators that read its ConfigMap, members or not, sorted by name.
    pub validators: Vec<&'a Validator>,
    /// The lists of other namespaces that it is joined with. Each of these has its own [`Group`] and ConfigMap.
    pub joined: BTreeSet<&'a ListId>,
    /// The validators of the joined lists.
    pub remote_members: Vec<&'a Validator>,
    /// Validators that name the same ConfigMap and are on another network. They are not part of the group.
    pub other_network: Vec<&'a Validator>,
    /// Its members, those of joined lists included, sorted by name.
    pub members: Vec<Member<'a>>,
    pub list: PeerList,
    /// The view of the list that each member should have loaded.
    pub views: BTreeMap<NodeId, View>,
    /// The write that the ConfigMap needs.
    pub action: ListAction,
    /// Whether its members can reach each other, and which of them must restart for that.
    pub links: Links,
}

/// A validator that has joined its group and not left it.
#[derive(Debug)]
pub struct Member<'a> {
    pub validator: &'a Validator,
    /// The record that outlives its pods.
    pub record: MemberRecord,
    /// Its peer address; `None` after the grace period.
    pub address: Option<String>,
}

impl Member<'_> {
    /// The time until which the others wait for a member that has not voted since it joined; `None` for a member that
    /// has.
    ///
    /// The others reach consensus without it, and the change that they hold back may be the one that lets it vote. They
    /// wait at all because their quorum sets may have counted on it before it joined.
    pub fn awaited_until(&self, join_wait: Duration) -> Option<Timestamp> {
        let awaited = self.record.never_voted && !self.validator.is_voting();
        awaited.then(|| later(self.record.joined, join_wait))
    }

    /// Whether the others no longer wait for it, or its join time is not credible.
    pub fn is_given_up(&self, join_wait: Duration, now: Timestamp) -> bool {
        let end = self.awaited_until(join_wait);
        end.is_some_and(|end| end <= now || !is_credible(self.record.joined, now))
    }
}

impl Group<'_> {
    /// Whether the validators of this list belong to the group.
    pub fn includes(&self, list: &ListId) -> bool {
        self.id == *list || self.joined.contains(list)
    }

    /// The members that read this group's own ConfigMap.
    pub fn own_members(&self) -> impl Iterator<Item = &Member<'_>> {
        self.members.iter().filter(|member| member.validator.list == self.id)
    }

    /// Whether the published list is the desired one. Only then are validators restarted for it.
    pub fn is_published(&self) -> bool {
        self.action == ListAction::Keep
    }

    /// The membership of a validator, if it has one. The members are sorted by name.
    pub fn member(&self, validator: &Validator) -> Option<&Member<'_>> {
        let index = self
            .members
            .binary_search_by(|member| member.validator.id.cmp(&validator.id))
            .ok()?;
        self.members
            .get(index)
            .filter(|member| member.validator.uid == validator.uid)
    }
}

/// Forms the groups of a snapshot, sorted by ConfigMap.
pub fn form<'a>(snapshot: &'a Snapshot, options: &Options) -> Vec<Group<'a>> {
    let mut by_list: BTreeMap<&ListId, Vec<&Validator>> = BTreeMap::new();
    for validator in &snapshot.validators {
        by_list.entry(&validator.list).or_default().push(validator);
    }
    let locals: Vec<Local<'_>> = by_list
        .into_iter()
        .filter_map(|(id, validators)| Local::new(snapshot, options, id, validators))
        .collect();
    let joined = |local: &Local<'_>| match options.cross_namespace_groups {
        true => locals
            .iter()
            .filter(|other| local.is_joined_with(other, snapshot))
            .collect(),
        false => Vec::new(),
    };
    locals
        .iter()
        .map(|local| form_one(snapshot, options, local, &joined(local)))
        .collect()
}

/// Our lists that no StellarNode refers to any more.
pub fn abandoned(snapshot: &Snapshot) -> Vec<(&ListId, &PublishedList)> {
    let wanted: BTreeSet<&ListId> = snapshot.validators.iter().map(|validator| &validator.list).collect();
    let held_by_unreadable = |published: &PublishedList| {
        published.list.as_ref().is_none_or(|list| {
            list.members
                .iter()
                .any(|member| snapshot.unreadable.contains(&member.node))
        }) && !snapshot.unreadable.is_empty()
    };
    snapshot
        .lists
        .iter()
        .filter(|(id, published)| {
            published.ours && published.network.is_some() && !wanted.contains(id) && !held_by_unreadable(published)
        })
        .collect()
}

/// The validators of one ConfigMap: a group, or its part in one namespace.
struct Local<'a> {
    id: &'a ListId,
    network: Network,
    validators: Vec<&'a Validator>,
    other_network: Vec<&'a Validator>,
    agreement: Option<Agreement<'a>>,
    /// Whether a StellarNode of this namespace cannot be parsed. Its request for other namespaces is unknown then.
    has_unreadable: bool,
}

impl<'a> Local<'a> {
    fn new(
        snapshot: &'a Snapshot,
        options: &Options,
        id: &'a ListId,
        mut validators: Vec<&'a Validator>,
    ) -> Option<Self> {
        validators.sort_by(|a, b| a.id.cmp(&b.id));
        let published = snapshot.lists.get(id).filter(|published| published.ours);
        let cannot_be_read =
            |record: &PeerRecord| record.node.namespace == id.namespace && snapshot.unreadable.contains(&record.node);
        let list = published.and_then(|published| published.list.as_ref());
        // A validator that cannot be parsed keeps its network (rule R5). The list and its validators are in one
        // namespace, so the list's network is theirs.
        let recorded = list
            .filter(|list| list.members.iter().any(cannot_be_read))
            .and_then(|list| list.network.as_deref())
            .map(Network::parse);
        let network = recorded.or_else(|| elect_network(&validators, published, snapshot.now, options))?;
        let (validators, other_network): (Vec<_>, Vec<_>) = validators
            .into_iter()
            .partition(|validator| validator.network == network);
        Some(Self {
            id,
            agreement: Agreement::requested_by(&validators),
            network,
            validators,
            other_network,
            has_unreadable: snapshot.unreadable.iter().any(|node| node.namespace == id.namespace),
        })
    }

    fn is_joined_with(&self, other: &Self, snapshot: &Snapshot) -> bool {
        self.network == other.network && (self.agrees_with(other) || self.stays_joined_with(other, snapshot))
    }

    fn agrees_with(&self, other: &Self) -> bool {
        let (Some(ours), Some(theirs)) = (&self.agreement, &other.agreement) else {
            return false;
        };
        ours.agrees_with(self.id, theirs, other.id)
    }

    /// Whether both sides were joined before, and the request of one of them cannot be read now (rule R5).
    ///
    /// Only the Lease in the operator's namespace proves that. Users of the two namespaces can forge their lists.
    fn stays_joined_with(&self, other: &Self, snapshot: &Snapshot) -> bool {
        let pair = (self.id.min(other.id).clone(), self.id.max(other.id).clone());
        let lease = snapshot.slots.get(&self.network.short_hash());
        let was_joined = lease.is_some_and(|lease| lease.readable && lease.joined.contains(&pair));
        let may_ask_for = |one: &Self, another: &Self| {
            one.has_unreadable
                || one
                    .agreement
                    .as_ref()
                    .is_some_and(|agreement| agreement.asks_for(another.id))
        };
        was_joined && self.id.namespace != other.id.namespace && may_ask_for(self, other) && may_ask_for(other, self)
    }

    fn members(&self, now: Timestamp, options: &Options) -> impl Iterator<Item = Member<'a>> {
        self.validators.iter().filter_map(move |validator| {
            let record = membership(validator, now, options)?;
            let address = published_address(&record, now, options.grace);
            Some(Member {
                validator,
                record,
                address,
            })
        })
    }
}

fn form_one<'a>(snapshot: &Snapshot, options: &Options, local: &Local<'a>, joined: &[&Local<'a>]) -> Group<'a> {
    let published = snapshot.lists.get(local.id);
    let all = std::iter::once(&local).chain(joined);
    let mut members: Vec<Member<'a>> = all.flat_map(|part| part.members(snapshot.now, options)).collect();
    members.sort_by(|a, b| a.validator.id.cmp(&b.validator.id));
    drop_reused_addresses(&mut members);
    let list = lists::next(snapshot, &local.network, &members, published);
    let action = lists::action(&list, &local.network, published);
    let views = list.views();
    let mut group = Group {
        id: local.id.clone(),
        network: local.network.clone(),
        validators: local.validators.clone(),
        joined: joined.iter().map(|other| other.id).collect(),
        remote_members: joined
            .iter()
            .flat_map(|other| other.validators.iter().copied())
            .collect(),
        other_network: local.other_network.clone(),
        members,
        list,
        views,
        action,
        links: Links::default(),
    };
    group.links = links::assess(&group);
    group
}

/// A list never mixes networks. The recorded network stays while any validator of it exists. Otherwise the network with
/// most members wins; of several, that of the oldest validator.
fn elect_network(
    validators: &[&Validator],
    published: Option<&PublishedList>,
    now: Timestamp,
    options: &Options,
) -> Option<Network> {
    let recorded = published.and_then(|published| published.network.as_deref());
    if let Some(kept) = validators
        .iter()
        .find(|validator| Some(validator.network.short_hash().as_str()) == recorded)
    {
        return Some(kept.network.clone());
    }
    let joined = |network: &Network| {
        validators
            .iter()
            .filter(|validator| validator.network == *network && membership(validator, now, options).is_some())
            .count()
    };
    validators
        .iter()
        .min_by_key(|validator| {
            (
                std::cmp::Reverse(joined(&validator.network)),
                validator.created,
                &validator.uid,
            )
        })
        .map(|validator| validator.network.clone())
}

/// The record of a validator that is a member; `None` if it is not.
pub fn membership(validator: &Validator, now: Timestamp, options: &Options) -> Option<MemberRecord> {
    if !validator.is_wanted() {
        return None;
    }
    let before = validator
        .workload
        .as_ref()
        .and_then(|workload| workload.member.as_ref())
        .or(validator.mirror.as_ref());
    let pod = validator.pod.as_ref();
    let (address, port) = match options.address_mode {
        AddressMode::PodIp => match pod.and_then(|pod| pod.address(validator.spec_port)) {
            Some(found) if before.is_some() || pod.is_some_and(|pod| pod.ready) => found,
            Some(_) => return None,
            None => {
                return before.map(|before| MemberRecord {
                    lost: before.lost.filter(|lost| is_credible(*lost, now)).or(Some(now)),
                    ..before.clone()
                });
            }
        },
        AddressMode::Dns => {
            if validator.workload.is_none() && before.is_none() {
                return None;
            }
            let port = match (pod, before) {
                (Some(pod), _) => pod.port.unwrap_or(validator.spec_port),
                (None, before) => before.map_or(validator.spec_port, |before| before.port),
            };
            (dns_address(validator, &options.cluster_domain, port), port)
        }
    };
    let since = before
        .filter(|before| before.address == address)
        .map_or(now, |before| before.since);
    Some(MemberRecord {
        joined: before.map_or(now, |before| before.joined),
        port,
        address,
        since,
        lost: None,
        never_voted: before.is_none_or(|before| before.never_voted) && !validator.is_voting(),
    })
}

fn dns_address(validator: &Validator, domain: &str, port: u16) -> String {
    let NodeId { namespace, name } = &validator.id;
    format!("{}.svc.{domain}:{port}", labels::pod_host(name, namespace))
}

fn published_address(record: &MemberRecord, now: Timestamp, grace: Duration) -> Option<String> {
    let over = record.lost.is_some_and(|lost| is_past(lost, grace, now));
    (!over).then(|| record.address.clone())
}

/// Removes the address of a lost pod if a running pod has it now: Kubernetes may reuse an IP.
fn drop_reused_addresses(members: &mut [Member<'_>]) {
    let held: BTreeSet<String> = members
        .iter()
        .filter(|member| member.record.lost.is_none())
        .filter_map(|member| member.address.clone())
        .collect();
    for member in members.iter_mut().filter(|member| member.record.lost.is_some()) {
        if member.address.as_ref().is_some_and(|address| held.contains(address)) {
            member.address = None;
        }
    }
}

/// The networks that have validators or slots. Each has its own queue.
pub fn networks(snapshot: &Snapshot, groups: &[Group<'_>]) -> BTreeSet<String> {
    let validators = groups
        .iter()
        .flat_map(|group| group.validators.iter().chain(&group.other_network));
    let of_groups = validators.map(|validator| validator.network.short_hash());
    of_groups
        .chain(
            snapshot
                .slots
                .iter()
                .filter(|(_, lease)| !lease.slots.is_empty())
                .map(|(hash, _)| hash.clone()),
        )
        .collect()
}
