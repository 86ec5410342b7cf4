//! What a reconcile writes of a validator's StatefulSet that exists and is ours. Pure.
//!
//! A change that takes down a running validator is never decided here: it waits for a slot (`rollout`).

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;

use crate::kubernetes::stored::{built_from, program_of, runs};

/// What a StatefulSet is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) replicas: i32,
    /// Hash of the spec that its template is to be built from.
    pub(crate) spec_hash: &'a str,
    /// Image of the program in its pods.
    pub(crate) program: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkloadStep {
    /// Whether the base config may be that of the present spec. It belongs to the template and changes with it, in the
    /// validator's slot.
    pub(crate) base_config: bool,
    pub(crate) part: Part,
}

/// The part of a StatefulSet that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it, template and replicas: it has no pod that would go down. A wrong image is replaced in this way too.
    Whole,
    Replicas(i32),
    Nothing,
}

impl WorkloadStep {
    /// The step for a StatefulSet as it is stored.
    pub(crate) fn of(stored: &StatefulSet, wanted: Wanted<'_>) -> Self {
        let stopped = !runs(stored);
        let current = built_from(stored) == Some(wanted.spec_hash);
        let part = if stopped && !(current && program_of(stored) == Some(wanted.program)) {
            Part::Whole
        } else if wanted.replicas > 0 {
            Part::Replicas(wanted.replicas)
        } else {
            Part::Nothing
        };
        Self {
            base_config: current || stopped,
            part,
        }
    }
}

/// The warning about a StatefulSet that is scaled from several pods with one seed to `replicas`; `None` for any other.
///
/// It names the volume claims that Kubernetes made for the other pods and never deletes.
pub(crate) fn second_pods(stored: &StatefulSet, replicas: i32) -> Option<String> {
    let spec = stored.spec.as_ref()?;
    let wanted = spec.replicas.unwrap_or(1);
    let count = wanted.max(stored.status.as_ref().map_or(0, |status| status.replicas));
    let ordinals = 1..count.min(MOST_NAMED);
    let names = spec
        .volume_claim_templates
        .iter()
        .flatten()
        .filter_map(|claim| claim.metadata.name.as_deref());
    let claims: Vec<String> = names
        .flat_map(|name| ordinals.clone().map(move |ordinal| (name, ordinal)))
        .map(|(name, ordinal)| format!("{name}-{}-{ordinal}", stored.name_any()))
        .collect();
    let others = if claims.is_empty() {
        String::new()
    } else {
        let more = if count > MOST_NAMED { " and so on" } else { "" };
        format!(
            "; volume claims that were made for others stay, delete them: {}{more}",
            claims.join(", ")
        )
    };
    (wanted > 1).then(|| {
        format!("its StatefulSet was to have {wanted} pods, all with one seed, and is scaled to {replicas}{others}")
    })
}

/// How many pods' claims are named.
const MOST_NAMED: i32 = 8;

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
        let step = |base_config, part| WorkloadStep { base_config, part };
        for (what, stored, replicas, expected) in [
            ("at rest", stored(1, 1, "new", "p:2"), 1, step(true, Part::Replicas(1))),
            (
                "runs with an older spec",
                stored(1, 1, "old", "p:2"),
                1,
                step(false, Part::Replicas(1)),
            ),
            (
                "runs with an older program",
                stored(1, 1, "new", "p:1"),
                1,
                step(true, Part::Replicas(1)),
            ),
            (
                "its pod has not ended",
                stored(0, 1, "old", "p:2"),
                1,
                step(false, Part::Replicas(1)),
            ),
            (
                "stopped, and comes back",
                stored(0, 0, "new", "p:2"),
                1,
                step(true, Part::Replicas(1)),
            ),
            (
                "comes back with a newer spec",
                stored(0, 0, "old", "p:2"),
                1,
                step(true, Part::Whole),
            ),
            (
                "comes back with a newer program",
                stored(0, 0, "new", "p:1"),
                1,
                step(true, Part::Whole),
            ),
            (
                "stays stopped",
                stored(0, 0, "new", "p:2"),
                0,
                step(true, Part::Nothing),
            ),
            (
                "stopped, with a newer spec",
                stored(0, 0, "old", "p:2"),
                0,
                step(true, Part::Whole),
            ),
            (
                "is being stopped",
                stored(0, 1, "new", "p:2"),
                0,
                step(true, Part::Nothing),
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

    #[test]
    fn the_claims_of_second_pods_are_named() {
        let set = |replicas: i32, present: i32, claims: &[&str]| {
            let mut set = stored(replicas, present, "new", "p:2");
            set.metadata.name = Some("a".to_owned());
            let claims = claims.iter().map(|name| json!({ "metadata": { "name": name } }));
            let claims = serde_json::from_value(claims.collect()).unwrap();
            set.spec.as_mut().unwrap().volume_claim_templates = Some(claims);
            second_pods(&set, 1)
        };
        assert_eq!(set(1, 1, &["data"]), None);
        assert_eq!(set(0, 1, &["data"]), None);
        let told = "its StatefulSet was to have 2 pods, all with one seed, and is scaled to 1";
        assert_eq!(set(2, 2, &[]).as_deref(), Some(told));
        let claims = "; volume claims that were made for others stay, delete them: ";
        assert_eq!(set(2, 1, &["data"]), Some(format!("{told}{claims}data-a-1")));
        assert_eq!(
            set(2, 3, &["data", "b"]),
            Some(format!("{told}{claims}data-a-1, data-a-2, b-a-1, b-a-2"))
        );
        let many = set(i32::MAX, 1, &["data"]).unwrap();
        assert!(many.ends_with("data-a-6, data-a-7 and so on"), "{many}");
    }
}
