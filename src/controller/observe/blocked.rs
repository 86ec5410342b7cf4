//! Why a pod does not run, in the words of the API server, the scheduler and the kubelet.
//!
//! Pure. The sources are the pod's conditions and container statuses (Kubernetes docs, "Pod Lifecycle"), and the Events
//! on its StatefulSet. Anyone in the namespace can write such an Event, so it explains and decides nothing.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Event, Pod};

use crate::controller::model::conditions::PodBlocked;
use crate::controller::model::snapshot::Blocked;
use crate::labels;
use crate::util::text::cut;

/// Most characters of the kubelet's words in a message.
const LONGEST_WORDS: usize = 300;
/// From this restart on, a container that runs again counts as failing until it is ready.
const FAILS_AGAIN: i32 = 2;
/// The exit code that a kubelet reports for a container that it lost, after a power cut for example.
const LOST: i32 = 255;

/// What keeps a pod from running; `None` for a pod that is Ready, terminates, or only starts.
pub(super) fn blocked(pod: &Pod) -> Option<Blocked> {
    let status = pod.status.as_ref()?;
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let is = |kind: &str, value: &str| conditions.iter().find(|one| one.type_ == kind && one.status == value);
    if pod.metadata.deletion_timestamp.is_some() || is("Ready", "True").is_some() {
        return None;
    }
    if let Some(unscheduled) = is("PodScheduled", "False") {
        let words = words(unscheduled.message.as_deref().unwrap_or_default());
        return Some(Blocked {
            reason: PodBlocked::Unschedulable,
            passes: words.contains("unbound immediate PersistentVolumeClaims"),
            message: format!("no node takes its pod: {words}"),
        });
    }
    let inits = status.init_container_statuses.iter().flatten();
    let mut all = inits.chain(status.container_statuses.iter().flatten());
    all.find_map(container)
}

/// Why the API server refuses the pod of the StatefulSet with this uid: the last Event that says so, and its time.
///
/// The source is `recordPodEvent` in Kubernetes' `pkg/controller/statefulset/stateful_pod_control.go`.
pub(super) fn refused(event: &Event) -> Option<(Timestamp, Blocked)> {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    let time = event.last_timestamp.as_ref().map(|time| time.0);
    let time = time
        .max(series.map(|time| time.0))
        .max(event.event_time.as_ref().map(|time| time.0))?;
    let message = event.message.as_deref().unwrap_or_default();
    let words = words(message.split_once("failed error: ").map_or(message, |(_, words)| words));
    let blocked = Blocked {
        reason: PodBlocked::PodRefused,
        message: format!("the API server refuses its pod: {words}"),
        passes: false,
    };
    Some((time, blocked))
}

/// Whether something may keep this container from running. The caches keep nothing else of a container's failures.
pub(super) fn may_block(status: &ContainerStatus) -> bool {
    container(status).is_some()
}

fn container(status: &ContainerStatus) -> Option<Blocked> {
    if status.ready {
        return None;
    }
    let state = status.state.as_ref()?;
    let name = &status.name;
    let waiting = state.waiting.as_ref();
    let reason = waiting
        .and_then(|waiting| waiting.reason.as_deref())
        .unwrap_or_default();
    let said = waiting.and_then(|waiting| waiting.message.as_deref());
    let words = words(said.filter(|said| !said.is_empty()).unwrap_or(reason));
    let (reason, message) = match reason {
        "CreateContainerConfigError" => (
            PodBlocked::CreateContainerConfigError,
            format!("container {name} cannot be made: {words}. Create or correct that, and the pod starts by itself"),
        ),
        "CreateContainerError" | "RunContainerError" | "PreCreateHookError" | "PostStartHookError" => (
            PodBlocked::CreateContainerError,
            format!("container {name} cannot be started: {words}"),
        ),
        "ImagePullBackOff"
        | "ErrImagePull"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => (
            PodBlocked::ImagePullBackOff,
            format!("the image of container {name} cannot be pulled: {words}"),
        ),
        _ => (PodBlocked::CrashLoopBackOff, failure(name, ended(status, state)?)),
    };
    Some(Blocked {
        reason,
        message,
        passes: false,
    })
}

/// How the container failed, unless it only starts.
fn ended<'a>(status: &'a ContainerStatus, state: &'a ContainerState) -> Option<&'a ContainerStateTerminated> {
    let before = || status.last_state.as_ref()?.terminated.as_ref();
    let is_sidecar_of_the_vote = status.name == labels::HEALTH_CONTAINER;
    let reason = state.waiting.as_ref().and_then(|waiting| waiting.reason.as_deref());
    let ended = match (&state.terminated, &state.running) {
        (Some(ended), _) => Some(ended),
        _ if reason == Some("CrashLoopBackOff") => before(),
        // `health` is not ready as long as stellar-core does not vote, whatever happened to it before.
        (_, Some(_)) if status.restart_count >= FAILS_AGAIN && !is_sidecar_of_the_vote => {
            before().filter(|ended| ended.exit_code != LOST)
        }
        _ => None,
    };
    ended.filter(|ended| ended.exit_code != 0)
}

fn failure(name: &str, ended: &ContainerStateTerminated) -> String {
    let reason = ended.reason.as_deref().filter(|reason| *reason != "Error");
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let code = ended.exit_code;
    let words = match words(ended.message.as_deref().unwrap_or_default()) {
        none if none.is_empty() => format!("`kubectl logs` with `-c {name} --previous` says why"),
        words => words,
    };
    format!("container {name} ended with exit code {code}{reason}: {words}")
}

