//! The controller can parse every object that the schema and the rules accept.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use crate::admission::context::NoContext;
use crate::admission::fixtures::{cases, horizon, validator, with};
use crate::admission::validate::{Verdict, validate};
use crate::commands::check::schema;
use crate::crd::{StellarNode, StellarNodeSpec};

/// Numbers at the limits of types, as the API server passes them on.
const NUMBERS: [&str; 16] = [
    "0",
    "-1",
    "1",
    "1",
    "80",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483649",
    "5000000000",
    "9223372036854775807",
    "9223372036854775808",
    "-9300000000000000000",
    "19000000000000000000",
    "1e+25",
];

static SCHEMA: LazyLock<JSONSchemaProps> = LazyLock::new(|| crate::crd::schema().expect("a schema"));

/// Arbitrary choices.
struct Tape<'a>(std::slice::Iter<'a, u16>);

impl Tape<'_> {
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) % end
    }

    fn one_in(&mut self, end: usize) -> bool {
        self.below(end) == 1
    }

    /// An arbitrary value with a type of the schema; the other keywords decide about it.
    fn value(&mut self, schema: &JSONSchemaProps) -> Value {
        if schema.nullable == Some(true) && self.one_in(9) {
            return Value::Null;
        }
        if let Some(choices) = &schema.enum_ {
            return choices[self.below(choices.len())].0.clone();
        }
        if schema.x_kubernetes_int_or_string == Some(true) {
            return if self.one_in(3) { json!("80%") } else { self.number() };
        }
        match schema.type_.as_deref() {
            Some("string") => json!(["a", "10Gi", "KNOWN_PEERS", "http://a", "", "x y\n\"", "-"][self.below(7)]),
            Some("integer" | "number") => self.number(),
            Some("boolean") => json!(self.one_in(2)),
            Some("array") => {
                let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items else {
                    return json!([]);
                };
                (0..self.below(3)).map(|_| self.value(item)).collect()
            }
            Some("object") => self.object(schema),
            _ => json!({ "anything": [1, null] }),
        }
    }

    fn number(&mut self) -> Value {
        serde_json::from_str(NUMBERS[self.below(NUMBERS.len())]).expect("a number")
    }

    fn object(&mut self, schema: &JSONSchemaProps) -> Value {
        let required = schema.required.as_deref().unwrap_or_default();
        let mut fields = Map::new();
        for (name, schema) in schema.properties.iter().flatten() {
            if required.contains(name) || self.one_in(4) {
                fields.insert(name.clone(), self.value(schema));
            }
        }
        if let Some(JSONSchemaPropsOrBool::Schema(each)) = &schema.additional_properties {
            fields.insert("cpu".to_owned(), self.value(each));
        }
        Value::Object(fields)
    }

    /// A valid node with two arbitrary fields in the spec, and an arbitrary status.
    fn node(mut self) -> Value {
        let fields = SCHEMA.properties.as_ref().expect("fields");
        let of_spec: Vec<_> = fields["spec"].properties.iter().flatten().collect();
        let mut node = if self.one_in(2) { horizon() } else { validator("v1") };
        for _ in 0..2 {
            let (name, schema) = of_spec[self.below(of_spec.len())];
            node["spec"][name] = self.value(schema);
        }
        node["status"] = self.value(&fields["status"]);
        node
    }
}

/// The object as the API server sends it to the webhook; `None` if it refuses the object itself.
fn after_schema(mut node: Value) -> Option<Value> {
    schema::prune(&SCHEMA, &mut node);
    schema::check(&SCHEMA, &node).is_empty().then_some(node)
}

