//! Counts the operator's calls in the API server's audit log, which `CLUSTER_AUDIT=1` switches on.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use stellar_k8s::labels;

use crate::TestEnv;

/// The entries of the audit log for one operator.
#[derive(Debug)]
pub struct Audit {
    log: PathBuf,
    user: String,
}

/// Calls by verb and resource.
#[derive(Clone, Debug, Default)]
pub struct Calls(BTreeMap<String, usize>);

impl Audit {
    /// The entries for the operator of this test.
    pub fn of(env: &TestEnv) -> Self {
        let directory = std::env::var_os("STELLAR_TEST_CLUSTER_DIR").expect("a cluster made by tests/cluster");
        let log = Path::new(&directory).join("audit.log");
        assert!(log.exists(), "run it with: make scale, or make soak");
        Self {
            log,
            user: format!("system:serviceaccount:{}:stellar-operator", env.namespace()),
        }
    }

    /// All answered calls so far, except watches that are still open.
    pub fn calls(&self) -> Calls {
        let text = std::fs::read_to_string(&self.log).expect("the audit log");
        let mut calls = Calls::default();
        for line in text.lines().filter(|line| line.contains(&self.user)) {
            let Ok(event) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            if event["user"]["username"] != self.user || event["stage"] == "ResponseStarted" {
                continue;
            }
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let object = &event["objectRef"];
            let mut what = format!("{} {}", word(&event["verb"]), word(&object["resource"]));
            if object["name"] == labels::LEADER_LEASE {
                what.push_str(" (leader)");
            }
            *calls.0.entry(what).or_default() += 1;
        }
        calls
    }

    /// The number of writes, except those of the leader's Lease.
    pub fn writes(&self) -> usize {
        self.calls().writes()
    }
}

impl Calls {
    /// The calls since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let added = self.0.iter().filter_map(|(what, count)| {
            let added = count - before.0.get(what).unwrap_or(&0);
            (added > 0).then(|| (what.clone(), added))
        });
        Self(added.collect())
    }

    /// Calls with this verb.
    pub fn count(&self, verb: &str) -> usize {
        let of_verb = |what: &str| what.split(' ').next() == Some(verb);
        self.0
            .iter()
            .filter(|(what, _)| of_verb(what))
            .map(|(_, count)| count)
            .sum()
    }

    /// Calls of every kind.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// Calls of one verb for one resource.
    pub fn of(&self, what: &str) -> usize {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// Calls that change an object, except the leader's Lease.
    pub fn writes(&self) -> usize {
        let reads = ["get", "list", "watch"];
        let is_write = |what: &str| !reads.iter().any(|verb| what.starts_with(verb)) && !what.ends_with("(leader)");
        self.0
            .iter()
            .filter(|(what, _)| is_write(what))
            .map(|(_, count)| count)
            .sum()
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(what, count)| format!("{count} × {what}")).collect();
        formatter.write_str(&all.join(", "))
    }
}
