//! How far a slot has come, as its holder's StatefulSet and pod show. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{Cause, Pod, Slot, Snapshot, Validator, Workload};
use crate::controller::model::times::{is_credible, is_past, later};

/// How long a slot that was given back counts against its holder: others that have waited go first.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Whether the one write of this slot is there to be seen.
pub(crate) fn is_triggered(slot: &Slot, validator: &Validator) -> bool {
    let Some(workload) = &validator.workload else {
        return false;
    };
    match slot.cause {
        Cause::SpecChanged => workload.spec_hash == slot.spec_hash,
        Cause::PeersChanged | Cause::NotLinked => {
            workload.last_restart.as_ref().is_some_and(|last| last.at == slot.since)
        }
    }
}

/// Whether somebody set the holder's StatefulSet to wait for a person meanwhile, and the pod that was to be replaced,
/// or came back as it was, does what it did before: when it goes down now is up to them, and no slot is held for it.
pub(crate) fn is_left_to_a_person(slot: &Slot, validator: &Validator, now: Timestamp, options: &Options) -> bool {
    let (Some(workload), Some(pod)) = (&validator.workload, &validator.pod) else {
        return false;
    };
    workload.waits_for_person && workload.is_outdated(pod) && serves(slot, pod, now, options)
}

/// Whether the holder's new pod is there, and does what its slot promised to the others.
pub(crate) fn is_done(slot: &Slot, validator: &Validator, now: Timestamp, options: &Options) -> bool {
    let (Some(workload), Some(pod)) = (&validator.workload, &validator.pod) else {
        return false;
    };
    is_replaced(slot, workload, pod) && serves(slot, pod, now, options)
}

/// Whether this is the pod that the slot was to bring. A spec that was changed and changed back while Kubernetes looked
/// at neither has the revision of the pod that runs, which stays then.
pub(crate) fn is_replaced(slot: &Slot, workload: &Workload, pod: &Pod) -> bool {
    workload.observed
        && workload.update_revision.is_some()
        && pod.revision == workload.update_revision
        && !pod.deleting
        && (slot.cause == Cause::SpecChanged || slot.pod_uid.as_ref() != Some(&pod.uid))
}

/// Whether the holder's new pod is there, serves its peers and does not vote.
pub(crate) fn serves_alone(slot: &Slot, validator: &Validator) -> bool {
    let (Some(workload), Some(pod)) = (&validator.workload, &validator.pod) else {
        return false;
    };
    is_replaced(slot, workload, pod) && pod.ready && pod.voting_since.is_none()
}

/// When a slot counts as stalled.
///
/// A holder that was away for long needs until the next checkpoint of an archive. It is given that time from the start
/// of its new stellar-core, and no more than once: one that is started again and again is not waited for without end.
pub(crate) fn deadline(slot: &Slot, snapshot: &Snapshot, options: &Options) -> Timestamp {
    let end = later(slot.began(), options.rollout_deadline);
    let mut holders = snapshot.validators.iter().filter(|holder| holder.uid == slot.uid);
    let Some((holder, workload, pod)) = holders.next().and_then(|holder| {
        let (workload, pod) = (holder.workload.as_ref()?, holder.pod.as_ref()?);
        Some((holder, workload, pod))
    }) else {
        return end;
    };
    if !is_replaced(slot, workload, pod) {
        return end;
    }
    let catches_up = holder.catches_up_until(snapshot.now, options.catch_up);
    catches_up.map_or(end, |until| until.clamp(end, later(end, options.catch_up)))
}

/// The slot of a holder that did not vote when it got it, and does now with the pod that is to go; `None` for all
/// others.
pub(crate) fn now_votes(slot: &Slot, validator: &Validator, triggered: bool) -> Option<Slot> {
    let (workload, pod) = (validator.workload.as_ref()?, validator.pod.as_ref()?);
    let goes = !triggered || !is_replaced(slot, workload, pod);
    (!slot.voting && goes && pod.voting_since.is_some()).then(|| Slot {
        voting: true,
        ..slot.clone()
    })
}

/// Whether a pod does what the holder of a slot did before it went down.
fn serves(slot: &Slot, pod: &Pod, now: Timestamp, options: &Options) -> bool {
    if slot.voting {
        // Two clocks: that of the pod's node and ours may differ by hours, and what we have seen ourselves they cannot
        // shorten.
        let is_seen = pod.voted_for.is_none_or(|seen| seen >= options.min_ready);
        is_seen
            && pod
                .voting_since
                .is_some_and(|since| is_past(since, options.min_ready, now) || !is_credible(since, now))
    } else {
        pod.ready
    }
}

/// Whether a validator gave a slot back a while ago, because its restart could not be written.
pub(crate) fn failed_lately(validator: &Validator, now: Timestamp) -> bool {
    let given_back = validator.workload.as_ref().and_then(|workload| workload.given_back);
    given_back.is_some_and(|since| !is_past(since, REMEMBERED, now))
}

/// The namespaces that had a slot a while ago. Times that cannot be, or long gone, count for nothing.
pub(crate) fn served_lately(served: &BTreeMap<String, Timestamp>, now: Timestamp) -> BTreeMap<String, Timestamp> {
    let lately = |time: Timestamp| is_credible(time, now) && !is_past(time, REMEMBERED, now);
    let all = served.iter().filter(|(_, time)| lately(**time));
    all.map(|(namespace, time)| (namespace.clone(), *time)).collect()
}
