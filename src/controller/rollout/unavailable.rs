//! Who does not vote, so that the others cannot spare another one. Pure.

use super::progress::deadline;
use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{Slot, SlotLease, Snapshot, Validator};
use crate::controller::model::times::is_past;
use crate::controller::peering::groups::Group;
use crate::peers::NodeId;

/// The members of a group, but this validator and those with a slot, that do not vote, as far as is known, each with
/// what is known of it. One that has not voted since it joined is among them for a while only.
pub(crate) fn silent_members(
    snapshot: &Snapshot,
    options: &Options,
    group: &Group<'_>,
    but: &Validator,
    active: &[&Slot],
) -> Vec<String> {
    let silent = group.members.iter().filter_map(|member| {
        let Validator { id, uid, .. } = member.validator;
        let is_meant = *uid != but.uid && active.iter().all(|slot| slot.uid != *uid);
        if !is_meant || member.validator.is_voting() || member.is_given_up(options.join_wait, snapshot.now) {
            return None;
        }
        if let Some(end) = member.awaited_until(options.join_wait) {
            return Some(format!(
                "{id}, which joined and has not voted yet, until {end} at the latest"
            ));
        }
        Some(
            match member.validator.catches_up_until(snapshot.now, options.catch_up) {
                Some(_) => format!("{id}, which does not vote and may be catching up"),
                None => format!("{id}, which does not vote"),
            },
        )
    });
    // Whether one votes whose StellarNode cannot be parsed is not known.
    let listed = group.list.members.iter().map(|record| &record.node);
    let unreadable = listed.filter(|node| snapshot.unreadable.contains(node));
    silent
        .chain(unreadable.map(|node| format!("{node}, whose StellarNode cannot be read")))
        .collect()
}

/// Who of a network counts as down for a validator of it that votes, beside the slots that are within their deadline:
/// whoever voted, was taken down by us and is not back; and whoever may go at any moment, because its StatefulSet took
/// a template in a slot that is known no more. Each with what is the matter. `others` are the slots of others.
pub(crate) fn gone_beside(
    snapshot: &Snapshot,
    options: &Options,
    lease: &SlotLease,
    validator: &Validator,
    others: &[&Slot],
) -> Vec<(NodeId, &'static str)> {
    let is_over = |slot: &Slot| deadline(slot, snapshot, options) <= snapshot.now;
    // Of one that cannot be read it is not known; nobody holds up another namespace by making it so.
    let is_down = |slot: &Slot| {
        let mut holders = snapshot.validators.iter().filter(|holder| holder.uid == slot.uid);
        let unknown = slot.node.namespace == validator.id.namespace;
        holders.next().map_or(unknown, |holder| !holder.is_voting())
    };
    let overdue = others
        .iter()
        .filter(|slot| slot.voting && is_over(slot) && is_down(slot));
    let overdue = overdue.map(|slot| (slot.node.clone(), "whose restart has not ended within its deadline"));
    // A Lease that has been there for longer than a slot lasts knows of every template that we wrote. Whatever else
    // keeps a StatefulSet of another namespace from coming to rest is not our doing, and holds up nobody here.
    let may_be_lost = lease
        .created
        .is_none_or(|created| !is_past(created, options.rollout_deadline, snapshot.now));
    let has_slot = |other: &Validator| others.iter().any(|slot| slot.uid == other.uid);
    let about_to_go = snapshot.validators.iter().filter(|other| {
        other.uid != validator.uid
            && other.network == validator.network
            && (may_be_lost || other.id.namespace == validator.id.namespace)
            && other.is_about_to_go()
            && !has_slot(other)
    });
    let about_to_go = about_to_go.map(|other| (other.id.clone(), "whose pod is about to be replaced"));
    overdue.chain(about_to_go).collect()
}
