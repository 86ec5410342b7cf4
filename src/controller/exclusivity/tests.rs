//! Who of several validators with one seed or database is to run, by their specs.

use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use crate::controller::exclusivity::*;

fn node(name: &str, second: u32, seed: &str) -> Value {
    json!({
        "apiVersion": "stellar.org/v1alpha1", "kind": "StellarNode",
        "metadata": {
            "name": name, "namespace": "stellar", "uid": format!("uid-{name}"),
            "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
        },
        "spec": {
            "nodeType": "Validator", "network": "testnet", "version": "26.0.1",
            "validatorConfig": { "seedSecretRef": seed },
        },
    })
}

fn read(node: &Value) -> StellarNode {
    serde_json::from_value(node.clone()).unwrap()
}

fn claim(claims: &Claims, what: Exclusive, node: &StellarNode) {
    claims.start(node, &[what]).unwrap().claim(node);
}

/// What `node` would be told, as far as specs and claims say it.
fn holder(claims: &Claims, what: Exclusive, node: &StellarNode, nodes: &[Arc<GuardedNode>]) -> Option<String> {
    let contest = Contest {
        kinds: vec![what],
        nodes: nodes.to_vec(),
        claimed: claims.start(node, &[what])?.claimed(),
        ..Contest::default()
    };
    Some(contest.in_use(node, None)?.holder.name().to_owned())
}

fn names(node: &Value, all: &[&Value]) -> (Vec<String>, Option<String>) {
    let all: Vec<Arc<GuardedNode>> = all
        .iter()
        .map(|node| Arc::new(DeserializeGuard(Ok(read(node)))))
        .collect();
    let node = read(node);
    let rivals = rivals(&node, Exclusive::Seed, &all);
    let elder = elder(&node, Exclusive::Seed, None, &rivals).map(ResourceExt::name_any);
    (rivals.iter().map(|rival| rival.name_any()).collect(), elder)
}

#[test]
fn what_is_taken_into_use_and_who_has_it() {
    let set = |replicas: i32, was_member: bool| {
        let annotations = if was_member {
            json!({ labels::MEMBER: "{}" })
        } else {
            json!({})
        };
        let spec = json!({ "replicas": replicas, "selector": {}, "serviceName": "a", "template": {} });
        serde_json::from_value::<StatefulSet>(json!({ "metadata": { "annotations": annotations }, "spec": spec }))
            .unwrap()
    };
    let (fresh, once) = (set(0, false), set(0, true));
    let both = vec![Exclusive::Seed, Exclusive::Database];
    for (is_to_run, stored, expected) in [
        (true, None, both.clone()),
        (false, None, vec![Exclusive::Database]),
        (true, Some(&fresh), both),
        (false, Some(&fresh), vec![]),
        (true, Some(&once), vec![Exclusive::Seed]),
        (true, Some(&set(1, false)), vec![]),
    ] {
        assert_eq!(taken_into_use(is_to_run, stored), expected, "{is_to_run} {stored:?}");
    }
    assert!(has_it(&set(1, false), Exclusive::Seed, None) && !has_it(&once, Exclusive::Seed, None));
    assert!(has_it(&fresh, Exclusive::Database, None), "it may have made it");
    assert!(has_it(&once, Exclusive::Database, Some(&fresh)) && !has_it(&fresh, Exclusive::Database, Some(&fresh)));
}

#[test]
fn a_database_is_the_elders_also_while_that_is_suspended_and_whatever_its_network() {
    let with = |name: &str, second: u32, key: &str| {
        let mut node = node(name, second, name);
        let reference = json!({ "secretKeyRef": { "name": "postgres", "key": key } });
        node["spec"]["validatorConfig"]["database"] = reference;
        node
    };
    let (mut elder, mut younger, other) = (with("elder", 1, "a"), with("younger", 2, "a"), with("other", 1, "b"));
    elder["spec"]["suspended"] = json!(true);
    younger["spec"]["network"] = json!("futurenet");
    let guarded = |node: &Value| Arc::new(DeserializeGuard(Ok(read(node))));
    let all = [&elder, &younger, &other, &node("without", 1, "seed")].map(guarded);
    let before = |node: &Value| {
        let node = read(node);
        let rivals = rivals(&node, Exclusive::Database, &all);
        let elder = super::elder(&node, Exclusive::Database, None, &rivals).map(ResourceExt::name_any);
        let claims = Claims::default();
        rivals
            .iter()
            .for_each(|rival| claim(&claims, Exclusive::Database, rival));
        (elder, holder(&claims, Exclusive::Database, &node, &all))
    };
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(before(&younger), (name("elder"), name("elder")));
    assert_eq!(before(&elder), (None, name("younger")));
    assert_eq!(before(&other), (None, None));
    assert_eq!(before(&node("without", 1, "seed")), (None, None));
}

