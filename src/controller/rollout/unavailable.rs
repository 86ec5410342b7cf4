//! Validators that do not vote or are about to go down, so that the others cannot spare another one. Pure.

use super::progress::deadline;
use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{Slot, SlotLease, Snapshot, Validator};
use crate::controller::model::times::is_past;
use crate::controller::peering::groups::Group;
use crate::peers::NodeId;

/// Describes each member of a group that does not vote. `except` and the holders in `active` do not count. A member
/// that has not voted since it joined counts for a while only.
pub(crate) fn members_not_voting(
    snapshot: &Snapshot,
    options: &Options,
    group: &Group<'_>,
    except: &Validator,
    active: &[&Slot],
) -> Vec<String> {
    let not_voting = group.members.iter().filter_map(|member| {
        let Validator { id, uid, .. } = member.validator;
        let counts = *uid != except.uid && active.iter().all(|slot| slot.uid != *uid);
        if !counts || member.validator.is_voting() || member.is_given_up(options.join_wait, snapshot.now) {
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
    // A member whose StellarNode cannot be parsed counts as not voting.
    let listed = group.list.members.iter().map(|record| &record.node);
    let unreadable = listed.filter(|node| snapshot.unreadable.contains(node));
    not_voting
        .chain(unreadable.map(|node| format!("{node}, whose StellarNode cannot be read")))
        .collect()
}

/// The validators of a network that count as down for `validator`, each with a reason. First, holders that voted and
/// are not back after the deadline of their slot. Second, validators without a slot whose pod may be replaced at any
/// moment, because their StatefulSet took a template in a slot that is no longer known. `others` are the slots of other
/// validators; those within their deadline do not count here.
pub(crate) fn unavailable_others(
    snapshot: &Snapshot,
    options: &Options,
    lease: &SlotLease,
    validator: &Validator,
    others: &[&Slot],
) -> Vec<(NodeId, &'static str)> {
    let is_over = |slot: &Slot| deadline(slot, snapshot, options) <= snapshot.now;
    // A missing holder counts as down only in its own namespace: otherwise a tenant could block other namespaces by
    // making its StellarNode unreadable.
    let is_down = |slot: &Slot| {
        let mut holders = snapshot.validators.iter().filter(|holder| holder.uid == slot.uid);
        let unknown = slot.node.namespace == validator.id.namespace;
        holders.next().map_or(unknown, |holder| !holder.is_voting())
    };
    let overdue = others
        .iter()
        .filter(|slot| slot.voting && is_over(slot) && is_down(slot));
    let overdue = overdue.map(|slot| (slot.node.clone(), "whose restart has not ended within its deadline"));
    // A Lease that is older than a slot can last knows every template that the operator wrote. Any other unsettled
    // StatefulSet has a foreign cause, and blocks only its own namespace.
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
