//! What is sent to the webhook: arbitrary bytes, and reviews of a real API server with something done to them.

use std::fmt;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

/// A string that begins so is written into the body without its quotes: JSON that [`Value`] cannot hold.
const RAW: &str = "\u{1}raw:";
/// A key that begins so is written without that beginning: a key that is there twice.
const TWICE: &str = "\u{1}twice:";

/// The body of a request.
#[derive(Clone)]
pub(crate) struct Body(pub(crate) Vec<u8>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        let shown: String = text.chars().take(6000).collect();
        write!(f, "{} bytes: {shown}", self.0.len())
    }
}

/// The reviews in `tests/reviews` with their names, in the order of these.
pub(crate) fn captured() -> Vec<(String, Body)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reviews");
    let mut reviews: Vec<(String, Body)> = std::fs::read_dir(directory)
        .expect("tests/reviews")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (name, Body(std::fs::read(&path).expect("a review")))
        })
        .collect();
    reviews.sort_by(|one, other| one.0.cmp(&other.0));
    reviews
}

fn bodies() -> Vec<Body> {
    captured().into_iter().map(|(_, body)| body).collect()
}

/// Bytes that owe nothing to anybody, alone or where a request should be.
pub(crate) fn bytes() -> BoxedStrategy<Body> {
    let any = || prop::collection::vec(any::<u8>(), 0..400);
    let tokens = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "null",
        "true",
        "-0",
        "1e9",
        "\"kind\"",
        "\"request\"",
        "\"uid\"",
        "\"x\"",
        "\\u0000",
        "\\ud800",
        " ",
        "\u{feff}",
    ];
    let words = prop::collection::vec(select(tokens.to_vec()), 0..100).prop_map(|words| words.concat().into_bytes());
    let request = prop_oneof![any(), words.clone(), json().prop_map(|value| write(&value).0)].prop_map(|request| {
        let head = br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":"#;
        [head.as_slice(), &request, b"}"].concat()
    });
    prop_oneof![any(), words, request].prop_map(Body).boxed()
}

/// What happens to the bytes of a body.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u32),
    Cut(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize, Index),
    End(Index),
}

