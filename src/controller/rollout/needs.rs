//! Finds the reasons to restart a validator, and what each waits for.
//!
//! Pure. Slots are not considered here: `slots` decides whether the others can spare the validator.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

pub use super::wait::{Need, Wait};
use super::wait::{not_convertible, not_serving};
use crate::controller::model::options::{AddressMode, Options, RestartMode};
use crate::controller::model::snapshot::{Cause, Pod, Snapshot, Validator, Workload};
use crate::controller::model::times::{is_credible, is_past, later};
use crate::controller::peering::groups::{Group, Member};
use crate::controller::peering::lists::ListAction;
use crate::peers::{NodeId, Report, View};
use crate::util::digest;

/// Message for a pause by [`PAUSE_RESTARTS`](crate::labels::PAUSE_RESTARTS).
const PAUSED: &str = "restarts are paused by the annotation stellar.org/pause-restarts";
/// Message for a missing approval by [`APPROVE_RESTART`](crate::labels::APPROVE_RESTART).
const NOT_APPROVED: &str =
    "it waits for the annotation stellar.org/approve-restart with the value of status.peers.pendingHash";

/// Message where another pod still runs with the new seed.
const SEED_HELD: &str = "another validator's pod, or its stored pod template, still has its new seed";

/// A pod that read an old list more than this after a newer one was published read it late. Kubernetes timestamps are
/// in whole seconds.
const CLOCK_GRAIN: Duration = Duration::from_secs(2);
/// Changes of several StellarNodes within this time count as one, such as one `kubectl apply`. Up to a second of it is
/// lost, because Kubernetes timestamps are in whole seconds.
const CHANGE_WINDOW: Duration = Duration::from_secs(3);
/// Length of the hash of a pending change: short enough to type.
const PENDING_HASH_LENGTH: usize = 12;

/// The needs of every validator of a group, those of another network included, the most urgent cause first.
pub fn of_group(snapshot: &Snapshot, options: &Options, group: &Group<'_>) -> BTreeMap<NodeId, Vec<Need>> {
    let context = Context::new(snapshot, options, group);
    let all = group.validators.iter().chain(&group.other_network).copied();
    all.map(|validator| (validator.id.clone(), context.needs_of(validator)))
        .collect()
}

/// The view that a validator's running pod loaded at its start; `None` if unknown.
pub fn loaded_view(validator: &Validator) -> Option<&View> {
    let pod = validator.pod.as_ref().filter(|pod| !pod.deleting)?;
    let workload = validator.workload.as_ref()?;
    if workload.reports {
        return match pod.report.as_ref()? {
            Report::Loaded { view, .. } => Some(view),
            Report::Unreadable => None,
        };
    }
    workload
        .assumed
        .as_ref()
        .filter(|assumed| assumed.pod_uid == pod.uid)
        .map(|assumed| &assumed.view)
}

/// The state of the whole group, computed once.
struct Context<'a> {
    snapshot: &'a Snapshot,
    options: &'a Options,
    group: &'a Group<'a>,
    /// When the list last changed, or a member's pod last read it.
    last_change: Timestamp,
    /// The wait for validators that are wanted, have not joined yet and are not given up.
    joining: Option<Wait>,
    /// Whether every member's pod serves its peer port.
    all_ready: bool,
    /// Whether some member's pod read an older list than the one published at that time.
    read_late: bool,
    /// A member that has an address, and currently no pod that has loaded its peers.
    being_replaced: Option<&'a NodeId>,
    /// The members whose restart would connect the group, in the order of their restarts.
    to_link: Vec<&'a Validator>,
}