/// The words on one line, bounded, without what a kubelet puts before them in every second attempt to pull an image.
fn words(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let pulled = text
        .strip_prefix("Back-off pulling image ")
        .and_then(|text| text.split_once("\": "))
        .map_or(&*text, |(_, words)| words);
    let words = pulled.strip_prefix("ErrImagePull: ").unwrap_or(pulled);
    cut(words.trim_end_matches('.').to_owned(), LONGEST_WORDS)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(status: &Value) -> Option<(PodBlocked, String)> {
        let pod = json!({ "metadata": { "name": "validator-1-0" }, "status": status });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        blocked(&pod).map(|found| (found.reason, found.message))
    }

    fn status(name: &str, state: &Value, last: &Value, restarts: i32) -> Value {
        json!({
            "name": name, "image": "", "imageID": "", "ready": false, "restartCount": restarts,
            "state": state, "lastState": last,
        })
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({ "waiting": { "reason": reason, "message": message } })
    }

    fn ended(code: i32, reason: &str, message: &str) -> Value {
        json!({ "terminated": { "exitCode": code, "reason": reason, "message": message } })
    }

    #[test]
    fn the_kubelet_says_why() {
        let none = json!({});
        let running = json!({ "running": {} });
        let error = ended(1, "Error", "the secret seed is wrong\n");
        for (name, state, last, restarts, expected) in [
            (
                "render-config",
                waiting("CreateContainerConfigError", "secret \"seed\" not found"),
                &none,
                0,
                Some((
                    PodBlocked::CreateContainerConfigError,
                    "container render-config cannot be made: secret \"seed\" not found. Create or correct that, and the pod \
                     starts by itself",
                )),
            ),
            (
                "stellar-core",
                waiting(
                    "ImagePullBackOff",
                    "Back-off pulling image \"a:1\": ErrImagePull: a:1: not found",
                ),
                &none,
                0,
                Some((
                    PodBlocked::ImagePullBackOff,
                    "the image of container stellar-core cannot be pulled: a:1: not found",
                )),
            ),
            (
                "stellar-core",
                waiting("ErrImagePull", "a:1: not found"),
                &none,
                0,
                Some((
                    PodBlocked::ImagePullBackOff,
                    "the image of container stellar-core cannot be pulled: a:1: not found",
                )),
            ),
            (
                "render-config",
                waiting("CrashLoopBackOff", "back-off 10s restarting failed container"),
                &error,
                1,
                Some((
                    PodBlocked::CrashLoopBackOff,
                    "container render-config ended with exit code 1: the secret seed is wrong",
                )),
            ),
            (
                "stellar-core",
                ended(137, "OOMKilled", ""),
                &none,
                0,
                Some((
                    PodBlocked::CrashLoopBackOff,
                    "container stellar-core ended with exit code 137 (OOMKilled): `kubectl logs` with `-c stellar-core \
                     --previous` says why",
                )),
            ),
            (
                "stellar-core",
                running.clone(),
                &error,
                2,
                Some((
                    PodBlocked::CrashLoopBackOff,
                    "container stellar-core ended with exit code 1: the secret seed is wrong",
                )),
            ),
            (
                "exporter",
                waiting("CreateContainerError", ""),
                &none,
                0,
                Some((
                    PodBlocked::CreateContainerError,
                    "container exporter cannot be started: CreateContainerError",
                )),
            ),
            ("stellar-core", running.clone(), &error, 1, None),
            ("stellar-core", running.clone(), &ended(255, "Unknown", ""), 3, None),
            ("health", running.clone(), &error, 9, None),
            ("stellar-core", waiting("PodInitializing", ""), &none, 0, None),
            ("stellar-core", waiting("ContainerCreating", ""), &error, 1, None),
            ("new-db", ended(0, "Completed", ""), &none, 0, None),
        ] {
            let all = json!([status(name, &state, last, restarts)]);
            let expected = expected.map(|(reason, message)| (reason, message.to_owned()));
            assert_eq!(of(&json!({ "containerStatuses": all })), expected, "{state}");
            assert_eq!(of(&json!({ "initContainerStatuses": all })), expected, "{state}");
            let ready = json!([{ "type": "Ready", "status": "True" }]);
            assert_eq!(of(&json!({ "conditions": ready, "containerStatuses": all })), None);
        }
    }

    #[test]
    fn the_scheduler_says_why() {
        let conditions = json!([
            { "type": "Ready", "status": "False" },
            { "type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu." },
        ]);
        let message = "no node takes its pod: 0/1 nodes are available: 1 Insufficient cpu".to_owned();
        let expected = Some((PodBlocked::Unschedulable, message));
        assert_eq!(of(&json!({ "conditions": conditions })), expected);
        let pod = json!({
            "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" }, "status": { "conditions": conditions },
        });
        assert_eq!(blocked(&serde_json::from_value(pod).unwrap()), None, "it goes anyway");
    }

    #[test]
    fn long_words_are_cut() {
        let all = json!([status("a", &ended(1, "Error", &"x".repeat(4096)), &json!({}), 0)]);
        let (_, message) = of(&json!({ "containerStatuses": all })).unwrap();
        assert!(message.chars().count() < LONGEST_WORDS + 60, "{message}");
    }
}