#[test]
fn the_elder_runs_and_at_one_time_the_uid_decides() {
    let (a, b, c) = (node("a", 1, "seed"), node("b", 2, "seed"), node("c", 2, "seed"));
    let all = [&a, &b, &c];
    assert_eq!(names(&a, &all).1, None);
    assert_eq!(names(&b, &all).1.as_deref(), Some("a"));
    assert_eq!(names(&c, &[&b, &c]).1.as_deref(), Some("b"));
    assert_eq!(names(&b, &[&b, &c]).1, None);
}

#[test]
fn only_one_seed_on_one_network_makes_rivals() {
    let mine = node("mine", 5, "seed");
    let other_secret = node("other-secret", 1, "another");
    let mut other_network = node("other-network", 1, "seed");
    other_network["spec"]["network"] = json!("futurenet");
    let mut elsewhere = node("elsewhere", 1, "seed");
    elsewhere["metadata"]["namespace"] = json!("other");
    let mut horizon = node("horizon", 1, "seed");
    horizon["spec"]["nodeType"] = json!("Horizon");
    let mut suspended = node("suspended", 1, "seed");
    suspended["spec"]["suspended"] = json!(true);
    let mut spelled = node("spelled", 9, "seed");
    spelled["spec"]["network"] = json!("Testnet");
    let all = [
        &mine,
        &other_secret,
        &other_network,
        &elsewhere,
        &horizon,
        &suspended,
        &spelled,
    ];
    let (rivals, elder) = names(&mine, &all);
    assert_eq!(rivals, ["suspended", "spelled"]);
    assert_eq!(elder, None, "a suspended one is not to run");
}

#[test]
fn a_validator_keeps_its_claim_until_it_is_deleted_or_suspended() {
    let claims = Claims::default();
    let (older, younger) = (read(&node("older", 1, "seed")), read(&node("younger", 2, "seed")));
    let guarded = |node: &StellarNode| Arc::new(DeserializeGuard(Ok(node.clone())));
    let both = [guarded(&older), guarded(&younger)];
    // The younger one was seen first.
    assert_eq!(holder(&claims, Exclusive::Seed, &younger, &[]), None);
    claim(&claims, Exclusive::Seed, &younger);
    assert_eq!(
        holder(&claims, Exclusive::Seed, &older, &both).as_deref(),
        Some("younger")
    );
    assert_eq!(
        holder(&claims, Exclusive::Seed, &younger, &both).as_deref(),
        Some("older"),
        "by age"
    );
    let mut suspended = younger.clone();
    suspended.spec.suspended = true;
    assert_eq!(holder(&claims, Exclusive::Seed, &older, &[guarded(&suspended)]), None);
    claim(&claims, Exclusive::Seed, &older);
    assert_eq!(
        holder(&claims, Exclusive::Seed, &younger, &both).as_deref(),
        Some("older")
    );
    assert_eq!(
        holder(&claims, Exclusive::Seed, &younger, &[]),
        None,
        "the older one is gone"
    );
}

#[test]
fn of_two_starts_with_one_seed_the_second_waits_until_the_first_is_written() {
    let claims = Claims::default();
    let [a, b, other] = [("a", "seed"), ("b", "seed"), ("c", "other")].map(|(name, seed)| read(&node(name, 1, seed)));
    let kinds = [Exclusive::Seed, Exclusive::Database];
    let first = claims.start(&a, &kinds);
    assert!(first.is_some() && claims.start(&b, &kinds).is_none());
    assert!(claims.start(&other, &kinds).is_some());
    drop(first);
    assert!(claims.start(&b, &kinds).is_some());
    assert!(claims.start(&b, &kinds).is_some(), "what did not go on is forgotten");
}
