//! How far a turn has come, as its holder's StatefulSet and pod show. Pure.

use jiff::Timestamp;

use super::options::Options;
use super::snapshot::{Cause, Pod, Turn, Validator, Workload};
use super::times::{is_credible, is_past};

/// Whether the one write of this turn is there to be seen.
pub(super) fn is_triggered(turn: &Turn, validator: &Validator) -> bool {
    let Some(workload) = &validator.workload else {
        return false;
    };
    match turn.cause {
        Cause::SpecChanged => workload.spec_hash == turn.spec_hash,
        Cause::PeersChanged | Cause::NotLinked => {
            workload.last_restart.as_ref().is_some_and(|last| last.at == turn.since)
        }
    }
}

/// Whether somebody set the holder's StatefulSet to wait for a person meanwhile, and the pod that was to be replaced, or
/// came back as it was, does what it did before: when it goes down now is up to them, and no turn is held for it.
pub(super) fn is_left_to_a_person(turn: &Turn, validator: &Validator, now: Timestamp, options: &Options) -> bool {
    let (Some(workload), Some(pod)) = (&validator.workload, &validator.pod) else {
        return false;
    };
    workload.waits_for_person && workload.is_outdated(pod) && serves(turn, pod, now, options)
}

/// Whether the holder's new pod is there, and does what its turn promised to the others.
pub(super) fn is_done(turn: &Turn, validator: &Validator, now: Timestamp, options: &Options) -> bool {
    let (Some(workload), Some(pod)) = (&validator.workload, &validator.pod) else {
        return false;
    };
    is_replaced(turn, workload, pod) && serves(turn, pod, now, options)
}

/// Whether this is the pod that the turn was to bring. A spec that was changed and changed back while Kubernetes looked at neither
/// has the revision of the pod that runs, which stays then.
pub(super) fn is_replaced(turn: &Turn, workload: &Workload, pod: &Pod) -> bool {
    workload.observed
        && workload.update_revision.is_some()
        && pod.revision == workload.update_revision
        && !pod.deleting
        && (turn.cause == Cause::SpecChanged || turn.pod_uid.as_ref() != Some(&pod.uid))
}

/// The turn of a holder that did not vote when it got it, and does now with the pod that is to go; `None` for all others.
pub(super) fn now_votes(turn: &Turn, validator: &Validator, triggered: bool) -> Option<Turn> {
    let (workload, pod) = (validator.workload.as_ref()?, validator.pod.as_ref()?);
    let goes = !triggered || !is_replaced(turn, workload, pod);
    (!turn.voting && goes && pod.voting_since.is_some()).then(|| Turn {
        voting: true,
        ..turn.clone()
    })
}

/// Whether a pod does what the holder of a turn did before it went down.
fn serves(turn: &Turn, pod: &Pod, now: Timestamp, options: &Options) -> bool {
    if turn.voting {
        pod.voting_since
            .is_some_and(|since| is_past(since, options.min_ready, now) || !is_credible(since, now))
    } else {
        pod.ready
    }
}
