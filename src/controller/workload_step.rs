//! What a reconcile does to a validator's StatefulSet that is there and ours. Pure.
//!
//! What takes down a validator that runs is never here: that is a turn's (`rollout`).

use k8s_openapi::api::apps::v1::StatefulSet;

use super::running::{built_from, program_of};

/// What a StatefulSet is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Number of pods.
    pub(super) replicas: i32,
    /// Hash of the spec that its template is to be built from.
    pub(super) spec_hash: &'a str,
    /// Image of the program in its pods.
    pub(super) program: &'a str,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WorkloadStep {
    /// Whether the base config may be that of the present spec: it belongs to the template, and changes with it, in the
    /// validator's turn.
    pub(super) base_config: bool,
    /// What to write of the StatefulSet itself.
    pub(super) write: Write,
}

/// What to write of a StatefulSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// All of it, template and replicas: nobody goes down for it. An image that could not be pulled is got rid of so, too.
    All,
    /// The number of pods.
    Replicas(i32),
    /// Nothing.
    Nothing,
}

impl WorkloadStep {
    /// The step for a StatefulSet as it is stored.
    pub(super) fn of(stored: &StatefulSet, wanted: Wanted<'_>) -> Self {
        let stopped = !runs(stored);
        let current = built_from(stored) == Some(wanted.spec_hash);
        let write = if stopped && !(current && program_of(stored) == Some(wanted.program)) {
            Write::All
        } else if wanted.replicas > 0 {
            Write::Replicas(wanted.replicas)
        } else {
            Write::Nothing
        };
        Self {
            base_config: current || stopped,
            write,
        }
    }
}

/// Whether a StatefulSet is to have pods, or still has some.
pub(super) fn runs(stored: &StatefulSet) -> bool {
    let wanted = stored.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let present = stored.status.as_ref().map_or(0, |status| status.replicas);
    wanted > 0 || present > 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::labels;

    fn stored(replicas: i32, present: i32, spec_hash: &str, program: &str) -> StatefulSet {
        let template = json!({
            "metadata": { "annotations": { labels::SPEC_HASH: spec_hash } },
            "spec": {
                "containers": [],
                "initContainers": [{ "name": labels::RENDER_CONTAINER, "image": program }],
            },
        });
        let spec = json!({ "replicas": replicas, "selector": {}, "serviceName": "a", "template": template });
        serde_json::from_value(json!({ "spec": spec, "status": { "replicas": present } })).unwrap()
    }

    #[test]
    fn who_runs_keeps_its_template_and_who_is_stopped_gets_the_present_one() {
        let step = |base_config, write| WorkloadStep { base_config, write };
        for (what, stored, replicas, expected) in [
            ("at rest", stored(1, 1, "new", "p:2"), 1, step(true, Write::Replicas(1))),
            (
                "runs with an older spec",
                stored(1, 1, "old", "p:2"),
                1,
                step(false, Write::Replicas(1)),
            ),
            (
                "runs with an older program",
                stored(1, 1, "new", "p:1"),
                1,
                step(true, Write::Replicas(1)),
            ),
            (
                "its pod has not ended",
                stored(0, 1, "old", "p:2"),
                1,
                step(false, Write::Replicas(1)),
            ),
            (
                "stopped, and comes back",
                stored(0, 0, "new", "p:2"),
                1,
                step(true, Write::Replicas(1)),
            ),
            (
                "comes back with a newer spec",
                stored(0, 0, "old", "p:2"),
                1,
                step(true, Write::All),
            ),
            (
                "comes back with a newer program",
                stored(0, 0, "new", "p:1"),
                1,
                step(true, Write::All),
            ),
            (
                "stays stopped",
                stored(0, 0, "new", "p:2"),
                0,
                step(true, Write::Nothing),
            ),
            (
                "stopped, with a newer spec",
                stored(0, 0, "old", "p:2"),
                0,
                step(true, Write::All),
            ),
            (
                "is being stopped",
                stored(0, 1, "new", "p:2"),
                0,
                step(true, Write::Nothing),
            ),
        ] {
            let wanted = Wanted {
                replicas,
                spec_hash: "new",
                program: "p:2",
            };
            assert_eq!(WorkloadStep::of(&stored, wanted), expected, "{what}");
        }
    }
}
