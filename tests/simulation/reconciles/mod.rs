//! The StellarNode controller on a simulated API server, with random user actions, refused writes and crashes of the
//! operator: no seed runs twice, no running pod gets a new template, and in the end everything is at rest.

mod checks;
mod cluster;
mod kubernetes;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use cluster::{Cluster, Deed, Fault, NAMES, replicas};

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => Just(Deed::Create),
        2 => Just(Deed::Delete),
        2 => Just(Deed::ChangeVersion),
        2 => Just(Deed::Suspend),
        3 => Just(Deed::Resume),
        1 => Just(Deed::MoveSeed),
        1 => (0..3).prop_map(Deed::Scale),
        1 => Just(Deed::EditService),
        1 => Just(Deed::DeleteService),
        2 => any::<bool>().prop_map(|orphan| Deed::DeleteSet { orphan }),
        1 => any::<bool>().prop_map(|ours| Deed::Label { ours }),
        1 => Just(Deed::Disown),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let some = || proptest::option::weighted(0.3, 0..4usize);
    (some(), some(), proptest::bool::weighted(0.1)).prop_map(|(dies_before, refuses, overtaken)| Fault {
        dies_before,
        refuses,
        overtaken,
    })
}

/// An action, the reconciles that follow with their faults, and whether Kubernetes acts in between.
type Moment = (usize, Deed, Vec<(usize, Fault, bool)>);

fn moment() -> impl Strategy<Value = Moment> {
    let reconciles = proptest::collection::vec((0..NAMES.len(), fault(), any::<bool>()), 0..4);
    (0..NAMES.len(), deed(), reconciles)
}

fn live(moments: Vec<Moment>) -> Cluster {
    let mut cluster = Cluster::default();
    for (index, deed, reconciles) in moments {
        cluster.happen(NAMES[index], deed);
        for (index, fault, kubernetes_acts) in reconciles {
            cluster.reconcile(NAMES[index], fault);
            if kubernetes_acts {
                cluster.kubernetes();
            }
            cluster.check();
        }
    }
    cluster
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn no_seed_runs_twice_and_every_history_converges(
        moments in proptest::collection::vec(moment(), 1..25),
    ) {
        live(moments).settle();
    }
}

fn reconciled(name: &'static str) -> Cluster {
    let mut cluster = Cluster::default();
    cluster.happen(name, Deed::Create);
    cluster.settle();
    cluster
}

#[test]
fn an_operator_killed_between_any_two_writes_completes_the_creation_later() {
    for dies_before in 0..4 {
        let mut cluster = Cluster::default();
        cluster.happen("a", Deed::Create);
        let fault = Fault {
            dies_before: Some(dies_before),
            ..Fault::default()
        };
        let done = cluster.reconcile("a", fault);
        assert_eq!(done, dies_before.min(3), "Service, config, StatefulSet");
        cluster.settle();
        assert!(cluster.pods.contains_key("a-0"));
    }
}

#[test]
fn the_second_validator_with_a_seed_starts_after_the_pod_of_the_first_is_gone() {
    let mut cluster = reconciled("a");
    cluster.happen("b", Deed::Create);
    cluster.settle();
    assert!(!cluster.pods.contains_key("b-0"));
    cluster.happen("a", Deed::Delete);
    cluster.reconcile("b", Fault::default());
    assert!(cluster.set("b").is_none(), "the pod of `a` still runs");
    cluster.settle();
    assert!(cluster.pods.contains_key("b-0"));
}

#[test]
fn a_refused_write_changes_no_running_pod_and_is_retried() {
    let mut cluster = reconciled("a");
    cluster.happen("a", Deed::Suspend);
    let refuses = Some(0);
    cluster.reconcile(
        "a",
        Fault {
            refuses,
            ..Fault::default()
        },
    );
    assert!(replicas(cluster.set("a").unwrap()) == 1);
    cluster.settle();
    assert!(!cluster.pods.contains_key("a-0"));
    cluster.happen("a", Deed::ChangeVersion);
    cluster.happen("a", Deed::Resume);
    cluster.settle();
    assert!(
        cluster.pods["a-0"].to_string().contains("26.1.0"),
        "a stopped validator gets its current template"
    );
}

#[test]
fn an_orphaned_pod_keeps_its_template_and_restarts_only_in_its_slot() {
    let mut cluster = reconciled("a");
    let before = cluster.pods["a-0"]["spec"].clone();
    cluster.happen("a", Deed::ChangeVersion);
    cluster.settle();
    cluster.happen("a", Deed::DeleteSet { orphan: true });
    cluster.settle();
    assert_eq!(cluster.pods["a-0"]["spec"], before);
    cluster.happen("a", Deed::Disown);
    cluster.settle();
    assert!(
        cluster.set("a").unwrap()["metadata"]["ownerReferences"][0].is_object(),
        "the StatefulSet is adopted"
    );
}
