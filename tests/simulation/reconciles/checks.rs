//! Invariants, and the checks at the end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stellar_k8s::labels;

use super::cluster::{Cluster, Fault, NAMES, is_ours, key, replicas};
use super::kubernetes::is_owned;

impl Cluster {
    /// R3: the template of a running pod changes only in its slot, and this simulation has no slots.
    pub(super) fn check_template(&self, name: &str, before: Option<&Value>, after: &Value) {
        let template = |set: &Value| set["spec"]["template"].clone();
        if let Some(before) = before {
            let runs = replicas(before) > 0 || self.pods.values().any(|pod| is_owned(pod, before));
            assert!(
                !runs || template(before) == template(after),
                "{name} runs and its template changes"
            );
        } else if let Some(pod) = self.pods.get(&labels::pod_name(name))
            && !pod["metadata"]["ownerReferences"][0].is_object()
        {
            let revision = &self.revisions[pod["metadata"]["labels"][labels::REVISION].as_str().unwrap()];
            assert_eq!(
                template(after),
                revision["spec"]["template"],
                "{name} runs and its template changes"
            );
        }
    }

    /// Asserts that two pods never run with one seed, except pods of a StatefulSet that a user scaled up.
    pub(super) fn check(&self) {
        let mut users: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for (name, pod) in &self.pods {
            let text = pod["spec"].to_string();
            for seed in ["shared", "own"] {
                if text.contains(&format!(r#""name":"{seed}""#)) {
                    users
                        .entry(seed.to_owned())
                        .or_default()
                        .insert(name.rsplit_once('-').unwrap().0);
                }
            }
        }
        for (seed, users) in users {
            assert!(users.len() <= 1, "the seed {seed} runs in {users:?}");
        }
    }

    pub(super) fn settle(&mut self) {
        for _ in 0..12 {
            for name in NAMES {
                self.reconcile(name, Fault::default());
                self.kubernetes();
                self.check();
            }
        }
        for name in NAMES {
            assert_eq!(self.reconcile(name, Fault::default()), 0, "{name} is at rest");
        }
        let is_wanted = |name: &str| self.nodes.get(name).is_some_and(|node| !node.spec.suspended);
        let is_foreign = |name: &str| {
            let set = self.objects.get(&key("StatefulSet", name));
            let is_left =
                |set: &Value| !self.nodes.contains_key(name) && !set["metadata"]["ownerReferences"][0].is_object();
            set.is_some_and(|set| !is_ours(set) || is_left(set))
        };
        let is_orphan = |pod: &Value| !pod["metadata"]["ownerReferences"][0].is_object();
        let runs = |name: &&str| self.pods.contains_key(&labels::pod_name(name));
        // This state stays until a person acts.
        if self.moved_seeds || NAMES.iter().any(|name| is_foreign(name)) || self.pods.values().any(is_orphan) {
            return;
        }
        for name in NAMES {
            assert!(
                is_wanted(name) || !runs(&name),
                "{name} is suspended or deleted and runs"
            );
        }
        assert_eq!(runs(&"c"), is_wanted("c"), "c has its own seed");
        let shared = ["a", "b"].iter().filter(|name| runs(name)).count();
        assert_eq!(
            shared > 0,
            is_wanted("a") || is_wanted("b"),
            "one of two with one seed runs"
        );
    }
}