fn judge(node: &Value) -> Verdict {
    validate(node, None, &NoContext)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn what_the_schema_takes_can_be_read(choices in vec(any::<u16>(), 200)) {
        if let Some(node) = after_schema(Tape(choices.iter()).node()) {
            let read = StellarNode::deserialize(&node);
            prop_assert!(read.is_ok(), "{}: {node}", read.unwrap_err());
        }
    }

    #[test]
    fn what_the_rules_take_can_be_read(choices in vec(any::<u16>(), 200)) {
        let node = Tape(choices.iter()).node();
        let read = StellarNodeSpec::deserialize(&node["spec"]);
        prop_assert!(!judge(&node).passes() || read.is_ok(), "{}: {node}", read.unwrap_err());
    }
}

#[test]
fn what_cannot_be_read_is_refused_by_its_field() {
    let probe = |port: Value| {
        with(
            validator("v1"),
            "/spec/probes",
            &json!({ "readiness": { "tcpSocket": { "port": port } } }),
        )
    };
    let spec = |field: &str, value: Value| with(validator("v1"), &format!("/spec/{field}"), &value);
    for (node, field) in [
        (probe(json!(5_000_000_000_i64)), "spec.probes.readiness.tcpSocket.port"),
        (spec("replicas", json!(1_i64 << 40)), "spec.replicas"),
        (spec("minAvailable", json!(1_i64 << 40)), "spec.minAvailable"),
        (
            spec("terminationGracePeriodSeconds", json!(1e25)),
            "spec.terminationGracePeriodSeconds",
        ),
        (spec("podLabels", json!({ "a": 1 })), "spec.podLabels.a"),
        (
            spec("tolerations", json!([{ "key": "a" }, { "tolerationSeconds": "1" }])),
            "spec.tolerations[1].tolerationSeconds",
        ),
        (spec("storage", json!({ "size": 100 })), "spec.storage.size"),
        (
            spec("validatorConfig/knownPeers", json!([1])),
            "spec.validatorConfig.knownPeers[0]",
        ),
        (
            spec("validatorConfig/peersAs", json!("Both")),
            "spec.validatorConfig.peersAs",
        ),
        (with(validator("v1"), "/spec", &json!("none")), "spec"),
    ] {
        let errors = judge(&node).errors;
        assert!(errors.iter().any(|error| error.field == field), "{field}: {errors:?}");
        let same = errors.iter().filter(|error| error.field == field).count();
        assert_eq!(same, 1, "{field}: {errors:?}");
    }
    assert!(judge(&probe(json!(11625))).passes());
    let refused_by_schema = |node| after_schema(node).is_none();
    assert!(refused_by_schema(probe(json!(5_000_000_000_i64))) && refused_by_schema(probe(json!(0))));
    let readiness = |settings: Value| spec("probes", json!({ "readiness": settings }));
    for (settings, is_taken) in [
        (json!({ "grpc": { "port": 1 } }), true),
        (json!({ "grpc": { "port": 0 } }), false),
        (json!({ "grpc": { "port": 65_536 } }), false),
        (json!({ "periodSeconds": 1, "failureThreshold": 1 }), true),
        (json!({ "periodSeconds": -1 }), false),
        (json!({ "failureThreshold": -1 }), false),
    ] {
        assert_eq!(!refused_by_schema(readiness(settings.clone())), is_taken, "{settings}");
    }
}

#[test]
fn one_that_could_not_be_read_before_is_not_locked_in() {
    let old = with(
        validator("v1"),
        "/spec/probes",
        &json!({ "readiness": { "tcpSocket": { "port": 5_000_000_000_i64 } } }),
    );
    let new = with(old.clone(), "/spec/version", &json!("26.0.2"));
    let verdict = validate(&new, Some(&old), &NoContext);
    assert!(verdict.passes(), "{verdict:?}");
    assert!(
        verdict
            .warnings
            .iter()
            .any(|warning| warning.contains("tcpSocket.port")),
        "{verdict:?}"
    );
    let worse = with(new, "/spec/replicas", &json!(1_i64 << 40));
    let errors = validate(&worse, Some(&validator("v1")), &NoContext).errors;
    assert!(!errors.is_empty());
}