impl<'a> Context<'a> {
    fn new(snapshot: &'a Snapshot, options: &'a Options, group: &'a Group<'a>) -> Self {
        let pods = || group.members.iter().map(|member| member.validator.pod.as_ref());
        // A crashed container restarts within its pod, which loaded its peers before. So container restarts do not
        // count.
        let rendered = pods().filter_map(|pod| pod?.rendered);
        let mut context = Self {
            snapshot,
            options,
            group,
            last_change: rendered
                .chain([group.list.version])
                .filter(|time| is_credible(*time, snapshot.now))
                .fold(Timestamp::MIN, Timestamp::max),
            joining: None,
            all_ready: pods().all(|pod| pod.is_some_and(|pod| pod.ready)),
            read_late: pods().flatten().any(|pod| read_late(pod, group.list.version)),
            being_replaced: {
                let mut being_replaced = group.members.iter().filter(|member| is_being_replaced(member));
                being_replaced.next().map(|member| &member.validator.id)
            },
            to_link: Vec::new(),
        };
        context.joining = group
            .validators
            .iter()
            .chain(&group.remote_members)
            .filter(|validator| validator.is_wanted() && group.member(validator).is_none())
            // A validator that waits for a seed waits for one of these restarts itself.
            .filter(|validator| validator.seed_held_by.is_none())
            .filter_map(|validator| {
                let reason = format!("it waits for {}, which has not joined its group yet", validator.id);
                context.until(validator.created, options.join_wait, reason)
            })
            .max_by_key(|wait| match wait {
                Wait::Until(time, _) => *time,
                Wait::For(_) | Wait::ForPerson(_) => Timestamp::MAX,
            });
        if options.restart != RestartMode::Never {
            context.to_link = context.members_to_link();
        }
        context
    }