impl Damage {
    fn apply(&self, body: &mut Vec<u8>) {
        let size = body.len();
        let part = |from: &Index, length: usize| {
            let from = from.index(size + 1);
            from..(from + length).min(size)
        };
        match self {
            Self::Flip(at, bit) => {
                if let Some(byte) = body.get_mut(at.index(size + 1)) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Cut(at, length) => drop(body.drain(part(at, *length))),
            Self::Insert(at, bytes) => {
                let at = at.index(size + 1);
                body.splice(at..at, bytes.iter().copied());
            }
            Self::Repeat(from, length, to) => {
                let repeated = body[part(from, *length)].to_vec();
                let to = to.index(size + 1);
                body.splice(to..to, repeated);
            }
            Self::End(at) => body.truncate(at.index(size + 1)),
        }
    }
}

/// Captured reviews, a few bytes of which are wrong.
pub(crate) fn damaged() -> BoxedStrategy<Body> {
    let at = any::<Index>;
    let damage = prop_oneof![
        // Seldom the highest bit: it ends the text.
        20 => (at(), select(vec![0, 0, 0, 1, 1, 2, 3, 4, 5, 5, 6, 7])).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        3 => (at(), 1..20_usize).prop_map(|(at, length)| Damage::Cut(at, length)),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        2 => (at(), "[ -~]{1,8}").prop_map(|(at, text)| Damage::Insert(at, text.into_bytes())),
        2 => (at(), 1..200_usize, at()).prop_map(|(from, length, to)| Damage::Repeat(from, length, to)),
        1 => at().prop_map(Damage::End),
    ];
    (select(bodies()), prop::collection::vec(damage, 1..3))
        .prop_map(|(Body(mut body), damages)| {
            for damage in damages {
                damage.apply(&mut body);
            }
            Body(body)
        })
        .boxed()
}

/// Parts of a review in which something is done, some more often than others.
const PARTS: [&str; 14] = [
    "",
    "/request",
    "/request/kind",
    "/request/object",
    "/request/object/metadata",
    "/request/object/metadata",
    "/request/object/spec",
    "/request/object/spec",
    "/request/object/spec/validatorConfig",
    "/request/object/spec/template/spec",
    "/request/object/spec/template/spec/containers",
    "/request/object/spec/template/spec/containers",
    "/request/oldObject",
    "/request/oldObject/spec",
];

/// Fields that the rules read, below an object.
const FIELDS: [&str; 36] = [
    "/apiVersion",
    "/kind",
    "/metadata",
    "/metadata/name",
    "/metadata/namespace",
    "/metadata/annotations",
    "/metadata/annotations/stellar.org~1peer-port",
    "/metadata/deletionTimestamp",
    "/metadata/labels",
    "/metadata/labels/app.kubernetes.io~1component",
    "/metadata/labels/app.kubernetes.io~1instance",
    "/metadata/ownerReferences",
    "/spec",
    "/spec/coreConfig",
    "/spec/horizonConfig",
    "/spec/network",
    "/spec/nodeType",
    "/spec/replicas",
    "/spec/resources/limits/memory",
    "/spec/resources/requests/memory",
    "/spec/storage",
    "/spec/storage/size",
    "/spec/storage/storageClass",
    "/spec/suspended",
    "/spec/template",
    "/spec/template/spec",
    "/spec/template/spec/containers",
    "/spec/template/spec/initContainers",
    "/spec/validatorConfig",
    "/spec/validatorConfig/coreConfig",
    "/spec/validatorConfig/historyArchiveUrls",
    "/spec/validatorConfig/knownPeersRef",
    "/spec/validatorConfig/knownPeersRef/name",
    "/spec/validatorConfig/peerPort",
    "/spec/validatorConfig/quorumSet",
    "/spec/validatorConfig/seedSecretRef",
];

/// Where something is done: in which part, and to which value of it.
#[derive(Clone, Debug)]
struct Place {
    part: &'static str,
    value: Index,
}

/// What is done to the JSON of a review.
#[derive(Clone, Debug)]
enum Edit {
    /// A field that the rules read gets a value, in the object or in the old one.
    Set(bool, &'static str, Value),
    Replace(Place, Value),
    Copy(Place, Place),
    Remove(Place, Index),
    Rename(Place, Index, String),
    Insert(Place, Index, String, Value),
    /// An entry of a list or a key of an object is there twice.
    Repeat(Place, Index),
    /// The object that is stored is the one that is sent: what follows is what an update changes.
    Update,
}

impl Edit {
    fn apply(&self, review: &mut Value) {
        match self {
            Self::Set(old, field, value) => {
                let object = if *old { "/request/oldObject" } else { "/request/object" };
                if let Some(object) = review.pointer_mut(object) {
                    set(object, field, value.clone());
                }
            }
            Self::Replace(place, value) => *place.find(review) = value.clone(),
            Self::Copy(from, to) => {
                let copy = from.find(review).clone();
                *to.find(review) = copy;
            }
            Self::Remove(place, entry) => match place.collection(review) {
                Value::Array(list) if !list.is_empty() => drop(list.remove(entry.index(list.len()))),
                Value::Object(map) => drop(key(map, entry).and_then(|key| map.remove(&key))),
                _ => {}
            },
            Self::Rename(place, entry, name) => {
                if let Value::Object(map) = place.collection(review)
                    && let Some(value) = key(map, entry).and_then(|key| map.remove(&key))
                {
                    map.insert(name.clone(), value);
                }
            }
            Self::Insert(place, entry, name, value) => match place.collection(review) {
                Value::Array(list) => list.insert(entry.index(list.len() + 1), value.clone()),
                Value::Object(map) => drop(map.insert(name.clone(), value.clone())),
                _ => {}
            },
            Self::Repeat(place, entry) => match place.collection(review) {
                Value::Array(list) if !list.is_empty() => list.push(list[entry.index(list.len())].clone()),
                Value::Object(map) => {
                    if let Some(key) = key(map, entry) {
                        map.insert(format!("{TWICE}{key}"), map[&key].clone());
                    }
                }
                _ => {}
            },
            Self::Update => {
                if let Some(request) = review.get_mut("request").and_then(Value::as_object_mut) {
                    request.insert("operation".to_owned(), json!("UPDATE"));
                    let object = request.get("object").cloned().unwrap_or_default();
                    request.insert("oldObject".to_owned(), object);
                }
            }
        }
    }
}

impl Place {
    fn find<'a>(&self, review: &'a mut Value) -> &'a mut Value {
        self.find_among(review, |_| true)
    }

    fn collection<'a>(&self, review: &'a mut Value) -> &'a mut Value {
        self.find_among(review, |value| value.is_object() || value.is_array())
    }

    fn find_among<'a>(&self, review: &'a mut Value, wanted: fn(&Value) -> bool) -> &'a mut Value {
        let part = if review.pointer(self.part).is_some() {
            self.part
        } else {
            ""
        };
        let Some(part) = review.pointer_mut(part) else {
            unreachable!("the whole is always there");
        };
        let mut found = Vec::new();
        walk(part, &mut Vec::new(), &mut found, wanted);
        let Some(path) = found.get(self.value.index(found.len().max(1))) else {
            return part;
        };
        path.iter().fold(part, |value, step| match value {
            Value::Array(list) => &mut list[*step],
            Value::Object(map) => map.values_mut().nth(*step).expect("it was there"),
            _ => unreachable!("only collections have parts"),
        })
    }
}

