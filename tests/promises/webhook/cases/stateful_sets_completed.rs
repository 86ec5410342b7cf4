//! The defaults that a validator's StatefulSet gets before it is stored, and the StatefulSets that get none.

use serde_json::{Value, json};
use test_kit::{Options, TestEnv};

use super::objects::{annotated, configured, labels, port_annotation, stateful_set, unlabelled, with};
use super::request::Step;
use super::{Case, check};

const ANNOTATION: &str = "/metadata/annotations/stellar.org~1peer-port";
const FIRST_ENV: &str = "/spec/template/spec/containers/0/env";
const FIRST_PORTS: &str = "/spec/template/spec/containers/0/ports";
const SECOND_ENV: &str = "/spec/template/spec/containers/1/env";
const SECOND_PORTS: &str = "/spec/template/spec/containers/1/ports";

/// The reference to a list.
fn reference(list: &str) -> Value {
    let key = json!({ "name": list, "key": "KNOWN_PEERS", "optional": true });
    json!({ "name": "KNOWN_PEERS", "valueFrom": { "configMapKeyRef": key } })
}

fn env() -> Value {
    json!([reference("stellar-peers")])
}

fn port(name: &str, number: u16) -> Value {
    json!({ "name": name, "containerPort": number, "protocol": "TCP" })
}

fn container(name: &str) -> Value {
    json!({ "name": name })
}

fn with_port(name: &str, port: &Value) -> Value {
    json!({ "name": name, "ports": [port] })
}

/// How the webhook finds the container of stellar-core.
fn core_containers() -> Vec<Case> {
    let second = |case: &'static str, name: &str, core: Value| {
        Case::create(case, stateful_set(name, &[container("exporter"), core]))
            .stores(SECOND_ENV, env())
            .lacks(FIRST_ENV)
            .lacks(FIRST_PORTS)
    };
    let ports = || json!([port("peer", 11625)]);
    vec![
        second("the one named stellar-core", "by-name", container("stellar-core")).stores(SECOND_PORTS, ports()),
        second("the one named core", "by-core", container("core")).stores(SECOND_PORTS, ports()),
        second("the one named stellar-node", "by-node", container("stellar-node")).stores(SECOND_PORTS, ports()),
        second(
            "the one with a port named peer",
            "by-peer",
            with_port("main", &port("peer", 21625)),
        )
        .stores(ANNOTATION, json!("21625")),
        second(
            "the one with a port named core-peer",
            "by-core-peer",
            with_port("main", &port("core-peer", 11625)),
        ),
        second(
            "the one with the port 11625",
            "by-number",
            with_port("main", &port("overlay", 11625)),
        )
        .stores(SECOND_PORTS, json!([port("overlay", 11625)])),
        Case::create("the only one", stateful_set("only", &[container("main")])).stores(FIRST_ENV, env()),
        Case::create(
            "no container is known as stellar-core",
            stateful_set("unknown", &[container("main"), container("exporter")]),
        )
        .lacks(FIRST_ENV)
        .lacks(SECOND_ENV)
        .lacks(ANNOTATION)
        .warns("no container of the pod is known as stellar-core"),
    ]
}

