//! The progress of a slot, read from its holder's StatefulSet and pod. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::controller::model::options::Options;
use crate::controller::model::snapshot::{Cause, Pod, Slot, Snapshot, Validator, Workload};
use crate::controller::model::times::{is_credible, is_past, later};

/// How long a returned slot counts against its holder: other waiting validators go first.
const RECENT: Duration = Duration::from_secs(3600);

/// Whether the write of this slot has happened, as seen on the StatefulSet.
pub(crate) fn is_triggered(slot: &Slot, validator: &Validator) -> bool {
    validator.workload.as_ref().is_some_and(|workload| match slot.cause {
        Cause::SpecChanged => workload.spec_hash == slot.spec_hash,
        Cause::PeersChanged | Cause::NotLinked => {
            workload.last_restart.as_ref().is_some_and(|last| last.at == slot.since)
        }
    })
}

fn objects_of(validator: &Validator) -> Option<(&Workload, &Pod)> {
    validator.workload.as_ref().zip(validator.pod.as_ref())
}

/// Whether the holder's StatefulSet now leaves updates to a person, and its old pod does again what it did before the
/// slot. A person then decides when the pod goes down, without a slot.
pub(crate) fn is_left_to_a_person(slot: &Slot, validator: &Validator, now: Timestamp, options: &Options) -> bool {
    objects_of(validator).is_some_and(|(workload, pod)| {
        workload.waits_for_person && workload.is_outdated(pod) && works_as_before(slot, pod, now, options)
    })
}

/// Whether the holder's new pod exists and fulfils what the slot requires.
pub(crate) fn is_done(slot: &Slot, validator: &Validator, now: Timestamp, options: &Options) -> bool {
    objects_of(validator)
        .is_some_and(|(workload, pod)| is_replaced(slot, workload, pod) && works_as_before(slot, pod, now, options))
}

/// Whether this is the pod that the slot had to bring. If a spec was changed and reverted before Kubernetes observed
/// either, the running pod already has the right revision and stays.
pub(crate) fn is_replaced(slot: &Slot, workload: &Workload, pod: &Pod) -> bool {
    workload.observed
        && workload.update_revision.is_some()
        && pod.revision == workload.update_revision
        && !pod.deleting
        && (slot.cause == Cause::SpecChanged || slot.pod_uid.as_ref() != Some(&pod.uid))
}

/// Whether the holder's new pod exists, serves its peers and does not vote.
pub(crate) fn serves_without_voting(slot: &Slot, validator: &Validator) -> bool {
    objects_of(validator)
        .is_some_and(|(workload, pod)| is_replaced(slot, workload, pod) && pod.ready && pod.voting_since.is_none())
}

/// The time from which a slot counts as stalled.
///
/// A holder that was down for long may need the next checkpoint of an archive. It gets that time from the start of its
/// new stellar-core, but only once: a crash loop does not extend it further.
pub(crate) fn deadline(slot: &Slot, snapshot: &Snapshot, options: &Options) -> Timestamp {
    let end = later(slot.began(), options.rollout_deadline);
    let mut holders = snapshot.validators.iter().filter(|holder| holder.uid == slot.uid);
    let catches_up = holders.next().and_then(|holder| {
        let (workload, pod) = objects_of(holder)?;
        let until = holder.catches_up_until(snapshot.now, options.catch_up);
        until.filter(|_| is_replaced(slot, workload, pod))
    });
    catches_up.map_or(end, |until| until.clamp(end, later(end, options.catch_up)))
}

/// The slot, marked as voting, of a holder that began to vote after it got the slot, with the pod that the slot
/// replaces; `None` for all others.
pub(crate) fn now_votes(slot: &Slot, validator: &Validator, triggered: bool) -> Option<Slot> {
    let (workload, pod) = objects_of(validator)?;
    let goes = !triggered || !is_replaced(slot, workload, pod);
    (!slot.voting && goes && pod.voting_since.is_some()).then(|| Slot {
        voting: true,
        ..slot.clone()
    })
}

/// Whether a pod does what the holder did before it went down: vote, or just serve.
fn works_as_before(slot: &Slot, pod: &Pod, now: Timestamp, options: &Options) -> bool {
    if slot.voting {
        // The clocks of the pod's node and of this process may differ by hours; no clock error shortens what this
        // process observed itself.
        let is_observed = pod.voted_for.is_none_or(|seen| seen >= options.min_ready);
        is_observed
            && pod
                .voting_since
                .is_some_and(|since| is_past(since, options.min_ready, now) || !is_credible(since, now))
    } else {
        pod.ready
    }
}

/// Whether a validator recently returned a slot because its restart could not be written.
pub(crate) fn failed_lately(validator: &Validator, now: Timestamp) -> bool {
    let given_back = validator.workload.as_ref().and_then(|workload| workload.given_back);
    given_back.is_some_and(|since| !is_past(since, RECENT, now))
}

/// The namespaces with a recent slot. Old times, and times that are not credible, are dropped.
pub(crate) fn served_lately(served: &BTreeMap<String, Timestamp>, now: Timestamp) -> BTreeMap<String, Timestamp> {
    let lately = |time: Timestamp| is_credible(time, now) && !is_past(time, RECENT, now);
    let all = served.iter().filter(|(_, time)| lately(**time));
    all.map(|(namespace, time)| (namespace.clone(), *time)).collect()
}