    /// The members that lack links, in the order of their restarts: those that may be restarted first. A member that is
    /// held back, does not serve or was restarted recently for the same view goes last, so that it does not block the
    /// others (rule R2).
    fn members_to_link(&self) -> Vec<&'a Validator> {
        let links = &self.group.links;
        let mut needy: Vec<&Validator> = links
            .needy
            .iter()
            .map(|index| self.group.members[*index].validator)
            .filter(|validator| {
                restartable(validator).is_some_and(|(workload, pod)| {
                    let reports = workload.reports && pod.report.is_some();
                    reports && !pod.mounts_another(&validator.list)
                })
            })
            .collect();
        needy.sort_by_cached_key(|validator| {
            let held_back = self.held_back(validator, &link_hash(validator)).is_some();
            held_back || not_serving(validator).is_some() || self.fuse_for_links(validator).is_some()
        });
        needy
    }

    fn needs_of(&self, validator: &Validator) -> Vec<Need> {
        let mut needs: Vec<Need> = Vec::new();
        let for_spec = self.for_spec(validator);
        // A restart for the spec also loads the peers, so the restart for peers waits with it.
        let spec_waits = for_spec.as_ref().and_then(|need| need.wait.clone());
        needs.extend(for_spec);
        if let Some(member) = self.group.member(validator) {
            let for_peers = self.for_peers(member);
            needs.extend(for_peers.map(|need| Need {
                wait: need.wait.or(spec_waits),
                ..need
            }));
            needs.extend(self.for_links(member));
        }
        for need in &mut needs {
            if let Some(wait) = self.held_back(validator, &need.hash) {
                need.wait = Some(wait);
            }
        }
        needs
    }

    /// A pause, a missing approval, or an update strategy that needs a person holds back every need.
    fn held_back(&self, validator: &Validator, hash: &str) -> Option<Wait> {
        if validator.paused || self.snapshot.paused_namespaces.contains(&validator.id.namespace) {
            return Some(Wait::For(PAUSED.into()));
        }
        if validator
            .workload
            .as_ref()
            .is_some_and(|workload| workload.waits_for_person)
        {
            return Some(Wait::ForPerson(
                "the StatefulSet's updateStrategy leaves restarts to a person".into(),
            ));
        }
        let approved = self.options.restart != RestartMode::Manual || validator.approved.as_deref() == Some(hash);
        (!approved).then_some(Wait::For(NOT_APPROVED.into()))
    }

    /// A pod that mounts another list than its spec names would only read that list again. It gets the right one with
    /// its new template.
    fn for_peers(&self, member: &Member<'_>) -> Option<Need> {
        if !matches!(self.options.restart, RestartMode::Changed | RestartMode::Manual) {
            return None;
        }
        let validator = member.validator;
        let (workload, pod) = restartable(validator)?;
        if pod.mounts_another(&validator.list) {
            return None;
        }
        let view = self.group.views.get(&validator.id)?;
        if loaded_view(validator)? == view {
            return None;
        }
        let wait = self
            .not_published()
            .or_else(|| not_serving(validator))
            .or_else(|| self.joining.clone())
            .or_else(|| {
                let quiet = || self.until(self.last_change, self.options.quiet, "its group is not quiet yet");
                if self.all_ready { None } else { quiet() }
            })
            .or_else(|| {
                let read_late = "a pod read an older list than was published";
                let late = || self.until(self.last_change, self.options.propagation * 2, read_late);
                if self.read_late { late() } else { None }
            })
            .or_else(|| self.fuse(validator, workload));
        Some(Need {
            cause: Cause::PeersChanged,
            hash: pending_hash("peers", view.as_str()),
            wait,
        })
    }

    fn for_links(&self, member: &Member<'_>) -> Option<Need> {
        let validator = member.validator;
        let rank = self.to_link.iter().position(|needy| needy.uid == validator.uid)?;
        restartable(validator)?;
        let late = if self.read_late { 2 } else { 1 };
        let wait = self
            .not_published()
            .or_else(|| {
                let node = self.being_replaced?;
                Some(Wait::For(
                    format!("it waits for {node}, whose pod is on its way").into(),
                ))
            })
            .or_else(|| {
                let span = self.options.propagation * late;
                self.until(self.last_change, span, "all must be unchanged for the propagation time")
            })
            .or_else(|| not_serving(validator))
            .or_else(|| self.fuse_for_links(validator))
            .or_else(|| {
                let first = self.to_link.first().filter(|_| rank > 0)?;
                Some(Wait::For(format!("{} comes first", first.id).into()))
            });
        Some(Need {
            cause: Cause::NotLinked,
            hash: link_hash(validator),
            wait,
        })
    }

    fn for_spec(&self, validator: &Validator) -> Option<Need> {
        if self.options.no_node_controller {
            return None;
        }
        let workload = validator
            .workload
            .as_ref()
            .filter(|workload| workload.ours && validator.is_wanted())?;
        let wanted = validator.spec_hash.as_ref()?;
        let changed = workload.spec_hash.as_ref() != Some(wanted);
        // The template was written, and the pod still has the old one.
        let is_left_over = || {
            let pod = validator.pod.as_ref();
            workload.waits_for_person && pod.is_some_and(|pod| workload.is_outdated(pod))
        };
        (changed || is_left_over()).then(|| Need {
            cause: Cause::SpecChanged,
            hash: pending_hash("spec", wanted),
            wait: not_convertible(workload)
                .or_else(|| validator.seed_held_by.as_ref().map(|_| Wait::For(SEED_HELD.into())))
                .or_else(|| self.wait_for_group_changes(validator)),
        })
    }

    /// A voting validator is restarted once, for its own change and for validators that join with it. One that does not
    /// vote waits for no other: its change may be what makes it vote again.
    fn wait_for_group_changes(&self, validator: &Validator) -> Option<Wait> {
        let votes = validator
            .pod
            .as_ref()
            .is_some_and(|pod| pod.voting_since.is_some() && !pod.deleting);
        let in_group = self.group.network == validator.network;
        if !votes || !in_group || !matches!(self.options.restart, RestartMode::Changed | RestartMode::Manual) {
            return None;
        }
        let all = self.group.validators.iter().chain(&self.group.remote_members);
        let last = all.filter_map(|other| other.changed).max();
        let changing = || self.until(last?, CHANGE_WINDOW, "its group's specs are being changed");
        // A list that cannot be written must not hold back a new version forever.
        let being_written = || {
            let is_written = matches!(self.group.action, ListAction::Write { .. });
            last.filter(|_| is_written)
                .and_then(|last| self.until(last, self.options.join_wait, "its list is not written yet"))
        };
        changing().or_else(|| self.joining.clone()).or_else(being_written)
    }

    fn not_published(&self) -> Option<Wait> {
        (!self.group.is_published()).then(|| Wait::For("its list is not written yet".into()))
    }

    /// Prevents a second restart for the same view within the fuse's time. If the pod that had to be replaced is still
    /// there, no restart has happened.
    fn fuse(&self, validator: &Validator, workload: &Workload) -> Option<Wait> {
        let view = self.group.views.get(&validator.id)?;
        let last = workload.last_restart.as_ref().filter(|last| last.view == *view)?;
        let pod = validator.pod.as_ref().map(|pod| &pod.uid);
        if last.pod_uid.is_some() && last.pod_uid.as_ref() == pod {
            return None;
        }
        self.until(
            last.at,
            self.options.restart_fuse,
            "it was restarted for the same members before",
        )
    }

    /// The fuse for linking, where the view is the same and the addresses count. A peer that moved to a new address
    /// since the validator's restart is a reason for another. A peer that moved because of a later restart by the
    /// operator is not: two members that cannot connect would restart each other forever.
    fn fuse_for_links(&self, validator: &Validator) -> Option<Wait> {
        let workload = validator.workload.as_ref()?;
        let wait = self.fuse(validator, workload)?;
        let last = workload.last_restart.as_ref()?.at;
        let has_moved = |member: &&Member<'_>| {
            let restarted = member
                .validator
                .workload
                .as_ref()
                .and_then(|other| other.last_restart.as_ref());
            member.validator.uid != validator.uid
                && restarted.is_none_or(|restart| restart.at <= last)
                && self
                    .settled_since(member)
                    .is_some_and(|time| time > last && is_credible(time, self.snapshot.now))
        };
        let mut others = self.group.members.iter();
        others.all(|member| !has_moved(&member)).then_some(wait)
    }

    /// Since when a member has its current address, or its current pod where the address is a DNS name.
    fn settled_since(&self, member: &Member<'_>) -> Option<Timestamp> {
        match self.options.address_mode {
            AddressMode::PodIp => Some(member.record.since),
            AddressMode::Dns => member.validator.pod.as_ref()?.rendered,
        }
    }

    fn until(&self, start: Timestamp, span: Duration, reason: impl Into<Cow<'static, str>>) -> Option<Wait> {
        let end = later(start, span);
        let lasts = end > self.snapshot.now && is_credible(start, self.snapshot.now);
        lasts.then(|| Wait::Until(end, reason.into()))
    }
}

