//! One case for each rule of what is added, and what holds for every object.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::context::NoContext;
use super::fixtures::{Known, cases, horizon, stateful_set, validator, with};
use super::mutate::{apply, mutate};
use super::validate::validate;

fn reference(name: &str) -> Value {
    json!({ "name": "KNOWN_PEERS", "valueFrom": { "configMapKeyRef": { "name": name, "key": "KNOWN_PEERS", "optional": true } } })
}

fn mutated(object: &Value) -> Value {
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

/// Removes what the webhook may add.
fn without_additions(mut object: Value, before: &Value) -> Value {
    if object["kind"] == "StellarNode" {
        for field in ["peerPort", "knownPeersRef"] {
            if before["spec"]["validatorConfig"][field].is_null()
                && let Some(config) = object
                    .pointer_mut("/spec/validatorConfig")
                    .and_then(Value::as_object_mut)
            {
                config.remove(field);
            }
        }
        return object;
    }
    if before["metadata"]["annotations"].is_null() {
        object["metadata"].as_object_mut().unwrap().remove("annotations");
    } else if before["metadata"]["annotations"]["stellar.org/peer-port"].is_null() {
        object["metadata"]["annotations"]
            .as_object_mut()
            .unwrap()
            .remove("stellar.org/peer-port");
    }
    let containers = object
        .pointer_mut("/spec/template/spec/containers")
        .and_then(Value::as_array_mut);
    for (index, container) in containers.into_iter().flatten().enumerate() {
        let was = &before["spec"]["template"]["spec"]["containers"][index];
        for list in ["env", "ports"] {
            match was[list].as_array() {
                Some(old) => container[list].as_array_mut().unwrap().truncate(old.len()),
                None => drop(container.as_object_mut().unwrap().remove(list)),
            }
        }
    }
    object
}

fn port_number() -> impl Strategy<Value = i64> {
    prop_oneof![Just(11625), Just(11626), Just(11700), Just(80), Just(70000), Just(0)]
}

fn container() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["stellar-core", "core", "stellar-node", "exporter", "x"]);
    let port_name = prop::sample::select(vec!["peer", "core-peer", "http", ""]);
    let ports = prop::option::of(prop::collection::vec((port_name, port_number()), 0..3));
    let env = prop::option::of(prop::collection::vec(
        prop::sample::select(vec!["KNOWN_PEERS", "A", "B"]),
        0..3,
    ));
    (name, ports, env).prop_map(|(name, ports, env)| {
        let mut container = json!({ "name": name, "unknown": { "field": [1, 2.50, "ü"] } });
        if let Some(ports) = ports {
            container["ports"] = ports
                .into_iter()
                .map(|(name, number)| json!({ "name": name, "containerPort": number }))
                .collect();
        }
        if let Some(env) = env {
            container["env"] = env
                .into_iter()
                .map(|name| json!({ "name": name, "value": "v" }))
                .collect();
        }
        container
    })
}

fn any_stateful_set() -> impl Strategy<Value = Value> {
    let annotation = prop::option::of(prop::option::of(port_number()));
    (prop::collection::vec(container(), 0..4), annotation).prop_map(|(containers, annotation)| {
        let mut object = stateful_set(&Value::from(containers));
        match annotation {
            None => {}
            Some(None) => object["metadata"]["annotations"] = json!({ "other": "kept" }),
            Some(Some(port)) => {
                object["metadata"]["annotations"] = json!({ "stellar.org/peer-port": port.to_string() });
            }
        }
        object
    })
}

fn any_node() -> impl Strategy<Value = Value> {
    let reference = prop::option::of(prop::sample::select(vec![
        json!({ "name": "mine" }),
        json!(null),
        json!({}),
    ]));
    (prop::option::of(port_number()), reference, any::<bool>()).prop_map(|(port, reference, horizontal)| {
        let mut object = if horizontal { horizon() } else { validator("v1") };
        if !horizontal {
            let config = &mut object["spec"]["validatorConfig"];
            if let Some(port) = port {
                config["peerPort"] = json!(port);
            }
            if let Some(reference) = reference {
                config["knownPeersRef"] = reference;
            }
        }
        object["spec"]["fieldOfTomorrow"] = json!([{ "kept": 1.50 }]);
        object
    })
}