/// The added fields.
fn additions() -> Vec<Case> {
    let mine = json!({ "name": "KNOWN_PEERS", "value": "10.0.0.1" });
    let other = json!({ "name": "LEVEL", "value": "info" });
    let by_hand = json!({ "metadata": { "labels": { "app.kubernetes.io/instance": "by-hand" } } });
    vec![
        Case::create(
            "an absent port and annotation are added",
            stateful_set("bare", &[container("core")]),
        )
        .stores(FIRST_PORTS, json!([port("peer", 11625)]))
        .stores(ANNOTATION, json!("11625")),
        Case::create(
            "a declared port is kept and annotated",
            stateful_set("declared", &[with_port("core", &port("peer", 21625))]),
        )
        .stores(FIRST_PORTS, json!([port("peer", 21625)]))
        .stores(ANNOTATION, json!("21625")),
        Case::create(
            "an annotated port is declared",
            annotated("annotated", "21625", &[container("core")]),
        )
        .stores(FIRST_PORTS, json!([port("peer", 21625)]))
        .stores(ANNOTATION, json!("21625")),
        Case::create(
            "other variables and ports are kept",
            stateful_set(
                "others",
                &[json!({ "name": "core", "env": [other], "ports": [port("metrics", 9473)] })],
            ),
        )
        .stores(FIRST_ENV, json!([other, reference("stellar-peers")]))
        .stores(FIRST_PORTS, json!([port("metrics", 9473), port("peer", 11625)])),
        Case::create(
            "a KNOWN_PEERS of the author is left alone",
            stateful_set("own-peers", &[json!({ "name": "core", "env": [mine] })]),
        )
        .stores(FIRST_ENV, json!([mine]))
        .warns("container \"core\" sets KNOWN_PEERS itself and was left alone"),
        Case::create(
            "a complete StatefulSet is left unchanged",
            annotated(
                "complete",
                "11625",
                &[json!({ "name": "core", "env": env(), "ports": [port("peer", 11625)] })],
            ),
        )
        .stores(FIRST_ENV, env())
        .stores(FIRST_PORTS, json!([port("peer", 11625)])),
        Case::create(
            "list and port come from the StellarNode",
            with(stateful_set("of-a-node", &[container("core")]), by_hand),
        )
        .after(Step::create(configured(
            "by-hand",
            json!({ "peerPort": 21625, "knownPeersRef": { "name": "ours" } }),
        )))
        .stores(FIRST_ENV, json!([reference("ours")]))
        .stores(FIRST_PORTS, json!([port("peer", 21625)]))
        .stores(ANNOTATION, json!("21625")),
    ]
}

/// A StatefulSet that was stored before it had the labels of a validator.
fn older(case: &'static str, name: &str, patch: Value) -> Case {
    let stored = unlabelled(name, &[container("core")]);
    let known = Step::patch(&stored, json!({ "metadata": { "labels": labels() } }));
    Case::new(case, Step::patch(&stored, patch))
        .after(Step::create(stored))
        .after(known)
}

fn updates() -> Vec<Case> {
    let nothing = |case: Case| case.lacks(FIRST_ENV).lacks(FIRST_PORTS);
    let other = json!({ "metadata": { "labels": {
        "app.kubernetes.io/name": "stellar-node", "app.kubernetes.io/component": "horizon",
    } } });
    let scaled = unlabelled("scaled", &[container("core")]);
    vec![
        nothing(Case::create(
            "an unlabelled StatefulSet",
            unlabelled("anybody", &[container("core")]),
        ))
        .lacks(ANNOTATION),
        nothing(Case::create(
            "a StatefulSet of a Horizon server",
            with(unlabelled("horizon", &[container("core")]), other),
        ))
        .lacks(ANNOTATION),
        nothing(older("annotating an older one", "annotating", port_annotation("21625")))
            .stores(ANNOTATION, json!("21625")),
        nothing(older(
            "labelling an older one",
            "labelling",
            json!({ "metadata": { "labels": { "team": "a" } } }),
        )),
        nothing(
            Case::new(
                "scaling an older one",
                Step::patch(&scaled, json!({ "spec": { "replicas": 1 } })).dry(),
            )
            .after(Step::create(scaled.clone()))
            .after(Step::patch(&scaled, json!({ "metadata": { "labels": labels() } }))),
        )
        .stores("/spec/replicas", json!(1)),
        older(
            "changing the template of an older one",
            "template",
            json!({ "spec": { "template": { "metadata": { "labels": { "team": "a" } } } } }),
        )
        .stores("/spec/template/metadata/labels/team", json!("a"))
        .stores(FIRST_ENV, env())
        .stores(FIRST_PORTS, json!([port("peer", 11625)]))
        .stores(ANNOTATION, json!("11625")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_validator_stateful_set_fields_get_defaults() {
    let namespace = TestEnv::start("cases-sets-completed", Options::default()).await;
    let tables = [core_containers(), additions(), updates()];
    check(&namespace, tables.into_iter().flatten().collect()).await;
}