/// The paths to all wanted values, each step the number of an entry. What the API server notes for itself is one value.
fn walk(value: &Value, path: &mut Vec<usize>, found: &mut Vec<Vec<usize>>, wanted: fn(&Value) -> bool) {
    if wanted(value) {
        found.push(path.clone());
    }
    let parts: Vec<&Value> = match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| if key == "managedFields" { &Value::Null } else { value })
            .collect(),
        _ => return,
    };
    for (step, part) in parts.into_iter().enumerate() {
        path.push(step);
        walk(part, path, found, wanted);
        path.pop();
    }
}

fn key(map: &Map<String, Value>, entry: &Index) -> Option<String> {
    map.keys().nth(entry.index(map.len().max(1))).cloned()
}

/// Writes a field, with the objects that lead to it; what stands in the way stays.
fn set(mut object: &mut Value, pointer: &str, value: Value) {
    for token in pointer.split('/').skip(1) {
        if object.is_null() {
            *object = json!({});
        }
        let Value::Object(map) = object else { return };
        object = map.entry(token.replace("~1", "/")).or_insert(Value::Null);
    }
    *object = value;
}

/// The JSON as text, with what only text can hold.
fn write(value: &Value) -> Body {
    let mut text = value.to_string().replace("\"\\u0001twice:", "\"");
    while let Some(start) = text.find("\"\\u0001raw:") {
        let rest = text.split_off(start);
        let inner = &rest["\"\\u0001raw:".len()..];
        let (raw, rest) = inner.split_once('"').expect("a string ends");
        text.push_str(raw);
        text.push_str(rest);
    }
    Body(text.into_bytes())
}

/// Captured reviews that say something else, still JSON.
pub(crate) fn edited() -> BoxedStrategy<Body> {
    let reviews = bodies()
        .into_iter()
        .map(|body| serde_json::from_slice(&body.0).expect("JSON"));
    let reviews: Vec<Value> = reviews.collect();
    let place = || (select(PARTS.to_vec()), any::<Index>()).prop_map(|(part, value)| Place { part, value });
    let at = any::<Index>;
    let edit = prop_oneof![
        8 => (prop::bool::weighted(0.2), field()).prop_map(|(old, (field, value))| Edit::Set(old, field, value)),
        3 => (place(), json()).prop_map(|(place, value)| Edit::Replace(place, value)),
        1 => (place(), place()).prop_map(|(from, to)| Edit::Copy(from, to)),
        3 => (place(), at()).prop_map(|(place, entry)| Edit::Remove(place, entry)),
        1 => (place(), at(), name()).prop_map(|(place, entry, name)| Edit::Rename(place, entry, name)),
        3 => (place(), at(), name(), json()).prop_map(|(place, entry, name, value)| Edit::Insert(place, entry, name, value)),
        1 => (place(), at()).prop_map(|(place, entry)| Edit::Repeat(place, entry)),
        2 => Just(Edit::Update),
    ];
    (select(reviews), prop::collection::vec(edit, 1..6))
        .prop_map(|(mut review, edits)| {
            for edit in edits {
                edit.apply(&mut review);
            }
            write(&review)
        })
        .boxed()
}

/// A field that the rules read and what is written into it: what could stand there, or anything.
fn field() -> BoxedStrategy<(&'static str, Value)> {
    let ports = || {
        prop_oneof![
            port().prop_map(Value::from),
            port().prop_map(|port| json!(port.to_string()))
        ]
    };
    let toml = select(vec![
        "[QUORUM_SET]\nTHRESHOLD_PERCENT=67\nVALIDATORS=[\"$self\"]\n",
        "[QUORUM_SET]\nTHRESHOLD_PERCENT=101\nVALIDATORS=[]\n",
        "PEER_PORT=1\nAUTOMATIC_MAINTENANCE_PERIOD=1\n",
        "TARGET_PEER_CONNECTIONS=-9223372036854775808",
        "a=[[[[[[{b.c.d=",
        "\"",
    ]);
    let containers = || prop::collection::vec(container(), 0..4).prop_map(Value::from);
    let owner =
        json!([{ "apiVersion": "stellar.org/v1alpha1", "kind": "StellarNode", "name": "private-1", "uid": "1" }]);
    prop_oneof![
        4 => (select(FIELDS.to_vec()), json()),
        2 => (Just("/spec/validatorConfig/peerPort"), ports()),
        2 => (Just("/metadata/annotations/stellar.org~1peer-port"), ports()),
        1 => (select(vec!["/spec/validatorConfig/coreConfig", "/spec/validatorConfig/quorumSet"]), toml.prop_map(Value::from)),
        4 => (Just("/spec/template/spec/containers"), containers()),
        1 => (Just("/spec/template/spec/initContainers"), containers()),
        1 => (Just("/metadata/ownerReferences"), Just(owner)),
        1 => (Just("/metadata/annotations"), Just(Value::Null)),
    ]
    .boxed()
}