/// Whether a member with an address is going down, or is coming up and has not loaded its peers yet. A member in a
/// crash loop is neither: its pod stays, with the peers that it loaded.
fn is_being_replaced(member: &Member<'_>) -> bool {
    let validator = member.validator;
    let reports = validator.workload.as_ref().is_some_and(|workload| workload.reports);
    let has_loaded = |pod: &Pod| !reports || pod.rendered.or(pod.started).is_some();
    let is_up = |pod: &Pod| pod.address(validator.spec_port).is_some() && has_loaded(pod);
    member.address.is_some() && !validator.pod.as_ref().is_some_and(is_up)
}

/// The StatefulSet and the pod that a restart would replace: the StatefulSet is ours and the pod is not terminating.
fn restartable(validator: &Validator) -> Option<(&Workload, &Pod)> {
    let workload = validator.workload.as_ref().filter(|workload| workload.ours)?;
    let pod = validator.pod.as_ref().filter(|pod| !pod.deleting)?;
    Some((workload, pod))
}

/// Hash of a restart for linking, which identifies the pod to replace.
fn link_hash(validator: &Validator) -> String {
    let pod = validator.pod.as_ref().map(|pod| pod.uid.as_str());
    pending_hash("links", pod.unwrap_or_default())
}

fn pending_hash(kind: &str, content: &str) -> String {
    digest::short_hex(format!("{kind} {content}").as_bytes(), PENDING_HASH_LENGTH)
}

/// Whether a pod read an older list than the one published at that time.
fn read_late(pod: &Pod, published: Timestamp) -> bool {
    let Some(Report::Loaded { version, .. }) = &pod.report else {
        return false;
    };
    let older = version.is_none_or(|version| version < published);
    older
        && pod
            .rendered
            .is_some_and(|rendered| is_past(published, CLOCK_GRAIN, rendered))
}
