//! Properties of the additions that hold for every object.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::context::NoContext;
use super::fixtures::{Known, cases, horizon, stateful_set, validator, with};
use super::mutate::{apply, mutate};
use super::mutate_tests::mutated;
use super::validate::validate;

/// Removes the fields that the webhook may add.
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

/// An object with one part replaced by a value of another type.
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
        // An addition may replace a null; removing the addition does not restore it.
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