/// An object with a part of it replaced by something of another shape.
fn any_object() -> impl Strategy<Value = Value> {
    let whole = prop_oneof![any_node(), any_stateful_set()];
    let place = prop::sample::select(vec![
        "/metadata",
        "/metadata/labels",
        "/metadata/annotations",
        "/metadata/ownerReferences",
        "/spec",
        "/spec/template",
        "/spec/template/spec/containers",
        "/spec/template/spec/containers/0",
        "/spec/template/spec/containers/0/env",
        "/spec/template/spec/containers/0/ports",
        "/spec/validatorConfig",
        "/spec/validatorConfig/knownPeersRef",
        "/spec/validatorConfig/peerPort",
        "/spec/storage",
        "/spec/resources",
        "/spec/replicas",
        "/spec/network",
    ]);
    let junk = prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(7),
        json!(-1.5),
        json!("text"),
        json!([]),
        json!([null, 1, "a", {}]),
        json!({}),
    ]);
    (whole, place, junk).prop_map(|(mut object, place, junk)| {
        if let Some(found) = object.pointer_mut(place) {
            *found = junk;
        } else if let Some((parent, name)) = place.rsplit_once('/')
            && let Some(parent) = object.pointer_mut(parent).and_then(Value::as_object_mut)
        {
            parent.insert(name.to_owned(), junk);
        }
        object
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn applied_to_its_own_output_it_is_empty(object in prop_oneof![any_node(), any_stateful_set(), any_object()]) {
        let once = mutated(&object);
        prop_assert_eq!(mutate(&once, None, &NoContext).patch.0, vec![], "{}", once);
    }

    #[test]
    fn with_a_stellar_node_too(object in any_stateful_set(), port in 1024..12000_u16) {
        let context = Known(vec![with(validator("v1"), "/spec/validatorConfig/peerPort", &json!(port))]);
        let mut once = object;
        apply(&mut once, &context).expect("the patch applies");
        prop_assert_eq!(mutate(&once, None, &context).patch.0, vec![], "{}", once);
    }

    #[test]
    fn everything_else_stays(object in prop_oneof![any_node(), any_stateful_set()]) {
        let stored = mutated(&object);
        let stripped = without_additions(stored, &object);
        let mut expected = object.clone();
        // A null that was replaced is gone once the addition is taken away.
        if let Some(config) = expected.pointer_mut("/spec/validatorConfig").and_then(Value::as_object_mut) {
            config.retain(|_, value| !value.is_null());
        }
        prop_assert_eq!(stripped.to_string(), expected.to_string());
    }

    #[test]
    fn what_passes_before_passes_after(object in prop_oneof![any_node(), any_stateful_set()]) {
        if validate(&object, None, &NoContext).passes() {
            let after = validate(&mutated(&object), None, &NoContext);
            prop_assert!(after.passes(), "{:?}", after);
        }
    }

    #[test]
    fn no_shape_is_a_panic(object in any_object(), old in any_object()) {
        let verdict = validate(&object, Some(&old), &NoContext);
        for error in &verdict.errors {
            prop_assert!(!error.message.contains('\n'));
        }
        mutate(&object, Some(&old), &NoContext);
    }
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
        // The author speaks of it, or says what cannot be.
        (annotated(11700, "11800"), &stored, ("11800", 0)),
        (annotated(11625, "11800"), &stored, ("11800", 0)),
        (annotated(11626, "11625"), &stored, ("11625", 0)),
        (annotated(11700, "11625"), &annotated(11800, "11625"), ("11625", 0)),
        (annotated(11625, "11625"), &stored, ("11625", 0)),
    ] {
        let (annotation, warnings) = after(&changed, old);
        assert_eq!((annotation.as_str().unwrap(), warnings), expected, "{changed}");
    }
    // By whichever name its port is known, none is added.
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
