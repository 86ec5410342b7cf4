//! One case for each rule of the additions.

use serde_json::{Value, json};

use super::context::NoContext;
use super::fixtures::{Known, horizon, stateful_set, validator, with};
use super::mutate::{apply, mutate};
use super::validate::validate;

fn reference(name: &str) -> Value {
    json!({ "name": "KNOWN_PEERS", "valueFrom": { "configMapKeyRef": { "name": name, "key": "KNOWN_PEERS", "optional": true } } })
}

pub(super) fn mutated(object: &Value) -> Value {
    let mut object = object.clone();
    apply(&mut object, &NoContext).expect("the patch applies");
    object
}

fn core_env(object: &Value, container: usize) -> &Value {
    &object["spec"]["template"]["spec"]["containers"][container]["env"]
}

#[test]
fn a_validator_gets_its_port_and_its_list() {
    let stored = mutated(&validator("v1"));
    assert_eq!(stored["spec"]["validatorConfig"]["peerPort"], 11625);
    assert_eq!(
        stored["spec"]["validatorConfig"]["knownPeersRef"],
        json!({ "name": "stellar-peers", "key": "KNOWN_PEERS" })
    );
    let own = with(validator("v1"), "/spec/validatorConfig/peerPort", &json!(11700));
    let own = with(
        own,
        "/spec/validatorConfig/knownPeersRef",
        &json!({ "name": "mine", "key": "KNOWN_PEERS" }),
    );
    assert_eq!(mutated(&own), own);
    let bad = with(own, "/spec/validatorConfig/peerPort", &json!(70000));
    assert_eq!(mutated(&bad), bad, "what is wrong is for validation to refuse");
}

#[test]
fn other_objects_are_left_alone() {
    let unlabelled = with(
        stateful_set(&json!([{ "name": "core" }])),
        "/metadata/labels/app.kubernetes.io~1component",
        &json!("horizon"),
    );
    for object in [horizon(), unlabelled, json!({ "kind": "Pod" }), json!(null), json!([1])] {
        assert_eq!(mutated(&object), object);
    }
}

#[test]
fn a_stateful_set_gets_env_port_and_annotation() {
    let stored = mutated(&stateful_set(&json!([{ "name": "stellar-core" }])));
    assert_eq!(*core_env(&stored, 0), json!([reference("stellar-peers")]));
    assert_eq!(
        stored["spec"]["template"]["spec"]["containers"][0]["ports"],
        json!([{ "name": "peer", "containerPort": 11625, "protocol": "TCP" }])
    );
    assert_eq!(
        stored["metadata"]["annotations"],
        json!({ "stellar.org/peer-port": "11625" })
    );
}

#[test]
fn the_core_container_is_found() {
    let port = |name: &str, number: u16| json!([{ "name": name, "containerPort": number }]);
    for (containers, core) in [
        (json!([{ "name": "x" }, { "name": "stellar-core" }]), Some(1)),
        (json!([{ "name": "core" }, { "name": "stellar-core" }]), Some(1)),
        (json!([{ "name": "x" }, { "name": "core" }]), Some(1)),
        (json!([{ "name": "x" }, { "name": "stellar-node" }]), Some(1)),
        (json!([{ "name": "only" }]), Some(0)),
        (
            json!([{ "name": "x" }, { "name": "y", "ports": port("peer", 1234) }]),
            Some(1),
        ),
        (
            json!([{ "name": "x" }, { "name": "y", "ports": port("core-peer", 1234) }]),
            Some(1),
        ),
        (
            json!([{ "name": "x" }, { "name": "y", "ports": port("p", 11625) }]),
            Some(1),
        ),
        (
            json!([{ "name": "x" }, { "name": "y", "ports": port("p", 1234) }]),
            None,
        ),
    ] {
        let object = stateful_set(&containers);
        let mutation = mutate(&object, None, &NoContext);
        let stored = mutated(&object);
        for index in 0..containers.as_array().unwrap().len() {
            assert_eq!(core_env(&stored, index).is_array(), core == Some(index), "{containers}");
        }
        assert_eq!(mutation.warnings.len(), usize::from(core.is_none()), "{containers}");
        if core.is_none() {
            assert_eq!(stored, object);
        }
    }
}

#[test]
fn the_port_is_declared_once() {
    for (ports, annotation) in [
        (json!([{ "name": "p", "containerPort": 11625 }]), "11625"),
        (json!([{ "name": "core-peer", "containerPort": 11700 }]), "11700"),
        (json!([{ "name": "peer", "containerPort": 11700 }]), "11700"),
    ] {
        let stored = mutated(&stateful_set(&json!([{ "name": "core", "ports": ports }])));
        assert_eq!(stored["spec"]["template"]["spec"]["containers"][0]["ports"], ports);
        assert_eq!(stored["metadata"]["annotations"]["stellar.org/peer-port"], annotation);
    }
}

#[test]
fn what_cannot_be_the_port_is_refused_only_where_it_was_written() {
    let annotation = "metadata.annotations[stellar.org/peer-port]";
    let core = |ports: Value| stateful_set(&json!([{ "name": "core", "ports": ports }]));
    let annotated = with(
        core(json!([])),
        "/metadata/annotations",
        &json!({ "stellar.org/peer-port": "11626" }),
    );
    let beside = stateful_set(&json!([
        { "name": "core" },
        { "name": "exporter", "ports": [{ "containerPort": 11625 }] },
    ]));
    for (object, field) in [
        (annotated, annotation),
        (
            core(json!([{ "name": "peer", "containerPort": 11626 }])),
            "spec.template.spec.containers[0].ports[0].containerPort",
        ),
        (
            core(json!([{ "name": "peer", "containerPort": 70000 }])),
            "spec.template.spec.containers[0].ports[0].containerPort",
        ),
        (beside, "spec.template.spec.containers[0].ports"),
    ] {
        let verdict = validate(&mutated(&object), None, &NoContext);
        let fields: Vec<&str> = verdict.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, [field], "{object}");
    }
}

