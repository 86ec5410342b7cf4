//! Fields that the rules read, and values of every type, including those that only JSON text can express.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::inputs::Body;

/// A string with this prefix is written into the body without quotes: JSON that [`Value`] cannot hold.
const RAW: &str = "\u{1}raw:";
/// A key with this prefix is written without the prefix, which makes a duplicate key.
pub(crate) const TWICE: &str = "\u{1}twice:";

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

/// The JSON as text, with the values that only text can express.
pub(crate) fn write(value: &Value) -> Body {
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

/// A field that the rules read and its new value: a plausible or a random one.
pub(crate) fn field() -> BoxedStrategy<(&'static str, Value)> {
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
        4 => (select(FIELDS.to_vec()), any_json()),
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

/// Names of known and unknown fields.
pub(crate) fn name() -> BoxedStrategy<String> {
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

/// Values of every type; unusual ones are more frequent.
pub(crate) fn any_json() -> BoxedStrategy<Value> {
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
