//! StatefulSets of validators with contradictory settings.

use serde_json::{Value, json};
use test_kit::{Options, TestEnv};

use super::objects::{annotated, labels, port_annotation, restricted, stateful_set, unlabelled, with};
use super::request::Step;
use super::{Case, check};

const ANNOTATION: &str = "metadata.annotations[stellar.org/peer-port]";
const PORTS: &str = "spec.template.spec.containers[0].ports";
const DECLARED: &str = "spec.template.spec.containers[0].ports[0].containerPort";

fn core(ports: &Value) -> Value {
    json!({ "name": "stellar-core", "ports": ports })
}

fn peer(number: i64) -> Value {
    core(&json!([{ "name": "peer", "containerPort": number }]))
}

fn exporter(port: &Value) -> Value {
    json!({ "name": "exporter", "ports": [port] })
}

fn created() -> Vec<Case> {
    let bare = || core(&json!([]));
    let sidecar = |name: &str, policy: Value| {
        let container = json!({ "name": "init", "restartPolicy": policy, "ports": [{ "containerPort": 11625 }] });
        let containers = json!({ "initContainers": [restricted(container)] });
        with(
            stateful_set(name, &[peer(11625)]),
            json!({ "spec": { "template": { "spec": containers } } }),
        )
    };
    vec![
        Case::create(
            "an annotation that is not a number",
            annotated("word", "peer", &[bare()]),
        )
        .invalid(ANNOTATION, "\"peer\" is not a port"),
        Case::create("an annotation out of range", annotated("range", "70000", &[bare()]))
            .invalid(ANNOTATION, "\"70000\" is not a port"),
        Case::create(
            "an annotation with the HTTP port",
            annotated("http", "11626", &[bare()]),
        )
        .invalid(ANNOTATION, "HTTP port"),
        Case::create("an annotation below 1024", annotated("low", "80", &[bare()]))
            .warns("metadata.annotations[stellar.org/peer-port]: \"80\" is below 1024")
            .warns("spec.template.spec.containers[0].ports[0].containerPort: 80 is below 1024"),
        Case::create(
            "a declared port that is the HTTP port",
            stateful_set("declared-http", &[peer(11626)]),
        )
        .invalid(DECLARED, "HTTP port"),
        Case::create(
            "annotation and port differ",
            annotated("differ", "21625", &[peer(11625)]),
        )
        .invalid(DECLARED, "11625 is not the 21625 of the annotation"),
        Case::create("annotation and port agree", annotated("agree", "21625", &[peer(21625)])),
        Case::create(
            "the port of another container",
            stateful_set("taken", &[bare(), exporter(&json!({ "containerPort": 11625 }))]),
        )
        .invalid(PORTS, "11625 is already the port of container \"exporter\""),
        Case::create(
            "the port of another container, by another protocol",
            stateful_set(
                "udp",
                &[bare(), exporter(&json!({ "containerPort": 11625, "protocol": "UDP" }))],
            ),
        ),
        Case::create(
            "the port of an init container that keeps running",
            sidecar("sidecar", json!("Always")),
        )
        .invalid(PORTS, "11625 is already the port of container \"init\"")
        // The API server's own warning.
        .warns("duplicate port definition"),
        Case::create("the port of an init container that ends", sidecar("init", Value::Null))
            .warns("duplicate port definition"),
        Case::new(
            "two pods with one seed",
            Step::create(with(
                stateful_set("two", &[bare()]),
                json!({ "spec": { "replicas": 2 } }),
            ))
            .dry(),
        )
        .warns("spec.replicas: 2 pods of one validator"),
        Case::create(
            "a misspelled annotation",
            with(
                stateful_set("slip", &[bare()]),
                json!({ "metadata": { "annotations": { "stellar.org/peer-prot": "21625" } } }),
            ),
        )
        .warns("did you mean stellar.org/peer-port?"),
        Case::create(
            "a StatefulSet of no validator",
            with(unlabelled("nobody", &[bare()]), port_annotation("70000")),
        ),
    ]
}

/// A StatefulSet that was stored with a problem before it had the labels of a validator.
fn known_late(name: &str) -> (Value, Step) {
    let stored = with(unlabelled(name, &[peer(11625)]), port_annotation("70000"));
    let known = Step::patch(&stored, json!({ "metadata": { "labels": labels() } }));
    (stored, known)
}

fn changed() -> Vec<Case> {
    let template = || json!({ "spec": { "template": { "metadata": { "labels": { "team": "a" } } } } });
    let late = |case: &'static str, name: &str, patch: Value| {
        let (stored, known) = known_late(name);
        Case::new(case, Step::patch(&stored, patch))
            .after(Step::create(stored))
            .after(known)
    };
    let deleted = stateful_set("deleted", &[peer(11625)]);
    vec![
        Case::patch(
            "an annotation is changed to an invalid port",
            stateful_set("wrong", &[peer(11625)]),
            port_annotation("70000"),
        )
        .invalid(ANNOTATION, "\"70000\" is not a port"),
        Case::patch(
            "an annotation is changed to another port",
            stateful_set("other", &[peer(11625)]),
            port_annotation("21625"),
        )
        .invalid(DECLARED, "11625 is not the 21625 of the annotation"),
        Case::patch(
            "the port is changed without the annotation",
            stateful_set("alone", &[peer(11625)]),
            json!({ "spec": { "template": { "spec": { "containers": [restricted(peer(21625))] } } } }),
        )
        .warns("metadata.annotations[stellar.org/peer-port]: changed to 21625"),
        Case::patch(
            "annotation and port are changed together",
            stateful_set("together", &[peer(11625)]),
            with(
                port_annotation("21625"),
                json!({ "spec": { "template": { "spec": { "containers": [restricted(peer(21625))] } } } }),
            ),
        ),
        late("an old problem causes a warning", "told", template())
            .warns("as before, metadata.annotations[stellar.org/peer-port]"),
        late(
            "an old problem cannot become another problem",
            "another",
            port_annotation("0"),
        )
        .invalid(ANNOTATION, "\"0\" is not a port"),
        late("an old problem is corrected", "right", port_annotation("11625")),
        late(
            "scaling does not call the webhook",
            "scaled",
            json!({ "spec": { "minReadySeconds": 1 } }),
        ),
        Case::new("a deletion does not call the webhook", Step::delete(&deleted)).after(Step::create(deleted)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn contradictory_validator_stateful_sets_are_refused() {
    let env = TestEnv::start("cases-sets-judged", Options::default()).await;
    check(&env, [created(), changed()].into_iter().flatten().collect()).await;
}