#[test]
fn an_annotation_that_is_no_text_is_left_alone() {
    let object = with(
        stateful_set(&json!([{ "name": "core" }])),
        "/metadata/annotations",
        &json!({ "stellar.org/peer-port": 11700 }),
    );
    assert_eq!(mutated(&object)["metadata"], object["metadata"]);
}

#[test]
fn an_env_of_the_users_own_is_left_alone_and_told() {
    for env in [
        json!([{ "name": "KNOWN_PEERS", "value": "10.0.0.1" }]),
        json!([reference("another")]),
    ] {
        let object = stateful_set(&json!([{ "name": "core", "env": env }]));
        let mutation = mutate(&object, None, &NoContext);
        assert!(mutation.warnings[0].contains("left alone"), "{mutation:?}");
        assert_eq!(*core_env(&mutated(&object), 0), env);
    }
    let others = json!([{ "name": "A", "value": "b" }]);
    let stored = mutated(&stateful_set(&json!([{ "name": "core", "env": others }])));
    assert_eq!(
        *core_env(&stored, 0),
        json!([{ "name": "A", "value": "b" }, reference("stellar-peers")])
    );
}

#[test]
fn its_stellar_node_says_list_and_port() {
    let node = with(validator("v1"), "/spec/validatorConfig/peerPort", &json!(11700));
    let node = with(node, "/spec/validatorConfig/knownPeersRef", &json!({ "name": "mine" }));
    let context = Known(vec![node]);
    let owners = json!([{ "apiVersion": "stellar.org/v1alpha1", "kind": "StellarNode", "name": "v1", "uid": "1" }]);
    let owned = with(
        stateful_set(&json!([{ "name": "core" }])),
        "/metadata/ownerReferences",
        &owners,
    );
    let mut stored = owned.clone();
    assert_eq!(
        apply(&mut stored, &context).expect("the patch applies"),
        Vec::<String>::new()
    );
    assert_eq!(*core_env(&stored, 0), json!([reference("mine")]));
    assert_eq!(
        stored["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"],
        11700
    );
    assert_eq!(stored["metadata"]["annotations"], Value::Null, "a StellarNode owns it");
}

#[test]
fn a_template_that_the_request_does_not_change_is_left_alone() {
    let old = stateful_set(&json!([{ "name": "core" }]));
    let scaled = with(old.clone(), "/spec/replicas", &json!(0));
    let mut stored = scaled.clone();
    json_patch::patch(&mut stored, &mutate(&scaled, Some(&old), &NoContext).patch).expect("the patch applies");
    assert_eq!(stored["spec"], scaled["spec"]);
    let changed = with(old.clone(), "/spec/template/spec/containers/0/image", &json!("core:2"));
    let mut stored = changed.clone();
    json_patch::patch(&mut stored, &mutate(&changed, Some(&old), &NoContext).patch).expect("the patch applies");
    assert_eq!(*core_env(&stored, 0), json!([reference("stellar-peers")]));
}

#[test]
fn the_annotation_follows_the_port_where_only_that_was_changed() {
    let on = |port: u16| {
        let ports = json!([{ "name": "peer", "containerPort": port }]);
        stateful_set(&json!([{ "name": "stellar-core", "ports": ports }]))
    };
    let annotated = |port: u16, annotation: &str| {
        let annotations = json!({ "stellar.org/peer-port": annotation });
        with(on(port), "/metadata/annotations", &annotations)
    };
    let stored = mutated(&on(11625));
    assert_eq!(stored["metadata"]["annotations"]["stellar.org/peer-port"], "11625");
    let after = |object: &Value, old: &Value| {
        let mut object = object.clone();
        let mutation = mutate(&object, Some(old), &NoContext);
        json_patch::patch(&mut object, &mutation.patch).unwrap();
        (
            object["metadata"]["annotations"]["stellar.org/peer-port"].clone(),
            mutation.warnings.len(),
        )
    };
    for (changed, old, expected) in [
        (annotated(11700, "11625"), &stored, ("11700", 1)),
        // The author sets the annotation, or an invalid port.
        (annotated(11700, "11800"), &stored, ("11800", 0)),
        (annotated(11625, "11800"), &stored, ("11800", 0)),
        (annotated(11626, "11625"), &stored, ("11625", 0)),
        (annotated(11700, "11625"), &annotated(11800, "11625"), ("11625", 0)),
        (annotated(11625, "11625"), &stored, ("11625", 0)),
    ] {
        let (annotation, warnings) = after(&changed, old);
        assert_eq!((annotation.as_str().unwrap(), warnings), expected, "{changed}");
    }
    // With either name of the port, no second one is added.
    let named = |port: u16| {
        let ports = json!([{ "name": "core-peer", "containerPort": port }]);
        with(
            stateful_set(&json!([{ "name": "stellar-core", "ports": ports }])),
            "/metadata/annotations",
            &json!({ "stellar.org/peer-port": "11625" }),
        )
    };
    let mut changed = named(11700);
    let patch = mutate(&changed, Some(&named(11625)), &NoContext).patch;
    json_patch::patch(&mut changed, &patch).unwrap();
    let ports = &changed["spec"]["template"]["spec"]["containers"][0]["ports"];
    assert_eq!(*ports, json!([{ "name": "core-peer", "containerPort": 11700 }]));
}