fn port() -> impl Strategy<Value = i64> {
    select(vec![
        11625, 11625, 11626, 11628, 11700, 11700, 15000, 80, 0, -1, 65535, 65536,
    ])
}

fn container() -> impl Strategy<Value = Value> {
    let names = vec!["stellar-core", "core", "stellar-node", "exporter", "x", ""];
    let port_names = vec!["peer", "core-peer", "http", ""];
    let ports = prop::collection::vec((select(port_names), port(), select(vec!["TCP", "UDP"])), 0..3);
    let env = prop::collection::vec(select(vec!["KNOWN_PEERS", "A", "B"]), 0..3);
    (
        select(names),
        prop::option::of(ports),
        prop::option::of(env),
        any::<bool>(),
    )
        .prop_map(|(name, ports, env, always)| {
            let mut container = json!({ "name": name, "ofTomorrow": { "kept": [1, 2.50, "ü", null] } });
            if let Some(ports) = ports {
                container["ports"] = ports
                    .into_iter()
                    .map(|(name, port, protocol)| json!({ "name": name, "containerPort": port, "protocol": protocol }))
                    .collect();
            }
            if let Some(env) = env {
                container["env"] = env
                    .into_iter()
                    .map(|name| json!({ "name": name, "value": "v" }))
                    .collect();
            }
            if always {
                container["restartPolicy"] = json!("Always");
            }
            container
        })
}

/// Names of fields, known and unknown.
fn name() -> BoxedStrategy<String> {
    let last = |field: &&str| field.rsplit('/').next().unwrap_or_default().replace("~1", "/");
    let mut known: Vec<String> = FIELDS.iter().map(last).collect();
    known.extend(
        [
            "env",
            "ports",
            "containerPort",
            "protocol",
            "uid",
            "operation",
            "object",
            "subResource",
        ]
        .map(str::to_owned),
    );
    prop_oneof![3 => select(known), 1 => any::<String>(), 1 => "[a-z]{1,8}"].boxed()
}

/// Values of every type, the odd ones more often than chance would have them.
fn json() -> BoxedStrategy<Value> {
    let words = [
        "",
        " ",
        "\u{0}",
        "a\nb\tc",
        "Validator",
        "Horizon",
        "StellarNode",
        "StatefulSet",
        "UPDATE",
        "CREATE",
        "testnet",
        "stellar-node",
        "validator",
        "validator-1",
        "stellar",
        "11625",
        "011625",
        "+1",
        "٣",
        "é",
        "💫\u{202e}",
        "\u{feff}",
        "-1Gi",
        "1e3",
        "9e99999999Ei",
        "http://",
        "https://[::1]:99999/\"",
        "private-1-seed",
        "peer",
        "KNOWN_PEERS",
        "true",
    ];
    let raw = [
        "1e999",
        "-0",
        "-0.0",
        "1E-400",
        "0.1000000000000000055511151231257827",
        "123456789012345678901234567890",
        "18446744073709551616",
        "-9223372036854775809",
        "01",
        "+1",
        "NaN",
    ];
    let deep = |depth: usize| Value::from(format!("{RAW}{}{}", "[".repeat(depth), "]".repeat(depth)));
    let leaf = prop_oneof![
        4 => select(words.to_vec()).prop_map(Value::from),
        2 => port().prop_map(Value::from),
        1 => select(raw.to_vec()).prop_map(|raw| Value::from(format!("{RAW}{raw}"))),
        2 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
    ];
    let tree = leaf.clone().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z]{1,4}|.", inner), 0..4).prop_map(|fields| fields.into_iter().collect()),
        ]
    });
    prop_oneof![
        60 => leaf,
        20 => tree,
        10 => container(),
        4 => Just(json!({})),
        4 => Just(json!([])),
        1 => select(vec![100, 120, 200]).prop_map(deep),
        1 => (select(vec!["x", "é", "[", "\n", "\"", "a.", "1"]), select(vec![300, 70_000])).prop_map(|(text, times)| Value::from(text.repeat(times))),
    ]
    .boxed()
}
